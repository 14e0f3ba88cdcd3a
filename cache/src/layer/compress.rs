//! Compressed archives: the same bytes on every machine, however many threads it has.
//!
//! The archive is cut into pieces of a fixed size and each is compressed on its own: to a gzip
//! member (RFC 1952, section 2.2) or a zstd frame (RFC 8878, section 3.1). A row of them is a valid
//! file of its format, and readers give the pieces joined. The pieces cost about 1 % in size.

use std::io::{self, Read, Write};
use std::sync::Arc;

use libdeflater::{CompressionLvl, Compressor};
use rayon::prelude::*;

use super::source::Body;
use super::{CompressError, Layers, ReadError};
use crate::blob::BlobWriter;
use crate::digest::Digest;
use crate::fs::FsError;

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

const GZIP_PIECE: u64 = 1 << 20;
/// Frames know nothing of each other, and zstd looks back further than gzip.
const ZSTD_PIECE: u64 = 4 << 20;
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

    fn piece(self) -> u64 {
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
    /// The archive is a blob already ([`Layers::tar`]) or that of a layer.
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
        let (body, size) = self.archive(diff_id)?;
        let mut blob = self.inner.blobs.writer().map_err(ReadError::from)?;
        write(&body, size, how, &mut blob)
            .map_err(|cause| CompressError::Failed { diff_id: *diff_id, cause })?;
        let (digest, size) = blob.finish(None).map_err(ReadError::from)?;
        root.or_warn(root.db.put_compressed(diff_id, &how.name(), &digest, size));
        Ok((digest, size))
    }

    fn archive(&self, diff_id: &Digest) -> Result<(Body, u64), ReadError> {
        let blobs = &self.inner.blobs;
        if !blobs.contains(diff_id)
            && let Some(layer) = self.by_diff_id(diff_id)
        {
            self.tar(&layer, None)?;
        }
        let file = blobs.open(diff_id)?;
        let meta = file.metadata();
        let size = meta.map_err(|cause| FsError::new("stat", &blobs.path(diff_id), cause))?.len();
        Ok((Body { file: Arc::new(file), offset: 0 }, size))
    }
}

/// Compresses batch after batch; one is written while the next is compressed.
fn write(body: &Body, size: u64, how: Compression, blob: &mut BlobWriter) -> io::Result<()> {
    let pieces = size.div_ceil(how.piece()).max(1);
    let batch = (rayon::current_num_threads() * PIECES_PER_THREAD) as u64;
    let mut waiting = Vec::new();
    for first in (0..pieces).step_by(batch as usize) {
        let range = first..(first + batch).min(pieces);
        let (compressed, written) =
            rayon::join(|| compress(body, size, how, range), || put(&waiting, blob));
        written?;
        waiting = compressed?;
    }
    put(&waiting, blob)
}

fn put(pieces: &[Vec<u8>], blob: &mut BlobWriter) -> io::Result<()> {
    pieces.iter().try_for_each(|piece| blob.write_all(piece))
}

fn compress(
    body: &Body,
    size: u64,
    how: Compression,
    range: std::ops::Range<u64>,
) -> io::Result<Vec<Vec<u8>>> {
    let read = |piece: u64| -> io::Result<Vec<u8>> {
        let start = piece * how.piece();
        let length = how.piece().min(size - start);
        let part = Body { file: Arc::clone(&body.file), offset: start };
        let mut bytes = vec![0; length as usize];
        part.reader(length).read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let pieces = range.into_par_iter();
    match how {
        Compression::Gzip { level } => {
            let level = CompressionLvl::new(i32::from(level)).unwrap_or_default();
            let start = || Compressor::new(level);
            pieces.map_init(start, |gzip, piece| member(gzip, &read(piece)?)).collect()
        }
        Compression::Zstd { level } => {
            let start = || zstd::bulk::Compressor::new(i32::from(level));
            pieces.map_init(start, |zstd, piece| frame(zstd, &read(piece)?)).collect()
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
