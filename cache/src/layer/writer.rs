//! A new layer, entry by entry.

use std::io::{self, Read};
use std::path::PathBuf;

use super::content::running::Running;
use super::dir::DirWriter;
use super::entry::{Entry, Kind, shown};
use super::indexed::{Finished, IndexedWriter};
use super::{Layers, WriteError};
use crate::db::Form;
use crate::digest::{ContentDigest, Digest};
use crate::fs::{self, FsError};
use crate::id::LayerId;

/// A layer being written. Dropped before [`LayerWriter::finish`], it leaves nothing.
///
/// Entries may come in any order, but are best given in that of [`super::order`], parents first:
/// another order may cost a second pass. A parent that is not given is made, root's and 0755. An
/// entry replaces an earlier one at its path; a directory over a directory changes its attributes
/// only. After an error the layer is good for nothing but being dropped.
#[derive(Debug)]
pub struct LayerWriter {
    layers: Layers,
    folder: Folder,
    sink: Sink,
    content: Running,
}

#[derive(Debug)]
enum Sink {
    Directory(DirWriter),
    Indexed(Box<IndexedWriter>),
}

/// A folder below `tmp/`, removed with all in it unless it became a layer.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

/// What is about to be written, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Everything that has a name.
    pub entries: u64,
    /// The lengths of the files.
    pub bytes: u64,
}

/// From this mean size on, in bytes, files are better off as files: making one costs less than the
/// kernel's second copy of its bytes, which reading through EROFS makes.
const LARGE: u64 = 1 << 20;

impl Layers {
    /// Begins a layer in this store's form.
    pub fn begin(&self) -> Result<LayerWriter, WriteError> {
        self.begin_of(Extent::default())
    }

    /// Begins a layer in the form that suits what it will hold.
    pub fn begin_of(&self, extent: Extent) -> Result<LayerWriter, WriteError> {
        let folder = self.folder()?;
        let form = match extent.bytes / extent.entries.max(1) {
            LARGE.. => Form::Directory,
            _ => self.form(),
        };
        let sink = match form {
            Form::Directory => Sink::Directory(self.directory(&folder)?),
            Form::Erofs => Sink::Indexed(Box::new(IndexedWriter::create(&folder.path)?)),
        };
        let content = Running::new(self.inner.rights);
        Ok(LayerWriter { layers: self.clone(), folder, sink, content })
    }

    pub(super) fn folder(&self) -> Result<Folder, FsError> {
        let path = self.inner.root.temporary()?;
        fs::create_dir(&path)?;
        Ok(Folder { path })
    }

    /// A writer of the directory form in `folder`.
    pub(super) fn directory(&self, folder: &Folder) -> Result<DirWriter, FsError> {
        DirWriter::create(&folder.path.join("fs"), self.inner.rights)
    }

    /// Makes the folder a layer in directory form.
    pub(super) fn place_directory(
        &self,
        folder: &Folder,
        mut sink: DirWriter,
        content: Option<ContentDigest>,
    ) -> Result<LayerId, WriteError> {
        sink.finish().map_err(|cause| FsError::new("write", &folder.path, cause))?;
        Ok(self.inner.root.place_layer(&folder.path, Form::Directory, None, content)?)
    }

    /// Makes the folder a layer in indexed form.
    pub(super) fn place_indexed(
        &self,
        folder: &Folder,
        diff_id: Digest,
        content: Option<ContentDigest>,
    ) -> Result<LayerId, WriteError> {
        Ok(self.inner.root.place_layer(&folder.path, Form::Erofs, Some(diff_id), content)?)
    }
}

impl LayerWriter {
    /// Adds one entry. `data` is needed for a file and must give exactly its size; for anything
    /// else it is not read.
    pub fn add(&mut self, entry: &Entry, data: Option<&mut dyn Read>) -> Result<(), WriteError> {
        entry.check()?;
        fs::door("write", &self.folder.path)?;
        let empty = &mut io::empty();
        let done = match (data, &mut self.sink) {
            (None, _) if matches!(entry.kind, Kind::File { size: 1.. }) => {
                Err(io::Error::other("the file comes without its data"))
            }
            (data, Sink::Directory(sink)) => sink.add(entry, data.unwrap_or(empty)),
            (data, Sink::Indexed(sink)) => sink.add(entry, data.unwrap_or(empty)),
        };
        done.map_err(|cause| WriteError::Add { path: shown(&entry.path), cause })?;
        self.content.add(entry);
        Ok(())
    }

    /// Says what BLAKE3 makes of the bytes of `entry`, the file that was added last. Who knows it
    /// and says so for every file spares the layer from being read for its content.
    pub fn digested(&mut self, entry: &Entry, digest: &ContentDigest) {
        self.content.file(entry, digest);
    }

    /// Makes it a layer of the store.
    pub fn finish(self) -> Result<LayerId, WriteError> {
        let (layers, folder, content) = (self.layers, self.folder, self.content.finish());
        let sink = match self.sink {
            Sink::Directory(sink) => return layers.place_directory(&folder, sink, content),
            Sink::Indexed(sink) => sink,
        };
        let failed = |cause| FsError::new("write", &folder.path, cause);
        match sink.finish().map_err(failed)? {
            Finished::Indexed(diff_id) => layers.place_indexed(&folder, diff_id, content),
            Finished::Unsupported => {
                let sink = layers.unpack_tar(&folder).map_err(io::Error::other).map_err(failed)?;
                layers.place_directory(&folder, sink, content)
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Once it is a layer, nothing has this name. If it fails, the next process sweeps.
        let _ = fs::remove_tree(&self.path);
    }
}
