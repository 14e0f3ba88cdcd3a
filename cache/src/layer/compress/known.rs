//! Pieces that were compressed before, and where they lie.
//!
//! They lie within the compressed archives that the store has as blobs anyway; nothing is kept
//! twice. What is found is checked before it is used: a damaged blob gives no damaged archive.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::blob::Blobs;
use crate::db::{Db, DbError, PiecePlace};
use crate::digest::{ContentDigest, Digest};

/// The pieces that one way of compressing has made.
pub(super) struct Known<'a> {
    db: &'a Db,
    blobs: &'a Blobs,
    how: String,
    open: Mutex<HashMap<Digest, Option<Arc<File>>>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(db: &'a Db, blobs: &'a Blobs, how: String) -> Known<'a> {
        Known { db, blobs, how, open: Mutex::default() }
    }

    /// The compressed form of the piece with this digest, if it is there and whole.
    pub(super) fn find(&self, plain: &ContentDigest) -> Option<Vec<u8>> {
        let (blob, place) = self.db.piece(&self.how, plain).ok().flatten()?;
        let mut bytes = vec![0; usize::try_from(place.size).ok()?];
        self.file(&blob)?.read_exact_at(&mut bytes, place.start).ok()?;
        (ContentDigest::of(&bytes) == place.packed).then_some(bytes)
    }

    /// Remembers where the pieces of a blob lie. An archive of one piece has none that another
    /// could use.
    pub(super) fn keep(&self, blob: &Digest, places: &[PiecePlace]) -> Result<(), DbError> {
        if places.len() < 2 {
            return Ok(());
        }
        self.db.put_pieces(&self.how, blob, places)
    }

    fn file(&self, blob: &Digest) -> Option<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let file = || self.blobs.open(blob).ok().map(Arc::new);
        open.entry(*blob).or_insert_with(file).clone()
    }
}
