//! Room for what lives no longer than the process: a folder below `tmp/`, and a writer that fills
//! one with the entries of an archive.
//!
//! A folder whose process died is swept when the store is opened again.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::fs::{self, FsError};
use crate::layer::dir::DirWriter;
use crate::layer::entry::shown;
use crate::layer::{Entry, Kind, Layers, WriteError};
use crate::root::Root;
use crate::store::Store;

/// An empty folder of the store, for its owner only. Dropped, it is gone with all in it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

/// Fills a folder, entry by entry, as [`crate::LayerWriter`] fills a layer: nothing outside of the
/// folder is ever reached, whatever the entries and links in it say.
#[derive(Debug)]
pub struct FolderWriter {
    path: PathBuf,
    sink: DirWriter,
}

impl Store {
    /// A new folder below `tmp/`.
    pub fn scratch(&self) -> Result<Scratch, FsError> {
        Scratch::new(self.ground())
    }

    /// A writer that makes the folder `name` of `scratch`.
    pub fn fill(&self, scratch: &Scratch, name: &str) -> Result<FolderWriter, FsError> {
        FolderWriter::new(scratch, name, self.layers())
    }
}

impl Scratch {
    pub(crate) fn new(root: &Root) -> Result<Scratch, FsError> {
        let path = root.temporary()?;
        fs::create_dir(&path)?;
        Ok(Scratch { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If it fails, the next process sweeps.
        let _ = fs::remove_tree(&self.path);
    }
}

impl FolderWriter {
    pub(crate) fn new(
        scratch: &Scratch,
        name: &str,
        layers: &Layers,
    ) -> Result<FolderWriter, FsError> {
        let path = scratch.path.join(name);
        let sink = DirWriter::create(&path, layers.rights())?;
        Ok(FolderWriter { path, sink })
    }

    /// Adds one entry, in place of an earlier one at its path. `data` is needed for a file.
    pub fn add(&mut self, entry: &Entry, data: Option<&mut dyn Read>) -> Result<(), WriteError> {
        entry.check()?;
        fs::door("write", &self.path)?;
        let added = match (data, &entry.kind) {
            (None, Kind::File { size: 1.. }) => {
                Err(io::Error::other("the file comes without its data"))
            }
            (data, _) => self.sink.add(entry, data.unwrap_or(&mut io::empty())),
        };
        added.map_err(|cause| WriteError::Add { path: shown(&entry.path), cause })
    }

    /// Sets the times of directories, and gives the folder.
    pub fn finish(mut self) -> Result<PathBuf, FsError> {
        self.sink.finish().map_err(|cause| FsError::new("write", &self.path, cause))?;
        Ok(self.path)
    }
}

#[cfg(test)]
mod tests;
