//! Layers: what one step added, changed and deleted, kept once and laid over each other.
//!
//! A [`Snapshot`] is a stack of layers and nothing more. A layer is independent of what lies below
//! it, and lies on disk in one of two forms:
//!
//! - a directory (`fs/`), as overlayfs takes it for a lower: what a `RUN` leaves behind, and
//!   everything where EROFS cannot be mounted;
//! - a tar (`layer.tar`) and an EROFS index over it (`layer.erofs`, see `erofs`): written several
//!   times faster than a tree of small files.
//!
//! Both show the same tree, digest to the same content and give the same archive. A layer of an
//! image in a registry may be known and not be here at all (`lazy`).
//!
//! Mounts are made in the mount namespace of the process, which is its own: no other process sees
//! them, and they end with it. Whoever mounts layers with overlayfs must not trust what they hold:
//! `redirect_dir=nofollow`, `metacopy=off` and `index=off`, `userxattr` in a user namespace, and
//! `volatile` for the upper of an [`Active`] (a power cut is dealt with when a layer is looked up).

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::blob::Blobs;
use crate::db::{self, DbError, Form, LayerRow};
use crate::digest::Digest;
use crate::fs::FsError;
use crate::id::LayerId;
use crate::root::Root;

mod active;
mod archive;
mod compress;
mod content;
pub(crate) mod dir;
mod draft;
pub(crate) mod entry;
mod error;
mod export;
mod import;
mod indexed;
mod lazy;
mod marks;
mod mount;
mod overlay;
mod pipe;
mod source;
mod squash;
pub(crate) mod tree;
mod unpack;
mod walk;
mod writer;

pub use active::Active;
pub use compress::Compression;
pub use draft::Draft;
pub use entry::{BadEntry, Entry, Kind, keeps_xattr, order};
pub use error::{CompressError, ImportError, MountError, ReadError, WriteError};
pub use export::Archive;
pub use lazy::{Guess, Missing};
pub use mount::View;
pub use writer::{Extent, LayerWriter};

/// A committed file tree: layers laid over each other. Empty is `scratch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Snapshot {
    /// Bottom first.
    pub layers: Vec<LayerId>,
}

/// The layers of a store. Clones share them.
#[derive(Debug, Clone)]
pub struct Layers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Arc<Root>,
    blobs: Blobs,
    rights: marks::Rights,
    form: OnceLock<Form>,
    mounts: mount::Mounts,
}

impl Snapshot {
    /// This stack with one more layer on top.
    pub fn with(&self, layer: LayerId) -> Snapshot {
        Snapshot { layers: self.layers.iter().copied().chain([layer]).collect() }
    }

    /// These stacks on one another, the first one at the bottom.
    pub fn stacked<'a>(parts: impl IntoIterator<Item = &'a Snapshot>) -> Snapshot {
        Snapshot { layers: parts.into_iter().flat_map(|part| part.layers.clone()).collect() }
    }

    /// Whether this stack was made on `other` or with it.
    pub fn holds(&self, other: &Snapshot) -> bool {
        let count = other.layers.len();
        count == 0 || self.layers.windows(count).any(|layers| layers == other.layers)
    }
}

impl Layers {
    pub(crate) fn new(root: Arc<Root>) -> Layers {
        let blobs = Blobs::new(Arc::clone(&root));
        let (rights, mounts) = (marks::Rights::detect(), mount::Mounts::default());
        Layers { inner: Arc::new(Inner { root, blobs, rights, form: OnceLock::new(), mounts }) }
    }

    /// A layer whose archive has this digest, if the store knows one; it need not be here.
    pub fn by_diff_id(&self, diff_id: &Digest) -> Option<LayerId> {
        self.inner.root.layer_by_diff_id(diff_id)
    }

    /// When the layer was made.
    pub fn created(&self, id: &LayerId) -> Option<SystemTime> {
        self.row(id).ok().flatten().map(|row| db::time(row.created))
    }

    /// The form of new layers: [`Form::Erofs`] where the kernel mounts it, which is tried once.
    pub fn form(&self) -> Form {
        *self.inner.form.get_or_init(|| match self.try_indexed() {
            Ok(()) => Form::Erofs,
            Err(_) => Form::Directory,
        })
    }

    /// Why new layers are directories; none where they are tars with an index.
    pub fn why_directories(&self) -> Option<WriteError> {
        self.try_indexed().err()
    }

    /// Writes and mounts an empty layer; where is nobody's business.
    fn try_indexed(&self) -> Result<(), WriteError> {
        if self.inner.rights == marks::Rights::Namespace {
            return Err(FsError::new("mount", &self.inner.root.path, Errno::PERM).into());
        }
        let folder = self.folder()?;
        let failed = |cause| FsError::new("mount", &folder.path, cause);
        indexed::IndexedWriter::create(&folder.path)?.finish().map_err(failed)?;
        mount::open_indexed(&folder.path).map_err(|errno| failed(errno.into()))?;
        Ok(())
    }

    /// What may be done to files here.
    pub(crate) fn rights(&self) -> marks::Rights {
        self.inner.rights
    }

    fn row(&self, id: &LayerId) -> Result<Option<LayerRow>, DbError> {
        self.inner.root.db.layer(id)
    }
}

#[cfg(test)]
mod tests;
