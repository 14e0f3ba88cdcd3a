//! A snapshot that is being written: an upper directory over a stack of layers.

use std::fs::{Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::{Layers, MountError, Snapshot, WriteError};
use crate::db::Form;
use crate::fs::{self, FsError};
use crate::id::LayerId;

/// The directories of an overlay mount whose changes will be one layer. Dropped without
/// [`Layers::commit`], the changes are gone.
#[derive(Debug)]
pub struct Active {
    /// What is below, topmost first; never empty.
    pub lowers: Vec<PathBuf>,
    /// Takes the changes.
    pub upper: PathBuf,
    /// Overlayfs's own; on the file system of `upper`.
    pub work: PathBuf,
    folder: PathBuf,
}

impl Layers {
    /// Begins a layer on top of `snapshot`. The new root looks as the one below: same mode, same
    /// owner; over `scratch` it is root's and 0755.
    pub fn activate(&self, snapshot: &Snapshot) -> Result<Active, MountError> {
        let lowers = self.lowers(snapshot)?;
        let folder = self.inner.root.active()?;
        fs::create_dir(&folder)?;
        let (upper, work) = (folder.join("upper"), folder.join("work"));
        let active = Active { lowers, upper, work, folder };
        fs::create_dir(&active.upper)?;
        fs::create_dir(&active.work)?;
        if let Some(below) = active.lowers.first() {
            dress(&active.upper, below)?;
        }
        Ok(active)
    }

    /// Makes the upper directory a layer as it is. Nobody may write to it any more.
    pub fn commit(&self, active: Active) -> Result<LayerId, WriteError> {
        fs::remove_tree(&active.work)?;
        fs::rename(&active.upper, &active.folder.join("fs"))?;
        Ok(self.inner.root.place_layer(&active.folder, Form::Directory, None, None)?)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        // After a commit nothing has this name. If it fails, the next process sweeps.
        let _ = fs::remove_tree(&self.folder);
    }
}

/// Overlayfs shows the root of the upper as the root of everything.
fn dress(upper: &Path, below: &Path) -> Result<(), FsError> {
    let failed = |verb, path| move |cause| FsError::new(verb, path, cause);
    let meta: Metadata = std::fs::metadata(below).map_err(failed("stat", below))?;
    chown(upper, Some(meta.uid()), Some(meta.gid())).map_err(failed("chown", upper))?;
    let mode = Permissions::from_mode(meta.mode() & 0o7777);
    std::fs::set_permissions(upper, mode).map_err(failed("chmod", upper))
}
