//! Compressed archives: the same bytes on every machine, however many threads it has.
//!
//! The archive is cut into pieces (`cut`) and each is compressed on its own (`pieces`): to a gzip
//! member (RFC 1952, section 2.2) or a zstd frame (RFC 8878, section 3.1). A row of them is a valid
//! file of its format, and readers give the pieces joined. The pieces cost about 1 % in size. One
//! that an earlier archive had is taken from where it lies compressed (`known`).

use std::io;
use std::sync::Arc;

use super::indexed::TAR;
use super::source::Body;
use super::{CompressError, Layers, ReadError};
use crate::blob::BlobReadError;
use crate::db::Form;
use crate::digest::Digest;
use crate::fs;

use cut::Lengths;
use known::Known;
use pieces::Compressing;

mod cut;
mod known;
mod pieces;

/// How to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// `application/vnd.oci.image.layer.v1.tar+gzip`
    Gzip {
        /// 0 to 12; beyond 9 it becomes much slower.
        level: u8,
    },
    /// `application/vnd.oci.image.layer.v1.tar+zstd`
    Zstd {
        /// 1 to 22.
        level: u8,
    },
}

const GZIP_PIECES: Lengths = Lengths { least: 256 << 10, average: 512 << 10, most: 2 << 20 };
/// Frames know nothing of each other, and zstd looks back further than gzip.
const ZSTD_PIECES: Lengths = Lengths { least: 512 << 10, average: 1 << 20, most: 4 << 20 };

impl Default for Compression {
    fn default() -> Compression {
        Compression::GZIP
    }
}

impl Compression {
    /// What is used unless somebody asks for something else.
    pub const GZIP: Compression = Compression::Gzip { level: 6 };
    /// zstd's own choice of a level.
    pub const ZSTD: Compression = Compression::Zstd { level: 3 };

    /// The name of these bytes in the index. It changes when the bytes do.
    fn name(self) -> String {
        match self {
            Compression::Gzip { level } => format!("gzip-{level}-cut"),
            Compression::Zstd { level } => format!("zstd-{level}-cut"),
        }
    }

    fn lengths(self) -> Lengths {
        match self {
            Compression::Gzip { .. } => GZIP_PIECES,
            Compression::Zstd { .. } => ZSTD_PIECES,
        }
    }

    fn check(self) -> Result<(), CompressError> {
        let (level, range) = match self {
            Compression::Gzip { level } => (level, 0..=12),
            Compression::Zstd { level } => (level, 1..=22),
        };
        if range.contains(&level) { Ok(()) } else { Err(CompressError::Level(self.name())) }
    }
}

impl Layers {
    /// The compressed form of the archive `diff_id` as a blob: digest and size in bytes. Made once.
    /// The archive is a blob already ([`Layers::tar`]) or that of a layer, which then need not
    /// become a blob.
    pub fn compressed(
        &self,
        diff_id: &Digest,
        how: Compression,
    ) -> Result<(Digest, u64), CompressError> {
        how.check()?;
        let root = &self.inner.root;
        let known = root.db.compressed(diff_id, &how.name()).map_err(ReadError::from)?;
        if let Some((digest, size)) = known
            && self.inner.blobs.contains(&digest)
        {
            return Ok((digest, size));
        }
        let pieces = Known::new(&root.db, &self.inner.blobs, how.name());
        let blob = self.inner.blobs.writer().map_err(ReadError::from)?;
        let mut out = Compressing::new(how, blob, &pieces);
        let failed = |cause| CompressError::Failed { diff_id: *diff_id, cause };
        match self.body(diff_id)? {
            Some((body, size)) => {
                let mut reader = body.reader(size);
                io::copy(&mut reader, &mut out).map_err(failed)?;
            }
            None => out = self.stream(diff_id, out)?,
        }
        let written = out.finish().map_err(failed)?;
        if written.plain != *diff_id {
            return Err(failed(io::Error::other(format!("its bytes are now `{}`", written.plain))));
        }
        let (digest, size) = written.blob.finish(None).map_err(ReadError::from)?;
        root.or_warn(root.db.put_compressed(diff_id, &how.name(), &digest, size));
        root.or_warn(pieces.keep(&digest, &written.places));
        Ok((digest, size))
    }

    /// The archive where it lies in one piece: a blob, or the tar that a layer consists of.
    fn body(&self, diff_id: &Digest) -> Result<Option<(Body, u64)>, ReadError> {
        let blobs = &self.inner.blobs;
        let mut path = blobs.contains(diff_id).then(|| blobs.path(diff_id));
        for (layer, clamp) in self.archived(diff_id)? {
            let indexed = self.row(&layer)?.is_some_and(|row| row.form == Some(Form::Erofs));
            if path.is_none() && indexed && clamp.is_none() {
                path = Some(self.inner.root.layer(&layer).join(TAR));
            }
        }
        let Some(path) = path else { return Ok(None) };
        let size = fs::file_size(&path)?.unwrap_or_default();
        Ok(Some((Body { file: Arc::new(fs::open(&path)?), offset: 0 }, size)))
    }

    /// Writes the archive as it is made from the layer's tree: it need not be on the disk.
    fn stream<'a>(
        &self,
        diff_id: &Digest,
        out: Compressing<'a>,
    ) -> Result<Compressing<'a>, ReadError> {
        match self.archived(diff_id)?.first() {
            Some((layer, clamp)) => self.write_archive(layer, *clamp, out),
            None => Err(BlobReadError::Absent { digest: *diff_id }.into()),
        }
    }
}
