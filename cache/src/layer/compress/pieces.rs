//! Compresses what is written to it, piece by piece, on all cores.

use std::io::{self, Write};

use libdeflater::{CompressionLvl, Compressor};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::Compression;
use super::cut::{Cut, Cutter};
use super::known::Known;
use crate::blob::BlobWriter;
use crate::db::PiecePlace;
use crate::digest::{ContentDigest, Digest};

/// How many pieces a thread compresses before they are written.
const PIECES_PER_THREAD: usize = 4;

/// Takes an archive; batch after batch of its pieces goes to the blob, and into the digest of the
/// archive, while the next is compressed.
pub(super) struct Compressing<'a> {
    how: Compression,
    known: &'a Known<'a>,
    blob: BlobWriter,
    hasher: Sha256,
    cutter: Cutter,
    /// The pieces that are waiting; the last one has no end yet.
    pieces: Vec<Vec<u8>>,
    ready: Vec<Packed>,
    places: Vec<PiecePlace>,
}

/// An archive that was compressed.
pub(super) struct Written {
    pub(super) blob: BlobWriter,
    /// The digest of the archive itself.
    pub(super) plain: Digest,
    /// Where its pieces lie in the blob.
    pub(super) places: Vec<PiecePlace>,
}

/// A compressed piece, and the digest of what it was.
struct Packed {
    plain: ContentDigest,
    bytes: Vec<u8>,
}

impl<'a> Compressing<'a> {
    pub(super) fn new(how: Compression, blob: BlobWriter, known: &'a Known<'a>) -> Self {
        Compressing {
            how,
            known,
            blob,
            hasher: Sha256::new(),
            cutter: Cutter::new(how.lengths()),
            pieces: vec![Vec::new()],
            ready: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Ends the last piece.
    pub(super) fn finish(mut self) -> io::Result<Written> {
        // An empty piece makes sense only where there is no other: as an empty file.
        if self.pieces.len() + self.ready.len() + self.places.len() > 1 {
            self.pieces.retain(|piece| !piece.is_empty());
        }
        self.batch()?;
        let ready = std::mem::take(&mut self.ready);
        put(&ready, &mut self.blob, &mut self.places)?;
        let plain = Digest::from_hasher(self.hasher);
        Ok(Written { blob: self.blob, plain, places: self.places })
    }

    fn batch(&mut self) -> io::Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        let (how, known, ready) = (self.how, self.known, std::mem::take(&mut self.ready));
        let (blob, hasher, places) = (&mut self.blob, &mut self.hasher, &mut self.places);
        let (compressed, written) = rayon::join(
            || compress(&pieces, how, known),
            || {
                pieces.iter().for_each(|piece| hasher.update(piece));
                put(&ready, blob, places)
            },
        );
        written?;
        self.ready = compressed?;
        Ok(())
    }
}

impl Write for Compressing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let cut = self.cutter.cut(bytes);
        let taken = match cut {
            Cut::None => bytes.len(),
            Cut::After(length) => length,
        };
        if let Some(last) = self.pieces.last_mut() {
            last.extend_from_slice(&bytes[..taken]);
        }
        if cut != Cut::None {
            if self.pieces.len() >= rayon::current_num_threads() * PIECES_PER_THREAD {
                self.batch()?;
            }
            self.pieces.push(Vec::new());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn put(pieces: &[Packed], blob: &mut BlobWriter, places: &mut Vec<PiecePlace>) -> io::Result<()> {
    for Packed { plain, bytes } in pieces {
        let start = places.last().map_or(0, |last| last.start + last.size);
        let packed = ContentDigest::of(bytes);
        places.push(PiecePlace { plain: *plain, start, size: bytes.len() as u64, packed });
        blob.write_all(bytes)?;
    }
    Ok(())
}

fn compress(pieces: &[Vec<u8>], how: Compression, known: &Known<'_>) -> io::Result<Vec<Packed>> {
    let pieces = pieces.par_iter();
    let packed = |piece: &[u8], make: &mut dyn FnMut(&[u8]) -> io::Result<Vec<u8>>| {
        let plain = ContentDigest::of(piece);
        let bytes = known.find(&plain).map_or_else(|| make(piece), Ok)?;
        Ok(Packed { plain, bytes })
    };
    match how {
        Compression::Gzip { level } => {
            let level = CompressionLvl::new(i32::from(level)).unwrap_or_default();
            let start = || Compressor::new(level);
            let pack = |gzip: &mut Compressor, piece: &Vec<u8>| {
                packed(piece, &mut |piece| member(gzip, piece))
            };
            pieces.map_init(start, pack).collect()
        }
        Compression::Zstd { level } => {
            let start = || zstd::bulk::Compressor::new(i32::from(level));
            let pack = |zstd: &mut io::Result<_>, piece: &Vec<u8>| {
                packed(piece, &mut |piece| frame(zstd, piece))
            };
            pieces.map_init(start, pack).collect()
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
