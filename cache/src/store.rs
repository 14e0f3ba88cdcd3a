//! The store: one folder with everything that rbuild keeps, opened by any number of processes.
//!
//! ```text
//! version                  `1`, written last when the store is made
//! lock                     shared by whoever has the store open
//! oci-layout index.json    the store is an OCI image layout: `skopeo inspect oci:<root>:app:latest`
//! blobs/sha256/<hex>
//! layers/<id>/             one layer each, in one of two forms (`layer`)
//! records.db               the record index (`db`)
//! active/ tmp/             of running processes: <owner>-<n>
//! mounts/                  where layers are mounted
//! locks/                   of keys, of owners
//! logs/                    what steps wrote
//! volumes/<digest>/        what steps share from build to build (`volume`); made when first needed
//! git/<name>/              mirrors of git repositories, bare; can be fetched again
//! stat/<name>              digests of the files of one build context (`stat`)
//! ```
//!
//! # What survives what
//!
//! The death of a process: everything that was renamed into place; half-made things have an owner
//! and are swept when the next process opens the store.
//!
//! A power cut: documents and names of images, which are synced before they are named. Layers are
//! not: a layer can be twenty thousand files or gigabytes, and waiting for the disk would cost more
//! than the step. A layer's row holds the boot it was written under, and the extent of its files.
//! As long as that boot lasts, the page cache has every byte; after it, a layer that was never
//! synced is measured, and counts only if it is as long as it was. The same holds for blobs that
//! are layers, plain or compressed: their size is looked at each time. An image can so lose a layer
//! that was made in the half minute before the power went, and has to be built again.
//! [`Store::settle`] syncs once for all of them: pruning does it, which nobody waits for.
//!
//! Opening an existing store scans nothing, syncs nothing and writes nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::blob::Blobs;
use crate::db::{self, Db, DbError};
use crate::digest::ContentDigest;
use crate::fs::{self, FsError};
use crate::images::{self, Images};
use crate::layer::Layers;
use crate::lock::{self, ClaimError, FileLock, KeyLock, Mode};
use crate::record::Records;
use crate::root::Root;
use crate::stat::StatCache;
use crate::volume::Volumes;

#[cfg(test)]
mod tests;

/// An open store. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Arc<Root>,
    blobs: Blobs,
    images: Images,
    layers: Layers,
    records: Records,
    volumes: Volumes,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is something else.
    #[error("`{}` is not empty and not a store: `{found}` is there", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// One of the names in it.
        found: String,
    },
    /// It has another format.
    #[error("the store `{}` has the format `{found}`, this rbuild knows `1`", path.display())]
    Format {
        /// The folder.
        path: PathBuf,
        /// What its `version` says.
        found: String,
    },
    /// The record index cannot be used.
    #[error(transparent)]
    Index(#[from] DbError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The name would leave the folder of logs.
    #[error("`{0}` cannot name a log")]
    Name(String),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// Why layers could not be brought to the disk.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The record index cannot be used.
    #[error(transparent)]
    Index(#[from] DbError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

const FORMAT: &str = "1";
const FOLDERS: [&str; 8] = ["blobs", "layers", "active", "tmp", "mounts", "locks", "logs", "stat"];
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

impl Store {
    /// Opens the store in a folder, and makes it if the folder is empty or not there. Waits while
    /// somebody prunes it.
    ///
    /// A record index that is damaged is put aside, with a warning, and begun anew.
    pub fn open(path: &Path) -> Result<Store, OpenError> {
        let lock = match read_version(path)? {
            Some(found) => check_version(path, &found)
                .and_then(|()| Ok(FileLock::wait(&path.join("lock"), Mode::Shared)?)),
            None => create(path),
        }?;
        let (db, warning) = open_index(path)?;
        let root = Arc::new(Root::new(path.to_owned(), db, lock));
        if let Some(warning) = warning {
            root.warn(warning);
        }
        root.or_warn(root.sweep());
        Ok(Store { inner: Arc::new(Inner::new(root)) })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.inner.root.path
    }

    /// Immutable bytes by digest.
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// Tagged images.
    pub fn images(&self) -> &Images {
        &self.inner.images
    }

    /// Layers, and stacks of them.
    pub fn layers(&self) -> &Layers {
        &self.inner.layers
    }

    /// Results by key.
    pub fn records(&self) -> &Records {
        &self.inner.records
    }

    /// Directories that steps share from build to build.
    pub fn volumes(&self) -> &Volumes {
        &self.inner.volumes
    }

    /// What earlier builds found in the files of the build context at `context`, an absolute path
    /// without links.
    pub fn stat_cache(&self, context: &Path) -> Result<StatCache, FsError> {
        let root = &self.inner.root;
        Ok(StatCache::open(&root.path.join("stat"), root.temporary()?, context))
    }

    /// What went wrong since the last call and was got over: one line each, for the user.
    pub fn warnings(&self) -> Vec<String> {
        self.inner.root.take_warnings()
    }

    /// Waits until no other process or thread works on `key`, and keeps others from it. Asks
    /// `cancelled` about every 20 ms.
    pub fn claim(&self, key: &str, cancelled: &dyn Fn() -> bool) -> Result<KeyLock, ClaimError> {
        lock::claim(&self.inner.root.locks(), key, cancelled)
    }

    /// The folder of a mirror of a git repository; made if it is not there. Whoever uses it holds
    /// the key lock of its name, taken last: nobody waits for another key while holding it.
    pub fn git_mirror(&self, name: &ContentDigest) -> Result<PathBuf, FsError> {
        let folder = self.root().join("git");
        fs::create_dir(&folder)?;
        let mirror = folder.join(&name.hex()[..32]);
        fs::create_dir(&mirror)?;
        Ok(mirror)
    }

    /// A file below `logs/`, to add lines to.
    pub fn log_file(&self, name: &str) -> Result<File, LogError> {
        Ok(fs::open_append(&self.log_path(name)?)?)
    }

    /// Where [`Store::log_file`] puts them.
    pub fn log_path(&self, name: &str) -> Result<PathBuf, LogError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(LogError::Name(name.to_owned()));
        }
        Ok(self.root().join("logs").join(name))
    }

    /// Brings all finished layers to the disk, with one sync of the file system, so that they
    /// survive a power cut without being measured. Takes as long as the disk needs; a build's
    /// result can be shown before.
    pub fn settle(&self) -> Result<(), SettleError> {
        let root = &self.inner.root;
        let until = db::now();
        if root.db.has_unsettled(root.boot())? {
            fs::sync_all(&root.path)?;
            root.db.settle_layers(root.boot(), until)?;
        }
        Ok(())
    }
}

