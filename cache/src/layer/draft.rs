//! A snapshot that can be written to, and whose changes nobody keeps.

use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

use super::overlay::{self, Changes};
use super::{Active, Layers, MountError, Snapshot};

/// A mounted tree above a snapshot. Dropped, it is gone with all that was written to it.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    _active: Active,
}

impl Layers {
    /// Mounts `snapshot` with an empty directory above it that takes the changes.
    pub fn draft(&self, snapshot: &Snapshot) -> Result<Draft, MountError> {
        let active = self.activate(snapshot)?;
        let path = self.mount_point()?;
        let failed = |cause| MountError::Mount { what: "a tree to write to".to_owned(), cause };
        let changes = Changes { upper: &active.upper, work: &active.work };
        overlay::lay(&active.lowers, Some(changes), self.inner.rights, &path).map_err(failed)?;
        Ok(Draft { path, _active: active })
    }
}

impl Draft {
    /// Where it is mounted, in this process.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Nobody is told: the namespace ends with the process anyway.
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}
