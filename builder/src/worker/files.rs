//! COPY, ADD and WORKDIR: layers that are written entry by entry, without a process.
//!
//! What they make depends on little of the image below: whether something is at the destination.
//! So an image that nothing else needs the files of is not fetched for them; that it has nothing
//! there is a guess, kept with the layer. Where a guess would rarely be right, or where a later
//! step of the same build reads the files anyway, the image is fetched first.

use std::sync::Arc;

use rbuild_cache::layer::{Extent, Guess};
use rbuild_cache::tree::{Selection, Selector};
use rbuild_cache::{LayerWriter, Snapshot, View};
use rbuild_solver::event::Event;
use rbuild_solver::op::{CopyOp, CopySource, MakeDirOp, Unpack};

use super::copy::target::Below;
use super::copy::{self, Copied, Copy, CopyError};
use super::{BuildWorker, Inputs, WorkError, lock, makedir};

/// Whether an op reads more of an image than what is at its destination.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Destination,
    Files,
}

/// Copies what the op says; the entries become the top layer.
pub fn copy(
    worker: &BuildWorker<'_>,
    op: &CopyOp,
    inputs: &Inputs<'_, '_>,
) -> Result<Snapshot, WorkError> {
    let base = inputs.base(op.base);
    let selections = selections(op, inputs)?;
    let extent = extent(&selections);
    let (selections, time) = (&selections[..], worker.now());
    let limits = worker.remotes.limits().archive();
    let write = |below: Below<'_>, layer: &mut LayerWriter| {
        copy::copy(&Copy { op, below, selections, time, limits }, layer)
    };
    let (snapshot, copied) = make(worker, inputs, &base, reads(op), extent, &write)?;
    tell(worker, inputs, &snapshot, copied);
    Ok(snapshot)
}

/// Makes a directory where there is none; one layer in any case, as BuildKit does.
pub fn make_dir(
    worker: &BuildWorker<'_>,
    op: &MakeDirOp,
    inputs: &Inputs<'_, '_>,
) -> Result<Snapshot, WorkError> {
    let base = inputs.base(op.base);
    let reads = if is_number(&op.user) { Reads::Destination } else { Reads::Files };
    let time = worker.now();
    let write =
        |below: Below<'_>, layer: &mut LayerWriter| makedir::make_dir(op, below, time, layer);
    let (snapshot, made) = make(worker, inputs, &base, reads, Extent::default(), &write)?;
    warn(inputs, made.warnings);
    Ok(snapshot)
}

type Write<'w> = &'w dyn Fn(Below<'_>, &mut LayerWriter) -> Result<Copied, CopyError>;

/// Writes a layer onto `base`; on a guess where that is allowed and makes sense.
fn make(
    worker: &BuildWorker<'_>,
    inputs: &Inputs<'_, '_>,
    base: &Snapshot,
    reads: Reads,
    extent: Extent,
    write: Write<'_>,
) -> Result<(Snapshot, Copied), WorkError> {
    let layers = worker.store.layers();
    let missing = layers.missing(base)?;
    let may_guess = reads == Reads::Destination && !worker.looked_at.contains(&inputs.job.id);
    if !missing.is_empty() && may_guess {
        let above = base.layers.iter().rposition(|id| missing.iter().any(|gone| gone.layer == *id));
        let upper = base.layers[above.map_or(0, |at| at + 1)..].to_vec();
        let view = view(worker, &Snapshot { layers: upper })?;
        let mut layer = layers.begin_of(extent)?;
        match write(Below::Unseen(view.as_ref().map(|view| view.path())), &mut layer) {
            Ok(copied) => {
                let layer = layer.finish()?;
                let (below, absent) = (base.layers.clone(), copied.guessed.clone());
                layers.put_guess(&Guess { layer, below, absent })?;
                return Ok((base.with(layer), copied));
            }
            Err(CopyError::Unseen(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    worker.need(inputs.job, base)?;
    let view = view(worker, base)?;
    let mut layer = layers.begin_of(extent)?;
    let copied = write(Below::Seen(view.as_ref().map(|view| view.path())), &mut layer)?;
    Ok((base.with(layer.finish()?), copied))
}

/// Names are looked up in the image; the links of an archive may lead to its files.
fn reads(op: &CopyOp) -> Reads {
    let unpacks = |source: &CopySource| matches!(source, CopySource::Input { unpack, .. } if *unpack != Unpack::No);
    match op.chown.as_deref().is_none_or(is_number) && !op.sources.iter().any(unpacks) {
        true => Reads::Destination,
        false => Reads::Files,
    }
}

/// Whether an owner can be understood without looking into the image.
fn is_number(owner: &str) -> bool {
    owner.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
}

fn view(worker: &BuildWorker<'_>, base: &Snapshot) -> Result<Option<Arc<View>>, WorkError> {
    match base.layers.is_empty() {
        true => Ok(None),
        false => Ok(Some(worker.store.layers().view(base)?)),
    }
}

/// What each source of the op picks. For a context this was found for the key, and is not looked
/// for again.
fn selections(op: &CopyOp, inputs: &Inputs<'_, '_>) -> Result<Vec<Arc<Selection>>, WorkError> {
    let mut selections = Vec::new();
    for source in &op.sources {
        let CopySource::Input { input, .. } = source else { continue };
        let edge = inputs.job.vertex.inputs.get(*input);
        if let Some(Selector::Paths(paths)) = edge.map(|edge| &edge.selector) {
            selections.push(inputs.tree(*input)?.select(paths)?);
        }
    }
    Ok(selections)
}

/// How much is copied. What an archive holds is not known before it is read.
fn extent(selections: &[Arc<Selection>]) -> Extent {
    let mut extent = Extent::default();
    for (_, found) in selections.iter().flat_map(|selection| selection.all()) {
        extent.entries += 1;
        extent.bytes += if found.node.is_file() { found.node.size } else { 0 };
    }
    extent
}

/// Tells the user what there is to tell. What is not what its key says must not be recorded.
fn tell(worker: &BuildWorker<'_>, inputs: &Inputs<'_, '_>, snapshot: &Snapshot, copied: Copied) {
    warn(inputs, copied.warnings);
    if let Some(first) = copied.changed.first() {
        let others = match copied.changed.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text =
            format!("`{first}`{others} changed while it was copied; this step is not cached");
        (inputs.job.events)(Event::Notice { vertex: Some(inputs.job.id), text });
        lock(&worker.known.unsteady).push(snapshot.clone());
    }
}

fn warn(inputs: &Inputs<'_, '_>, warnings: Vec<String>) {
    let vertex = inputs.job.id;
    warnings.into_iter().for_each(|text| (inputs.job.events)(Event::Warning { vertex, text }));
}
