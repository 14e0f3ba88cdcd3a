//! A pulled layer: an archive that somebody else wrote.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::unpack::{self, BadMember, Member};
use super::{ImportError, LayerWriter, Layers};
use crate::digest::Digest;
use crate::id::LayerId;

/// Passes bytes on and digests them.
struct Digesting<R> {
    inner: R,
    hasher: Sha256,
}

impl Layers {
    /// Adds the layer whose uncompressed archive `tar` gives to its end. Nothing is kept unless its
    /// digest is `diff_id`. A layer that is there already is not made again, and `tar` not read.
    pub fn import(&self, tar: &mut dyn Read, diff_id: &Digest) -> Result<LayerId, ImportError> {
        if let Some(layer) = self.by_diff_id(diff_id) {
            return Ok(layer);
        }
        let mut writer = self.begin()?;
        let mut tar = Digesting { inner: tar, hasher: Sha256::new() };
        unpack_into(&mut writer, &mut tar)?;
        // What comes after the archive's end belongs to the digest.
        io::copy(&mut tar, &mut io::sink()).map_err(BadMember::Archive)?;
        let actual = Digest::from_hasher(tar.hasher);
        if actual != *diff_id {
            return Err(ImportError::Mismatch { expected: *diff_id, actual });
        }
        Ok(writer.finish_as(diff_id)?)
    }
}

fn unpack_into(writer: &mut LayerWriter, tar: &mut dyn Read) -> Result<(), ImportError> {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().map_err(BadMember::Archive)? {
        let mut entry = entry.map_err(BadMember::Archive)?;
        match unpack::member(&mut entry)? {
            Member::Entry(found) => writer.add(&found, Some(&mut entry))?,
            Member::Opaque(path) => writer.opaque(&path)?,
            Member::Ignored => {}
        }
    }
    Ok(())
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..got]);
        Ok(got)
    }
}
