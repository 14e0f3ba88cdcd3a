//! The compressed form of a layer's archive, as registries and other tools want it.
//!
//! Gzip in members of 1 MiB of input each (RFC 1952 allows several members, and every reader of
//! images accepts them), so that all cores compress at once and the bytes do not depend on how
//! many there are. Headers hold no name and no time.

use std::io::{self, Read, Write};

use libdeflater::{CompressionLvl, Compressor};
use rayon::prelude::*;

use super::{Layers, ReadError};
use crate::digest::Digest;
use crate::fs::FsError;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Gzip, at a level that costs a third of zlib's time for the same size.
    #[default]
    Gzip,
}

/// Input of one member.
const MEMBER: usize = 1 << 20;

/// Members compressed at once: bounds the memory.
const BATCH: usize = 32;

/// libdeflate's default: at 6 it is smaller than zlib's 6.
const LEVEL: i32 = 6;

impl Compression {
    /// How the index calls it. Another compressor or level is another name.
    fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip-libdeflate-6",
        }
    }
}

impl Layers {
    /// Compresses the archive with this diffID, which must be among the blobs. Kept for the next
    /// time; the same bytes on every machine. Gives digest and size.
    pub fn compressed(
        &self,
        diff_id: &Digest,
        compression: Compression,
    ) -> Result<(Digest, u64), ReadError> {
        let (root, blobs) = (&self.inner.root, &self.inner.blobs);
        let known = root.db.compressed(diff_id, compression.name())?;
        if let Some(known) = known.filter(|(digest, _)| blobs.contains(digest)) {
            return Ok(known);
        }
        let mut tar = blobs.open(diff_id)?;
        let mut out = blobs.writer()?;
        let path = blobs.path(diff_id);
        let Compression::Gzip = compression;
        gzip(&mut tar, &mut out)
            .map_err(|cause| ReadError::Disk(FsError::new("compress", &path, cause)))?;
        let (digest, size) = out.finish(None)?;
        root.or_warn(root.db.put_compressed(diff_id, compression.name(), &digest, size));
        Ok((digest, size))
    }
}

fn gzip(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut input = Vec::with_capacity(BATCH * MEMBER);
    let mut written = false;
    loop {
        input.clear();
        from.take((BATCH * MEMBER) as u64).read_to_end(&mut input)?;
        if input.is_empty() && written {
            return Ok(());
        }
        // An empty archive is one empty member: no bytes at all would not be gzip.
        let members: Vec<&[u8]> =
            if input.is_empty() { vec![&[]] } else { input.chunks(MEMBER).collect() };
        let compressed: Vec<io::Result<Vec<u8>>> =
            members.par_iter().map(|member| compress(member)).collect();
        for member in compressed {
            to.write_all(&member?)?;
        }
        written = true;
    }
}

fn compress(member: &[u8]) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(LEVEL).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(member.len())];
    let length = compressor.gzip_compress(member, &mut out).map_err(io::Error::other)?;
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(threads: usize, bytes: &[u8]) -> Vec<u8> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut out = Vec::new();
        pool.install(|| gzip(&mut &bytes[..], &mut out)).unwrap();
        out
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_number_of_threads_and_are_read_back() {
        let bytes: Vec<u8> =
            (0..3 * MEMBER as u32 / 2).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let one = compressed(1, &bytes);
        assert_eq!(one, compressed(4, &bytes));
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(&one[..]).read_to_end(&mut back).unwrap();
        assert!(back == bytes);
    }

    #[test]
    fn nothing_is_one_empty_member() {
        let none = compressed(1, b"");
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&none[..]).read_to_end(&mut back).unwrap();
        assert!(!none.is_empty() && back.is_empty());
    }
}
