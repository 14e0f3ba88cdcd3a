//! The archive of a layer, as images have it.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::archive::TarWriter;
use super::entry::{Entry, Kind};
use super::indexed::{self, TAR};
use super::pipe::Pipe;
use super::source::Body;
use super::tree::What;
use super::{Layers, MountError, ReadError, Snapshot, walk};
use crate::blob::BlobWriteError;
use crate::db::Form;
use crate::digest::Digest;
use crate::fs::{self, FsError};
use crate::id::LayerId;

/// The uncompressed archive of a layer, whether or not the store has its bytes in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive {
    /// Its digest: what a config's `rootfs.diff_ids` lists.
    pub diff_id: Digest,
    /// In bytes.
    pub size: u64,
}

/// Archives of layers with no more bytes of files than this become blobs as soon as somebody wants
/// their digest, in the same pass. A larger one would take its bytes on the disk twice, and its
/// time, for a blob that mostly nobody reads.
const SMALL: u64 = 16 << 20;

impl Layers {
    /// Digest and size of the layer's archive: entries in the order of [`super::order`], whole
    /// seconds, and none later than `clamp` (seconds since 1970). The same layer gives the same
    /// bytes everywhere. It becomes a blob only where that costs little.
    pub fn archive(&self, layer: &LayerId, clamp: Option<i64>) -> Result<Archive, ReadError> {
        if let Some((diff_id, size)) = self.inner.root.db.tar(layer, clamp)? {
            return Ok(Archive { diff_id, size });
        }
        let row = self.row(layer)?.ok_or(ReadError::Missing(*layer))?;
        if row.measure.bytes <= SMALL || (row.form == Some(Form::Erofs) && clamp.is_none()) {
            return self.tar(layer, clamp);
        }
        let tar = self.write_archive(layer, clamp, Pipe::digesting())?;
        let written = tar.finish().map_err(blob_failed)?;
        self.note(layer, clamp, Archive { diff_id: written.digest, size: written.size })
    }

    /// As [`Layers::archive`], and there is a blob of it afterwards.
    ///
    /// Without a clamp a pulled layer has the archive it was pulled as. In directory form that is
    /// made again from the tree, which succeeds if it was written as rbuild writes archives;
    /// otherwise only the blob it was pulled as has it: [`ReadError::NotKept`].
    pub fn tar(&self, layer: &LayerId, clamp: Option<i64>) -> Result<Archive, ReadError> {
        if let Some(known) = self.known_tar(layer, clamp)? {
            return Ok(known);
        }
        if let Some(kept) = self.kept_tar(layer, clamp)? {
            return Ok(kept);
        }
        let blob = self.write_archive(layer, clamp, self.inner.blobs.writer()?)?;
        let expected = self.row(layer)?.and_then(|row| row.diff_id).filter(|_| clamp.is_none());
        let (diff_id, size) = match blob.finish(expected.as_ref()) {
            Err(BlobWriteError::Mismatch { expected: diff_id, .. }) => {
                return Err(ReadError::NotKept { layer: *layer, diff_id });
            }
            done => done?,
        };
        self.note(layer, clamp, Archive { diff_id, size })
    }

