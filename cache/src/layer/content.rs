//! What a step can see of a layer, as one digest: everything but times.
//!
//! The digest is BLAKE3 over one record per entry, in the order of [`super::order`]; numbers are
//! little-endian, every text is preceded by its length in 8 bytes:
//!
//! ```text
//! path, kind (1 byte), mode, uid, gid (4 bytes each),
//! number of xattrs (8 bytes), per xattr name and value,
//! File: size (8 bytes), BLAKE3 of the bytes (32 bytes)
//! Symlink, HardLink: target
//! Char, Block: major, minor (4 bytes each)
//! ```

use blake3::Hasher;
use rayon::prelude::*;

use super::entry::{Entry, Kind, shown};
use super::source::Body;
use super::{Layers, ReadError};
use crate::digest::ContentDigest;
use crate::fs::FsError;
use crate::id::LayerId;

pub(super) mod running;

/// Files are digested in parallel, so many at a time: each holds a descriptor.
const BATCH: usize = 128;

/// Collects entries and digests them, batch by batch.
struct Contents {
    hasher: Hasher,
    waiting: Vec<(Entry, Option<Body>)>,
}

impl Layers {
    /// The digest of the layer's content. Computed once.
    pub fn content(&self, layer: &LayerId) -> Result<ContentDigest, ReadError> {
        let row = self.row(layer)?.ok_or(ReadError::Missing(*layer))?;
        if let Some(content) = row.content {
            return Ok(content);
        }
        let content = self.read_content(layer)?;
        let root = &self.inner.root;
        root.or_warn(root.db.set_content(layer, &content));
        Ok(content)
    }

    /// The same, from the layer's bytes.
    pub(super) fn read_content(&self, layer: &LayerId) -> Result<ContentDigest, ReadError> {
        let mut contents = Contents { hasher: Hasher::new(), waiting: Vec::with_capacity(BATCH) };
        self.each(layer, &mut |entry, body| contents.add(entry, body))?;
        contents.flush()?;
        Ok(ContentDigest::from_hasher(&contents.hasher))
    }
}

impl Contents {
    fn add(&mut self, entry: Entry, body: Option<Body>) -> Result<(), ReadError> {
        self.waiting.push((entry, body));
        if self.waiting.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ReadError> {
        let digests: Vec<Option<[u8; 32]>> =
            self.waiting.par_iter().map(digest).collect::<Result<_, _>>()?;
        for ((entry, _), digest) in self.waiting.drain(..).zip(digests) {
            record(&mut self.hasher, &entry, digest.as_ref());
        }
        Ok(())
    }
}

fn digest((entry, body): &(Entry, Option<Body>)) -> Result<Option<[u8; 32]>, ReadError> {
    let (Kind::File { size }, Some(body)) = (&entry.kind, body) else {
        return Ok(None);
    };
    let mut hasher = Hasher::new();
    hasher
        .update_reader(body.reader(*size))
        .map_err(|cause| FsError::new("read", std::path::Path::new(&shown(&entry.path)), cause))?;
    Ok(Some(*hasher.finalize().as_bytes()))
}

fn record(hasher: &mut Hasher, entry: &Entry, digest: Option<&[u8; 32]>) {
    text(hasher, &entry.path);
    hasher.update(&[tag(&entry.kind)]);
    numbers(hasher, &[entry.mode, entry.uid, entry.gid]);
    hasher.update(&(entry.xattrs.len() as u64).to_le_bytes());
    for (name, value) in &entry.xattrs {
        text(hasher, name);
        text(hasher, value);
    }
    match &entry.kind {
        Kind::File { size } => {
            hasher.update(&size.to_le_bytes());
            hasher.update(digest.unwrap_or(&[0; 32]));
        }
        Kind::Symlink { target } | Kind::HardLink { target } => text(hasher, target),
        Kind::Char { major, minor } | Kind::Block { major, minor } => {
            numbers(hasher, &[*major, *minor]);
        }
        Kind::Dir | Kind::OpaqueDir | Kind::Fifo | Kind::Whiteout => {}
    }
}

fn tag(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => 0,
        Kind::HardLink { .. } => 1,
        Kind::Symlink { .. } => 2,
        Kind::Char { .. } => 3,
        Kind::Block { .. } => 4,
        Kind::Dir => 5,
        Kind::Fifo => 6,
        Kind::OpaqueDir => 7,
        Kind::Whiteout => 8,
    }
}

fn text(hasher: &mut Hasher, text: &[u8]) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text);
}

fn numbers(hasher: &mut Hasher, numbers: &[u32]) {
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
}
