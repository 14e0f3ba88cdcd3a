//! The archive of a layer, as images have it.

use std::io::{self, Write};

use super::archive::TarWriter;
use super::entry::Entry;
use super::source::Body;
use super::{Layers, ReadError, Snapshot, walk};
use crate::db::Form;
use crate::digest::Digest;
use crate::fs::FsError;
use crate::id::LayerId;

/// An uncompressed archive in the store's blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TarBlob {
    /// Its digest: what a config's `rootfs.diff_ids` lists.
    pub diff_id: Digest,
    /// In bytes.
    pub size: u64,
}

impl Layers {
    /// The layer's archive: entries in the order of [`super::order`], whole seconds, and none later
    /// than `clamp` (seconds since 1970). The same layer gives the same bytes everywhere.
    ///
    /// A pulled layer has the archive it was pulled as, whatever `clamp` says.
    pub fn tar(&self, layer: &LayerId, clamp: Option<i64>) -> Result<TarBlob, ReadError> {
        if let Some(known) = self.known_tar(layer, clamp)? {
            return Ok(known);
        }
        let row = self.row(layer)?.ok_or(ReadError::Missing(*layer))?;
        if let Some(diff_id) = row.diff_id {
            return self.kept(layer, diff_id);
        }
        let mut tar = TarWriter::new(self.inner.blobs.writer()?);
        self.each(layer, &mut |mut entry, body| {
            clamp_time(&mut entry, clamp);
            add(&mut tar, &entry, body)
        })?;
        let (diff_id, size) = tar.finish().map_err(blob_failed)?.finish(None)?;
        let root = &self.inner.root;
        root.or_warn(root.db.put_tar(layer, clamp, &diff_id, size));
        Ok(TarBlob { diff_id, size })
    }

    /// Writes all files of a snapshot as one archive, with the rules of [`Layers::tar`].
    pub fn write_tree(
        &self,
        snapshot: &Snapshot,
        clamp: Option<i64>,
        out: &mut dyn Write,
    ) -> Result<(), ReadError> {
        let view = self.view(snapshot)?;
        let mut tar = TarWriter::new(out);
        walk::walk(view.path(), self.inner.rights, &mut |mut entry, body| {
            clamp_time(&mut entry, clamp);
            add(&mut tar, &entry, body)
        })?;
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
            Form::Directory => walk::walk(&folder.join("fs"), self.inner.rights, visit),
            Form::Erofs => Err(ReadError::Missing(*layer)),
        }
    }

    /// The archive made before, if it still is there.
    fn known_tar(&self, layer: &LayerId, clamp: Option<i64>) -> Result<Option<TarBlob>, ReadError> {
        let known = self.inner.root.db.tar(layer, clamp)?;
        let there = known.filter(|(diff_id, _)| self.inner.blobs.contains(diff_id));
        Ok(there.map(|(diff_id, size)| TarBlob { diff_id, size }))
    }

    fn kept(&self, layer: &LayerId, diff_id: Digest) -> Result<TarBlob, ReadError> {
        let size = self.inner.blobs.size(&diff_id);
        size.map(|size| TarBlob { diff_id, size })
            .ok_or(ReadError::NotKept { layer: *layer, diff_id })
    }
}

fn add(
    tar: &mut TarWriter<impl Write>,
    entry: &Entry,
    body: Option<Body>,
) -> Result<(), ReadError> {
    let added = match (&entry.kind, body) {
        (super::Kind::File { size }, Some(body)) => tar.add(entry, &mut body.reader(*size)),
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
    FsError::new("write", std::path::Path::new("the archive of a layer"), cause).into()
}
