//! Cache mounts: volumes of the store, taken for as long as the step runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rbuild_cache::layer::{Entry, WriteError};
use rbuild_cache::tree::{PathSelector, Selector};
use rbuild_cache::{NewVolume, Sharing, Taken, Volume, VolumeName};
use rbuild_solver::op::mount::{self as op, CacheMount, FileOwner, MountKind};
use rbuild_solver::op::{CopyOp, CopySource, ExecOp, Unpack};

use super::MountFailure;
use crate::worker::copy::target::Below;
use crate::worker::copy::{self, Copy, Sink};
use crate::worker::{BuildWorker, Inputs, WorkError, lock};

/// Of a cache that begins empty.
const OWNER: FileOwner = FileOwner { mode: 0o755, uid: 0, gid: 0 };

/// The volumes that one step uses, by name.
pub struct Volumes(BTreeMap<VolumeName, Volume>);

/// What a step wants of one volume.
struct Wanted<'a> {
    cache: &'a CacheMount,
    target: &'a str,
    sharing: Sharing,
}

/// Takes every volume that the op names, each once and in the order of names: steps that use the
/// same ones do not wait for each other in a circle.
pub fn take_all(
    worker: &BuildWorker<'_>,
    op: &ExecOp,
    inputs: &Inputs<'_, '_>,
) -> Result<Volumes, WorkError> {
    let mut wanted: BTreeMap<VolumeName, Wanted<'_>> = BTreeMap::new();
    for mount in &op.mounts {
        let MountKind::Cache(cache) = &mount.kind else { continue };
        let sharing = sharing(cache.sharing);
        let one = wanted.entry(name(cache, inputs)?);
        let one = one.or_insert(Wanted { cache, target: &mount.target, sharing });
        one.sharing = one.sharing.max(sharing);
    }
    if inputs.job.vertex.origin.always_run {
        renew(worker, &wanted, inputs)?;
    }
    let mut volumes = BTreeMap::new();
    for (name, wanted) in wanted {
        let cancelled = || inputs.job.cancel.is_cancelled();
        let volume = match worker.store.volumes().take(&name, wanted.sharing, &cancelled)? {
            Taken::Ready(volume) => volume,
            Taken::New(new) => begin(worker, new, &wanted, inputs)?,
        };
        volumes.insert(name, volume);
    }
    Ok(Volumes(volumes))
}

impl Volumes {
    /// Where the volume of a mount is.
    pub fn path(&self, cache: &CacheMount, inputs: &Inputs<'_, '_>) -> Result<PathBuf, WorkError> {
        let name = name(cache, inputs)?;
        Ok(self.0.get(&name).map(Volume::path).unwrap_or_default())
    }

    /// What has to be kept until the step has ended.
    pub fn into_held(self) -> impl Iterator<Item = Volume> {
        self.0.into_values()
    }
}

/// A volume that says how it begins is another one than one that does not, or begins otherwise.
fn name(cache: &CacheMount, inputs: &Inputs<'_, '_>) -> Result<VolumeName, WorkError> {
    let base = match (&cache.seed, cache.owner) {
        (Some(seed), _) => inputs.content(seed.input)?,
        (None, Some(FileOwner { mode, uid, gid })) => format!("{mode:o} {uid}:{gid}"),
        (None, None) => String::new(),
    };
    Ok(VolumeName { namespace: cache.namespace.clone(), id: cache.id.clone(), base })
}

/// Without the cache, what a volume begins with is made anew, and so is the volume: once in a
/// build, as several of its steps may use it. One that begins with nothing stays, as in BuildKit.
fn renew(
    worker: &BuildWorker<'_>,
    wanted: &BTreeMap<VolumeName, Wanted<'_>>,
    inputs: &Inputs<'_, '_>,
) -> Result<(), WorkError> {
    let mut renewed = lock(&worker.known.renewed);
    let made = wanted.iter().filter(|(_, it)| it.cache.seed.is_none() && it.cache.owner.is_some());
    for (name, _) in made {
        if renewed.insert(name.clone()) {
            worker.store.volumes().renew(name, &|| inputs.job.cancel.is_cancelled())?;
        }
    }
    Ok(())
}

fn begin(
    worker: &BuildWorker<'_>,
    mut new: NewVolume,
    wanted: &Wanted<'_>,
    inputs: &Inputs<'_, '_>,
) -> Result<Volume, WorkError> {
    let owner = match &wanted.cache.seed {
        None => wanted.cache.owner.unwrap_or(OWNER),
        Some(seed) => {
            let found = fill(worker, &mut new, seed, wanted.target, inputs)?;
            wanted.cache.owner.unwrap_or(found)
        }
    };
    Ok(new.finish(owner.mode, (owner.uid, owner.gid))?)
}

/// Copies the seed; gives mode and owner of its top directory.
fn fill(
    worker: &BuildWorker<'_>,
    new: &mut NewVolume,
    seed: &op::Source,
    target: &str,
    inputs: &Inputs<'_, '_>,
) -> Result<FileOwner, WorkError> {
    let selector = match inputs.job.vertex.inputs.get(seed.input).map(|edge| &edge.selector) {
        Some(Selector::Paths(paths)) => paths.clone(),
        _ => PathSelector::of(seed.path.clone()),
    };
    let tree = inputs.tree(seed.input)?;
    // Says what is missing, also for a path that would be a pattern that matches nothing.
    tree.locate(seed.path.as_bytes())?;
    let selection = tree.select(&selector)?;
    let top = selection.matches.first().map(|one| &one.top.node).filter(|node| node.is_dir());
    let Some(top) = top else {
        let (target, path) = (target.to_owned(), format!("/{}", seed.path));
        return Err(MountFailure::SeedNotADirectory { target, path }.into());
    };
    let owner = FileOwner { mode: top.mode & 0o7777, uid: top.uid, gid: top.gid };
    let op = CopyOp {
        base: None,
        sources: vec![CopySource::Input { input: 0, unpack: Unpack::No }],
        dest: "/".to_owned(),
        chown: None,
        chmod: None,
    };
    let selections = [selection];
    let below = Below::Seen(None);
    let (time, limits) = (worker.now(), worker.remotes.limits().archive());
    let copy = Copy { op: &op, below, selections: &selections, time, limits };
    copy::copy(&copy, new)?;
    Ok(owner)
}

impl Sink for NewVolume {
    fn add(
        &mut self,
        entry: &Entry,
        data: Option<&mut dyn std::io::Read>,
    ) -> Result<(), WriteError> {
        NewVolume::add(self, entry, data)
    }
}

fn sharing(sharing: op::Sharing) -> Sharing {
    match sharing {
        op::Sharing::Shared => Sharing::Shared,
        op::Sharing::Private => Sharing::Private,
        op::Sharing::Locked => Sharing::Locked,
    }
}