impl Store {
    /// What all parts of the store stand on.
    pub(crate) fn ground(&self) -> &Root {
        &self.inner.root
    }
}

impl Inner {
    fn new(root: Arc<Root>) -> Inner {
        let layers = Layers::new(root.clone());
        Inner {
            volumes: Volumes::new(root.clone(), layers.clone()),
            blobs: Blobs::new(root.clone()),
            images: Images::new(root.clone()),
            layers,
            records: Records::new(root.clone()),
            root,
        }
    }
}

fn read_version(path: &Path) -> Result<Option<String>, OpenError> {
    match fs::read(&path.join("version")) {
        Err(error) if error.is_absent() => Ok(None),
        other => Ok(Some(String::from_utf8_lossy(&other?).trim().to_owned())),
    }
}

fn check_version(path: &Path, found: &str) -> Result<(), OpenError> {
    if found == FORMAT {
        return Ok(());
    }
    Err(OpenError::Format { path: path.to_owned(), found: found.to_owned() })
}

/// Makes a store, or finishes one whose maker died. `version` comes last: with it, all is there.
fn create(path: &Path) -> Result<FileLock, OpenError> {
    refuse_foreign(path)?;
    fs::create_dir_all(path)?;
    let lock = FileLock::wait(&path.join("lock"), Mode::Exclusive)?;
    match read_version(path)? {
        // Somebody else made it while we waited.
        Some(found) => check_version(path, &found)?,
        None => fill(path)?,
    }
    lock.change(Mode::Shared)?;
    Ok(lock)
}

fn fill(path: &Path) -> Result<(), OpenError> {
    for folder in FOLDERS {
        fs::create_dir(&path.join(folder))?;
    }
    fs::create_dir(&path.join("blobs").join("sha256"))?;
    write_new(path, "oci-layout", OCI_LAYOUT)?;
    write_new(path, "index.json", &images::empty_index())?;
    Db::open(&path.join("records.db"))?;
    write_new(path, "version", format!("{FORMAT}\n").as_bytes())
}

fn write_new(path: &Path, name: &str, bytes: &[u8]) -> Result<(), OpenError> {
    let tmp = path.join("tmp").join(name);
    // From one who died here.
    fs::remove_file(&tmp)?;
    Ok(fs::replace(&path.join(name), &tmp, bytes)?)
}

/// A folder in which somebody keeps other things is not made a store of.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let files = ["version", "lock", "oci-layout", "index.json"];
    let ours = |name: &str| {
        FOLDERS.contains(&name)
            || name == "volumes"
            || name == "git"
            || files.contains(&name)
            || name.starts_with("records.db")
    };
    match fs::list(path)?.into_iter().find(|name| !ours(name)) {
        Some(found) => Err(OpenError::NotAStore { path: path.to_owned(), found }),
        None => Ok(()),
    }
}

/// Opens the record index; a damaged one is put aside and begun anew, which the text tells.
fn open_index(root: &Path) -> Result<(Db, Option<String>), OpenError> {
    let path = root.join("records.db");
    if !db::is_marked(&path) {
        match Db::open(&path) {
            Err(error) if error.is_damage() => {}
            other => return Ok((other?, None)),
        }
    }
    // One process does it, the others find it done.
    let _lock = FileLock::wait(&root.join("locks").join("recover"), Mode::Exclusive)?;
    if !db::is_marked(&path) {
        match Db::open(&path) {
            Err(error) if error.is_damage() => {}
            other => return Ok((other?, None)),
        }
    }
    let aside = db::put_aside(&path)?;
    let warning = format!(
        "`{}` was damaged and is now `{}`; the cache begins anew",
        path.display(),
        aside.display()
    );
    Ok((Db::open(&path)?, Some(warning)))
}
