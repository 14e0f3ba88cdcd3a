//! A new layer, entry by entry.

use std::io::{self, Read};
use std::path::PathBuf;

use super::dir::DirWriter;
use super::entry::{Entry, Kind, shown};
use super::{Layers, WriteError};
use crate::db::Form;
use crate::digest::Digest;
use crate::fs::{self, FsError};
use crate::id::LayerId;

/// A layer being written. Dropped before [`LayerWriter::finish`], it leaves nothing.
///
/// Entries may come in any order, but are best given in that of [`super::order`]: parents first.
/// A parent that is not given is made, root's and 0755. An entry replaces an earlier one at its
/// path; a directory over a directory changes its attributes only.
#[derive(Debug)]
pub struct LayerWriter {
    layers: Layers,
    folder: PathBuf,
    sink: DirWriter,
}

impl Layers {
    /// Begins a layer in this store's form.
    pub fn begin(&self) -> Result<LayerWriter, WriteError> {
        let folder = self.inner.root.temporary()?;
        fs::create_dir(&folder)?;
        let writer = |sink| LayerWriter { layers: self.clone(), folder: folder.clone(), sink };
        Ok(writer(DirWriter::create(&folder.join("fs"), self.inner.rights)?))
    }
}

impl LayerWriter {
    /// Adds one entry. `data` is needed for a file and must give exactly its size; for anything
    /// else it is not read.
    pub fn add(&mut self, entry: &Entry, data: Option<&mut dyn Read>) -> Result<(), WriteError> {
        entry.check()?;
        fs::door("write", &self.folder)?;
        let (empty, needed) = (&mut io::empty(), matches!(entry.kind, Kind::File { size: 1.. }));
        let done = match data {
            None if needed => Err(io::Error::other("the file comes without its data")),
            data => self.sink.add(entry, data.unwrap_or(empty)),
        };
        done.map_err(|cause| failed(&entry.path, cause))
    }

    /// Makes the directory at `path` hide what lower layers have in it, whether or not an entry for
    /// it comes too.
    pub(crate) fn opaque(&mut self, path: &[u8]) -> Result<(), WriteError> {
        self.sink.opaque(path).map_err(|cause| failed(path, cause))
    }

    /// Makes it a layer of the store.
    pub fn finish(self) -> Result<LayerId, WriteError> {
        self.end(None)
    }

    /// The same, for a layer whose archive has the digest `diff_id`.
    pub(crate) fn finish_as(self, diff_id: &Digest) -> Result<LayerId, WriteError> {
        self.end(Some(*diff_id))
    }

    fn end(mut self, diff_id: Option<Digest>) -> Result<LayerId, WriteError> {
        self.sink.finish().map_err(|cause| FsError::new("write", &self.folder, cause))?;
        Ok(self.layers.inner.root.place_layer(&self.folder, Form::Directory, diff_id)?)
    }
}

impl Drop for LayerWriter {
    fn drop(&mut self) {
        // After `finish` nothing has this name. If it fails, the next process sweeps.
        let _ = fs::remove_tree(&self.folder);
    }
}

fn failed(path: &[u8], cause: io::Error) -> WriteError {
    WriteError::Add { path: shown(path), cause }
}
