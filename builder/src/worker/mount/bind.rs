//! Bind mounts: files of a stage, an image or the context.
//!
//! Those of a stage or an image are there as they are. Those of the context are copied first: a
//! step sees what the ignore rules leave, as root's, and never a file of the host itself. What a
//! step writes goes to a directory above them that is thrown away.

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rbuild_cache::layer::{Entry, Kind};
use rbuild_cache::tree::{Owners, PathSelector, Selection, Selector, Tree};
use rbuild_cache::{ContentDigest, Record, Snapshot};
use rbuild_solver::event::Event;
use rbuild_solver::op::mount::{Access, Source as From};
use rbuild_solver::op::{CopyOp, CopySource, Unpack};

use super::{Held, Prepared};
use crate::sandbox::Source;
use crate::worker::copy::target::Below;
use crate::worker::copy::{self, Copy};
use crate::worker::{BuildWorker, Inputs, Output, WorkError, lock};

/// The slot of copies of the context: what `du` shows.
const SLOT: &str = "files of the context for RUN --mount";

impl Prepared {
    /// The file or directory to mount.
    pub(super) fn bind(
        &mut self,
        worker: &BuildWorker<'_>,
        source: Option<&From>,
        access: Access,
        inputs: &Inputs<'_, '_>,
    ) -> Result<Source, WorkError> {
        let (snapshot, path) = match source {
            None => (Snapshot::default(), Vec::new()),
            Some(From { input, path }) => match inputs.job.inputs.get(*input) {
                Some(Output::Snapshot(snapshot)) => (snapshot.clone(), path.clone().into_bytes()),
                Some(Output::Context(_)) | None => context(worker, *input, inputs)?,
            },
        };
        let layers = worker.store.layers();
        let found = match access {
            Access::ReadOnly => {
                let view = layers.view(&snapshot)?;
                let found = locate(view.path(), &path)?;
                self.held.push(Held::View(view));
                found
            }
            Access::ReadWrite => {
                let draft = layers.draft(&snapshot)?;
                let found = locate(draft.path(), &path)?;
                self.held.push(Held::Draft(draft));
                found
            }
        };
        Ok(found)
    }
}

fn locate(root: &Path, path: &[u8]) -> Result<Source, WorkError> {
    let tree = Tree::open(root, Owners::Kept, None)?;
    Ok(Source::Fd(Arc::new(tree.locate(path)?)))
}

/// A copy of what an input of the context picks, and where in it that is. Made once for each
/// content: the next step, or the next build, takes the same.
fn context(
    worker: &BuildWorker<'_>,
    input: usize,
    inputs: &Inputs<'_, '_>,
) -> Result<(Snapshot, Vec<u8>), WorkError> {
    let selector = inputs.job.vertex.inputs.get(input).map(|edge| edge.selector.clone());
    let all = || PathSelector::everything();
    let selector = match selector {
        Some(Selector::Paths(paths)) => paths,
        Some(Selector::Whole) | None => all(),
    };
    let selection = inputs.tree(input)?.select(&selector)?;
    let content = selection.digest(inputs.stats(input))?;
    let one = selection.matches.first().filter(|one| !one.top.node.is_dir());
    let path = one.map(|one| one.name.clone()).unwrap_or_default();
    let key = key(&content);
    // Two steps that need it at once make it once.
    let _claim = worker
        .store
        .claim(&format!("context {content:?}"), &|| inputs.job.cancel.is_cancelled())?;
    if let Some(record) = worker.store.records().get(&key) {
        return Ok((Snapshot { layers: record.layers }, path));
    }
    let start = Instant::now();
    let (snapshot, changed) = copy_of(worker, &selection)?;
    if let Some(first) = changed.first() {
        let text = format!("`{first}` changed while it was read; this step is not cached");
        (inputs.job.events)(Event::Notice { vertex: Some(inputs.job.id), text });
        lock(&worker.known.unsteady).push(inputs.base(Some(0)));
        return Ok((snapshot, path));
    }
    let record = Record {
        key,
        op: key,
        slot: SLOT.to_owned(),
        layers: snapshot.layers.clone(),
        inputs: Vec::new(),
        parts: serde_json::Value::Null,
        warnings: Vec::new(),
        took: start.elapsed(),
        memory: None,
        created: SystemTime::now(),
    };
    if let Err(error) = worker.store.records().put(&record) {
        worker.say_once(&error);
    }
    Ok((snapshot, path))
}

fn key(content: &ContentDigest) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rbuild context mount 1\0").update(content.as_bytes());
    *hasher.finalize().as_bytes()
}

/// One layer with the selection's files, as a `COPY` onto nothing makes it; and which of them
/// changed meanwhile.
fn copy_of(
    worker: &BuildWorker<'_>,
    selection: &Arc<Selection>,
) -> Result<(Snapshot, Vec<String>), WorkError> {
    let op = CopyOp {
        base: None,
        sources: vec![CopySource::Input { input: 0, unpack: Unpack::No }],
        dest: "/".to_owned(),
        chown: None,
        chmod: None,
    };
    let selections = [selection.clone()];
    let below = Below::Seen(None);
    let (time, limits) = (worker.now(), worker.remotes.limits().archive());
    let copy = Copy { op: &op, below, selections: &selections, time, limits };
    let mut layer = worker.store.layers().begin()?;
    let copied = copy::copy(&copy, &mut layer)?;
    if let Some(one) = selection.matches.first().filter(|one| one.top.node.is_dir()) {
        let node = &one.top.node;
        let mut top = Entry::new("", Kind::Dir, node.mode & 0o7777);
        top.mtime = (node.mtime.seconds, node.mtime.nanos);
        top.xattrs.clone_from(&one.top.xattrs);
        if selection.owners == Owners::Kept {
            (top.uid, top.gid) = (node.uid, node.gid);
        }
        layer.add(&top, None)?;
    }
    Ok((Snapshot::default().with(layer.finish()?), copied.changed))
}
