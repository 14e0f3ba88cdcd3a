//! What all parts of an open store stand on: its folder, its index, its lock, its temporary
//! names, and the warnings that a build should show.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::db::Db;
use crate::fs::{self, FsError};
use crate::id::{self, LayerId};
use crate::lock::FileLock;

mod layers;

pub use layers::PlaceError;

/// The ground of an open store.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    pub(crate) db: Db,
    /// Shared while the store is open.
    pub(crate) lock: FileLock,
    warnings: Mutex<Vec<String>>,
    owner: Mutex<Option<Owner>>,
    serial: AtomicU64,
    boot: OnceLock<String>,
    pub(crate) known: Mutex<Known>,
}

/// What this process found out about the store and need not look up again: while it holds the
/// shared lock, nobody takes away what is there.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Layers that are there and complete.
    pub(crate) present: HashSet<LayerId>,
    /// Layers whose bytes are here: not only known.
    pub(crate) here: HashSet<LayerId>,
    /// Layers that stand on no unchecked guess.
    pub(crate) firm: HashSet<LayerId>,
    /// Records used, whose rows do not say so yet.
    pub(crate) used_records: HashSet<[u8; 32]>,
    /// Layers used, whose rows do not say so yet.
    pub(crate) used_layers: HashSet<LayerId>,
}

/// Rows say when they were last used to this precision, in nanoseconds: an hour. So a build that
/// only reads does not write.
pub(crate) const USED_PRECISION: i64 = 3_600_000_000_000;

/// The prefix of this process's temporary names, and the lock that says it lives.
#[derive(Debug)]
struct Owner {
    name: String,
    _lock: FileLock,
}

impl Root {
    pub(crate) fn new(path: PathBuf, db: Db, lock: FileLock) -> Root {
        Root {
            path,
            db,
            lock,
            warnings: Mutex::default(),
            owner: Mutex::default(),
            serial: AtomicU64::new(0),
            boot: OnceLock::new(),
            known: Mutex::default(),
        }
    }

    /// Finished layers, a folder each.
    pub(crate) fn layers(&self) -> PathBuf {
        self.path.join("layers")
    }

    /// The folder of one finished layer.
    pub(crate) fn layer(&self, id: &LayerId) -> PathBuf {
        self.path.join("layers").join(id.to_string())
    }

    /// `blobs/sha256`
    pub(crate) fn blobs(&self) -> PathBuf {
        self.path.join("blobs").join("sha256")
    }

    /// Volumes, a folder each.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.path.join("volumes")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.path.join("locks")
    }

    /// A new name below `tmp/`. What is left there by a dead process is removed by others.
    pub(crate) fn temporary(&self) -> Result<PathBuf, FsError> {
        self.owned("tmp")
    }

    /// A new name below `active/`, with the same care.
    pub(crate) fn active(&self) -> Result<PathBuf, FsError> {
        self.owned("active")
    }

    /// Where layers are mounted, each process in a mount namespace of its own.
    pub(crate) fn mounts(&self) -> PathBuf {
        self.path.join("mounts")
    }

    fn owned(&self, folder: &str) -> Result<PathBuf, FsError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let mut owner = guard(&self.owner);
        if owner.is_none() {
            *owner = Some(Owner::new(&self.locks())?);
        }
        let name = owner.as_ref().map(|owner| owner.name.as_str()).unwrap_or_default();
        Ok(self.path.join(folder).join(format!("{name}-{serial}")))
    }

    /// Names this boot of the machine. What was written before the last one, and never synced,
    /// may be incomplete.
    pub(crate) fn boot(&self) -> &str {
        self.boot.get_or_init(|| {
            let known = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
            // Without an answer each process is a boot of its own, which is only slower.
            known.map_or_else(|_| format!("{:x}", id::random()), |text| text.trim().to_owned())
        })
    }

    /// Writes down what was used since the store was opened.
    pub(crate) fn flush_used(&self) {
        let (records, layers) = {
            let mut known = guard(&self.known);
            (std::mem::take(&mut known.used_records), std::mem::take(&mut known.used_layers))
        };
        if !records.is_empty() || !layers.is_empty() {
            self.or_warn(self.db.touch(&records, &layers));
        }
    }

    /// Gives a damaged file another name beside the old one, and tells which; none if there is no
    /// such file.
    pub(crate) fn put_aside(&self, path: &Path) -> Result<Option<PathBuf>, FsError> {
        if fs::file_size(path)?.is_none() {
            return Ok(None);
        }
        let aside = fs::aside(path);
        fs::rename(path, &aside)?;
        Ok(Some(aside))
    }

    /// Lets the machine seem to have been started anew.
    #[cfg(test)]
    pub(crate) fn pretend_boot(&self, name: &str) {
        self.boot.set(name.to_owned()).unwrap();
    }

    /// Tells the user later: what went wrong and was got over.
    pub(crate) fn warn(&self, warning: impl Display) {
        let warning = warning.to_string();
        let mut warnings = guard(&self.warnings);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *guard(&self.warnings))
    }

    /// The answer, or nothing and a warning: a broken cache is an empty one.
    pub(crate) fn or_warn<T, E: Display>(&self, answer: Result<T, E>) -> Option<T> {
        answer.map_err(|error| self.warn(error)).ok()
    }

    /// Removes what dead processes left below `active/` and `tmp/`. Costs two directory reads when
    /// there is nothing.
    pub(crate) fn sweep(&self) -> Result<(), FsError> {
        for folder in ["active", "tmp"] {
            let folder = self.path.join(folder);
            for name in fs::list(&folder)? {
                if self.is_abandoned(&name)? {
                    fs::remove_tree(&folder.join(name))?;
                }
            }
        }
        Ok(())
    }

    fn is_abandoned(&self, name: &str) -> Result<bool, FsError> {
        let owner = name.split_once('-').map_or(name, |(owner, _)| owner);
        if guard(&self.owner).as_ref().is_some_and(|own| own.name == owner) {
            return Ok(false);
        }
        let lock = owner_lock(&self.locks(), owner);
        // Without its lock file it has ended in good order, or never began.
        Ok(!lock.exists() || FileLock::try_transient(&lock)?.is_some())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.flush_used();
    }
}

impl Owner {
    fn new(locks: &Path) -> Result<Owner, FsError> {
        loop {
            let name = format!("{:032x}", id::random());
            if let Some(lock) = FileLock::try_transient(&owner_lock(locks, &name))? {
                return Ok(Owner { name, _lock: lock });
            }
        }
    }
}

fn owner_lock(locks: &Path, name: &str) -> PathBuf {
    locks.join(format!("owner-{name}"))
}

/// A lock that a panicking thread held guards nothing half done here: each change is one step.
pub(crate) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