    /// Makes a blob of the archive with this digest, of whichever layer has it; none has if this
    /// gives `false`.
    pub fn restore(&self, diff_id: &Digest) -> Result<bool, ReadError> {
        if self.inner.blobs.contains(diff_id) {
            return Ok(true);
        }
        for (layer, clamp) in self.archived(diff_id)? {
            if self.tar(&layer, clamp)?.diff_id == *diff_id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The layers whose archive has this digest, each with the clamp that gives it.
    pub(super) fn archived(
        &self,
        diff_id: &Digest,
    ) -> Result<Vec<(LayerId, Option<i64>)>, ReadError> {
        let root = &self.inner.root;
        let mut found = root.db.layers_of_tar(diff_id)?;
        let own = root.db.layers_by_diff_id(diff_id)?;
        let own = own.iter().filter(|row| row.diff_id == Some(*diff_id));
        found.extend(own.filter(|row| row.form.is_some()).map(|row| (row.id, None)));
        found.retain(|(layer, _)| root.has_layer(layer));
        Ok(found)
    }

    /// Writes the layer's archive to `out` and gives it back.
    pub(super) fn write_archive<W: Write>(
        &self,
        layer: &LayerId,
        clamp: Option<i64>,
        out: W,
    ) -> Result<W, ReadError> {
        let mut tar = TarWriter::new(out);
        self.each(layer, &mut |mut entry, body| {
            clamp_time(&mut entry, clamp);
            add(&mut tar, &entry, body)
        })?;
        tar.finish().map_err(blob_failed)
    }

    fn note(
        &self,
        layer: &LayerId,
        clamp: Option<i64>,
        archive: Archive,
    ) -> Result<Archive, ReadError> {
        let root = &self.inner.root;
        root.or_warn(root.db.put_tar(layer, clamp, &archive.diff_id, archive.size));
        Ok(archive)
    }

    /// Writes all files of snapshots as one archive, with the rules of [`Layers::tar`]: each below
    /// the folder of its name, or at the top if that is empty.
    pub fn write_trees(
        &self,
        trees: &[(&str, &Snapshot)],
        clamp: Option<i64>,
        out: &mut dyn Write,
    ) -> Result<(), ReadError> {
        let mut tar = TarWriter::new(out);
        for (folder, snapshot) in trees {
            let view = self.view(snapshot)?;
            if !folder.is_empty() {
                add(&mut tar, &Entry::new(*folder, Kind::Dir, 0o755), None)?;
            }
            walk::walk(view.path(), self.inner.rights, &mut |mut entry, body| {
                clamp_time(&mut entry, clamp);
                entry.move_below(folder.as_bytes());
                add(&mut tar, &entry, body)
            })?;
        }
        tar.finish().map_err(|cause| {
            ReadError::Disk(FsError::new("write", std::path::Path::new("the archive"), cause))
        })?;
        Ok(())
    }

    /// Calls `visit` for every entry of the layer, in order.
    pub(super) fn each(
        &self,
        layer: &LayerId,
        visit: &mut dyn FnMut(Entry, Option<Body>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let row = self.row(layer)?.ok_or(ReadError::Missing(*layer))?;
        let folder = self.inner.root.layer(layer);
        match row.form {
            None => Err(MountError::NotHere(*layer).into()),
            Some(Form::Directory) => walk::walk(&folder.join("fs"), self.inner.rights, visit),
            Some(Form::Erofs) => self.each_indexed(layer, &folder.join(TAR), visit),
        }
    }

    fn each_indexed(
        &self,
        layer: &LayerId,
        tar: &Path,
        visit: &mut dyn FnMut(Entry, Option<Body>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let damaged = |cause| ReadError::Damaged { layer: *layer, cause };
        let (tree, _) = indexed::read_tree(fs::open(tar)?).map_err(damaged)?;
        let file = Arc::new(fs::open(tar)?);
        tree.each(&mut |entry, ino| {
            let body = match (&entry.kind, &tree.inode(ino).what) {
                (Kind::File { .. }, What::File { start, .. }) => {
                    Some(Body { file: Arc::clone(&file), offset: *start })
                }
                _ => None,
            };
            visit(entry, body)
        })
    }

    /// The archive made before, if it still is there.
    fn known_tar(&self, layer: &LayerId, clamp: Option<i64>) -> Result<Option<Archive>, ReadError> {
        let known = self.inner.root.db.tar(layer, clamp)?;
        let there = known.filter(|(diff_id, _)| self.inner.blobs.contains(diff_id));
        Ok(there.map(|(diff_id, size)| Archive { diff_id, size }))
    }

    /// The archive that the layer consists of, or that it came from.
    fn kept_tar(&self, layer: &LayerId, clamp: Option<i64>) -> Result<Option<Archive>, ReadError> {
        let row = self.row(layer)?.ok_or(ReadError::Missing(*layer))?;
        let Some(diff_id) = row.diff_id.filter(|_| clamp.is_none()) else { return Ok(None) };
        let blobs = &self.inner.blobs;
        if let Some(size) = blobs.size(&diff_id) {
            return Ok(Some(Archive { diff_id, size }));
        }
        if row.form != Some(Form::Erofs) {
            return Ok(None);
        }
        let tar = self.inner.root.layer(layer).join(TAR);
        let size = blobs.link(&tar, &diff_id)?;
        Ok(Some(Archive { diff_id, size }))
    }
}

fn add(
    tar: &mut TarWriter<impl Write>,
    entry: &Entry,
    body: Option<Body>,
) -> Result<(), ReadError> {
    let added = match (&entry.kind, body) {
        (Kind::File { size }, Some(body)) => tar.add(entry, &mut body.reader(*size)),
        _ => tar.add(entry, &mut io::empty()),
    };
    added.map(|_| ()).map_err(blob_failed)
}

fn clamp_time(entry: &mut Entry, clamp: Option<i64>) {
    if let Some(clamp) = clamp
        && entry.mtime.0 >= clamp
    {
        entry.mtime = (clamp, 0);
    }
}

fn blob_failed(cause: io::Error) -> ReadError {
    FsError::new("write", Path::new("the archive of a layer"), cause).into()
}
