//! Compressed archives: the same bytes on every machine, however many threads it has.
//!
//! The archive is cut into pieces of a fixed size and each is compressed on its own: to a gzip
//! member (RFC 1952, section 2.2) or a zstd frame (RFC 8878, section 3.1). A row of them is a valid
//! file of its format, and readers give the pieces joined. The pieces cost about 1 % in size.

use std::io::{self, Write};
use std::sync::Arc;

use libdeflater::{CompressionLvl, Compressor};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::indexed::TAR;
use super::source::Body;
use super::{CompressError, Layers, ReadError};
use crate::blob::{BlobReadError, BlobWriter};
use crate::db::Form;
use crate::digest::Digest;
use crate::fs;

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

const GZIP_PIECE: usize = 1 << 20;
/// Frames know nothing of each other, and zstd looks back further than gzip.
const ZSTD_PIECE: usize = 4 << 20;
/// How many pieces a thread compresses before they are written.
const PIECES_PER_THREAD: usize = 4;

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
            Compression::Gzip { level } => format!("gzip-{level}"),
            Compression::Zstd { level } => format!("zstd-{level}"),
        }
    }

    fn piece(self) -> usize {
        match self {
            Compression::Gzip { .. } => GZIP_PIECE,
            Compression::Zstd { .. } => ZSTD_PIECE,
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
        let mut out = Compressing::new(how, self.inner.blobs.writer().map_err(ReadError::from)?);
        let failed = |cause| CompressError::Failed { diff_id: *diff_id, cause };
        match self.body(diff_id)? {
            Some((body, size)) => {
                let mut reader = body.reader(size);
                io::copy(&mut reader, &mut out).map_err(failed)?;
            }
            None => out = self.stream(diff_id, out)?,
        }
        let (blob, found) = out.finish().map_err(failed)?;
        if found != *diff_id {
            return Err(failed(io::Error::other(format!("its bytes are now `{found}`"))));
        }
        let (digest, size) = blob.finish(None).map_err(ReadError::from)?;
        root.or_warn(root.db.put_compressed(diff_id, &how.name(), &digest, size));
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
    fn stream(&self, diff_id: &Digest, out: Compressing) -> Result<Compressing, ReadError> {
        match self.archived(diff_id)?.first() {
            Some((layer, clamp)) => self.write_archive(layer, *clamp, out),
            None => Err(BlobReadError::Absent { digest: *diff_id }.into()),
        }
    }
}

/// Compresses what is written to it, batch after batch; one goes to the blob, and into the digest
/// of the archive, while the next is compressed.
struct Compressing {
    how: Compression,
    blob: BlobWriter,
    hasher: Sha256,
    /// The pieces that are waiting; the last one may not be full.
    pieces: Vec<Vec<u8>>,
    ready: Vec<Vec<u8>>,
}

impl Compressing {
    fn new(how: Compression, blob: BlobWriter) -> Compressing {
        let pieces = vec![Vec::with_capacity(how.piece())];
        Compressing { how, blob, hasher: Sha256::new(), pieces, ready: Vec::new() }
    }

    /// Ends the last piece. Gives the blob and the digest of what was written.
    fn finish(mut self) -> io::Result<(BlobWriter, Digest)> {
        self.batch()?;
        put(&self.ready, &mut self.blob)?;
        Ok((self.blob, Digest::from_hasher(self.hasher)))
    }

    fn batch(&mut self) -> io::Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        let (how, ready) = (self.how, std::mem::take(&mut self.ready));
        let (blob, hasher) = (&mut self.blob, &mut self.hasher);
        let (compressed, written) = rayon::join(
            || compress(&pieces, how),
            || {
                pieces.iter().for_each(|piece| hasher.update(piece));
                put(&ready, blob)
            },
        );
        written?;
        self.ready = compressed?;
        Ok(())
    }
}

impl Write for Compressing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = self.how.piece();
        if self.pieces.last().is_none_or(|last| last.len() == piece) {
            if self.pieces.len() == rayon::current_num_threads() * PIECES_PER_THREAD {
                self.batch()?;
            }
            self.pieces.push(Vec::with_capacity(piece));
        }
        let Some(last) = self.pieces.last_mut() else { return Ok(0) };
        let taken = bytes.len().min(piece - last.len());
        last.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn put(pieces: &[Vec<u8>], blob: &mut BlobWriter) -> io::Result<()> {
    pieces.iter().try_for_each(|piece| blob.write_all(piece))
}

fn compress(pieces: &[Vec<u8>], how: Compression) -> io::Result<Vec<Vec<u8>>> {
    let pieces = pieces.par_iter();
    match how {
        Compression::Gzip { level } => {
            let level = CompressionLvl::new(i32::from(level)).unwrap_or_default();
            let start = || Compressor::new(level);
            pieces.map_init(start, |gzip, piece| member(gzip, piece)).collect()
        }
        Compression::Zstd { level } => {
            let start = || zstd::bulk::Compressor::new(i32::from(level));
            pieces.map_init(start, |zstd, piece| frame(zstd, piece)).collect()
        }
    }
}

/// A gzip member without name and time.
fn member(gzip: &mut Compressor, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = vec![0; gzip.gzip_compress_bound(bytes.len())];
    let length = gzip.gzip_compress(bytes, &mut out).map_err(io::Error::other)?;
    out.truncate(length);
    Ok(out)
}

/// A zstd frame that tells its size.
fn frame(
    zstd: &mut io::Result<zstd::bulk::Compressor<'static>>,
    bytes: &[u8],
) -> io::Result<Vec<u8>> {
    match zstd {
        Ok(zstd) => zstd.compress(bytes),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}
