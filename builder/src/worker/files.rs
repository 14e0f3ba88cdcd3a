//! COPY, ADD and WORKDIR: layers that are written entry by entry, without a process.

use std::sync::Arc;

use rbuild_cache::tree::{Selection, Selector};
use rbuild_cache::{Snapshot, View};
use rbuild_solver::event::Event;
use rbuild_solver::op::{CopyOp, CopySource, MakeDirOp};

use super::copy::{self, Copied, Copy};
use super::{BuildWorker, Inputs, WorkError, lock, makedir};

/// Copies what the op says; the entries become the top layer.
pub fn copy(
    worker: &BuildWorker<'_>,
    op: &CopyOp,
    inputs: &Inputs<'_, '_>,
) -> Result<Snapshot, WorkError> {
    let base = inputs.base(op.base);
    let view = view(worker, &base)?;
    let selections = selections(op, inputs)?;
    let copy = Copy {
        op,
        base: view.as_ref().map(|view| view.path()),
        selections: &selections,
        time: worker.now(),
    };
    let mut layer = worker.store.layers().begin()?;
    let copied = copy::copy(&copy, &mut layer)?;
    let snapshot = base.with(layer.finish()?);
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
    let view = view(worker, &base)?;
    let mut layer = worker.store.layers().begin()?;
    let path = view.as_ref().map(|view| view.path());
    let warnings = makedir::make_dir(op, path, worker.now(), &mut layer)?;
    warn(inputs, warnings);
    Ok(base.with(layer.finish()?))
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
