//! Removing what is not needed, and telling what there is.
//!
//! Images that are tagged stay, with their blobs and their layers. Everything else can be had
//! again; what goes first is in `plan`. Sizes are allocated blocks, so that a limit is a limit of
//! the disk.
//!
//! Pruning excludes everybody else from the store, and rows go before bytes: a process that dies
//! in the middle leaves bytes without rows, which the next pruning removes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::db::{DbError, Doomed, nanoseconds};
use crate::fs::{self, FsError};
use crate::images::ImageError;
use crate::lock::Mode;
use crate::root::{Known, Root, guard};
use crate::store::Store;

mod held;
mod plan;
#[cfg(test)]
mod tests;
mod usage;

pub(crate) use held::documents;
pub use usage::{BlobUsage, LayerUsage, RecordUsage, Usage};

/// How much to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prune {
    /// All but the tagged images: the cache, volumes included.
    Unreferenced,
    /// The tagged images too.
    Everything,
    /// The least valuable part of the cache, until the store takes no more than so many bytes.
    ToSize(u64),
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Results forgotten.
    pub records: usize,
    /// Layers removed.
    pub layers: usize,
    /// Blobs removed.
    pub blobs: usize,
    /// Volumes removed.
    pub volumes: usize,
    /// Bytes given back.
    pub freed: u64,
    /// Bytes that the store takes now.
    pub left: u64,
}

/// Why it cannot be told what is in the store.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The images cannot be read.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// The record index cannot be used.
    #[error(transparent)]
    Index(#[from] DbError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// Why nothing, or not all, was removed.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The caller did not want to wait.
    #[error("the store `{}` is in use by another process", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// It cannot be told what is in the store.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// How often to look whether the others have left.
const PAUSE: Duration = Duration::from_millis(20);

/// What only explains or saves time stays for so long when a size is kept: logs, stat caches,
/// lists of files.
const STAYS: Duration = Duration::from_secs(30 * 24 * 3600);

impl Store {
    /// What is in the store.
    pub fn usage(&self) -> Result<Usage, UsageError> {
        Usage::of(self.ground(), self.blobs(), self.images())
    }

    /// Removes what `what` says. Not to be called while a build of this process uses the store;
    /// while another process does, it waits until `give_up` says otherwise, which is asked about
    /// every 20 ms.
    pub fn prune(&self, what: Prune, give_up: &dyn Fn() -> bool) -> Result<Pruned, PruneError> {
        self.alone(give_up, || self.prune_alone(what))
    }

    /// Waits until no other process has the store open, and keeps them out meanwhile.
    pub(crate) fn alone<T>(
        &self,
        give_up: &dyn Fn() -> bool,
        work: impl FnOnce() -> Result<T, PruneError>,
    ) -> Result<T, PruneError> {
        let root = self.ground();
        let worked = wait_until_alone(root, give_up).and_then(|()| work());
        // While it waited, and by what it did, things may have gone.
        *guard(&root.known) = Known::default();
        root.lock.change(Mode::Shared)?;
        worked
    }

    fn prune_alone(&self, what: Prune) -> Result<Pruned, PruneError> {
        let root = self.ground();
        root.flush_used();
        root.sweep()?;
        if what == Prune::Unreferenced {
            self.images().drop_nameless().map_err(UsageError::from)?;
        }
        let before = self.usage()?;
        let usage = if has_mirrors_to_remove(root, what, &before)? {
            fs::remove_tree(&root.path.join("git"))?;
            self.usage()?
        } else {
            before.clone()
        };
        let doomed = match what {
            Prune::Unreferenced => plan::plan(&usage, 0, SystemTime::now()),
            Prune::ToSize(limit) => plan::plan(&usage, limit, SystemTime::now()),
            Prune::Everything => everything(&usage),
        };
        if what == Prune::Everything {
            self.images().clear().map_err(UsageError::from)?;
            root.db.clear().map_err(UsageError::from)?;
        }
        remove(self, &doomed)?;
        remove_leftovers(root, what)?;
        root.or_warn(self.settle());
        let left = self.usage()?.total();
        Ok(Pruned {
            records: doomed.records.len(),
            layers: doomed.layers.len(),
            blobs: doomed.blobs.len(),
            volumes: doomed.volumes.len(),
            freed: before.total().saturating_sub(left),
            left,
        })
    }
}

fn wait_until_alone(root: &Root, give_up: &dyn Fn() -> bool) -> Result<(), PruneError> {
    while !root.lock.try_exclusive()? {
        if give_up() {
            return Err(PruneError::Busy { path: root.path.clone() });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn everything(usage: &Usage) -> Doomed {
    Doomed {
        records: usage.records.iter().map(|record| record.key).collect(),
        layers: usage.layers.iter().map(|layer| layer.id).collect(),
        blobs: usage.blobs.iter().map(|blob| blob.digest).collect(),
        volumes: usage.volumes.iter().map(|volume| volume.folder.clone()).collect(),
    }
}

/// Removes these, rows first.
pub(crate) fn remove(store: &Store, doomed: &Doomed) -> Result<(), PruneError> {
    let root = store.ground();
    root.db.forget(doomed).map_err(UsageError::from)?;
    for id in &doomed.layers {
        fs::remove_tree(&root.layer(id))?;
    }
    for digest in &doomed.blobs {
        fs::remove_file(&store.blobs().path(digest))?;
    }
    for folder in &doomed.volumes {
        fs::remove_tree(folder)?;
    }
    Ok(())
}

/// Mirrors of git repositories save a fetch and no work, so they go first.
fn has_mirrors_to_remove(root: &Root, what: Prune, usage: &Usage) -> Result<bool, FsError> {
    let wanted = match what {
        Prune::ToSize(limit) => usage.total() > limit,
        Prune::Unreferenced | Prune::Everything => true,
    };
    Ok(wanted && !fs::list(&root.path.join("git"))?.is_empty())
}

/// What no row speaks of, and what is only good for a time.
fn remove_leftovers(root: &Root, what: Prune) -> Result<(), PruneError> {
    for stray in stray_layers(root)? {
        fs::remove_tree(&stray)?;
    }
    let stays = match what {
        Prune::ToSize(_) => STAYS,
        Prune::Unreferenced | Prune::Everything => Duration::ZERO,
    };
    for folder in ["logs", "stat"] {
        remove_old(&root.path.join(folder), stays)?;
    }
    let before = nanoseconds(SystemTime::now() - stays);
    root.or_warn(root.db.delete_file_lists(before).and_then(|()| root.db.shrink()));
    Ok(())
}

fn remove_old(folder: &Path, stays: Duration) -> Result<(), FsError> {
    for name in fs::list(folder)? {
        let file = folder.join(name);
        if fs::age(&file)? >= stays {
            fs::remove_tree(&file)?;
        }
    }
    Ok(())
}

/// Folders among the layers that the index does not know.
fn stray_layers(root: &Root) -> Result<Vec<PathBuf>, UsageError> {
    let known = root.db.all_layers()?;
    let known: HashSet<String> = known.iter().map(|row| row.id.to_string()).collect();
    let names = fs::list(&root.layers())?;
    let strays = names.into_iter().filter(|name| !known.contains(name));
    Ok(strays.map(|name| root.layers().join(name)).collect())
}
