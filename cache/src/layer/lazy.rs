//! Layers that are known and not here: what they are, and where they can be had.
//!
//! A pulled layer is named by its diffID, which its image's config tells before a byte of it has
//! come. So a stack can be made of such layers, recorded and put into an image. Whoever needs bytes
//! fetches them first: [`Layers::missing`] tells which, [`Layers::import`] fills them in, and the
//! stacks that name them need no change.
//!
//! What is laid on top of layers that nobody has seen may have been made on a [`Guess`] about
//! them. It is checked before the bytes of the whole are used or leave the machine.

use super::{Layers, MountError, ReadError, Snapshot, View};
use crate::db::DbError;
use crate::digest::{ContentDigest, Digest};
use crate::id::LayerId;
use crate::root::guard;

/// A layer that has to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The layer.
    pub layer: LayerId,
    /// The digest of its archive.
    pub diff_id: Digest,
    /// The blob that it comes as.
    pub blob: Digest,
    /// The length of the blob in bytes.
    pub size: u64,
}

/// What was taken for granted when a layer was made: that layers below it, which nobody had
/// fetched, have nothing at some paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The layer that was made.
    pub layer: LayerId,
    /// What it was made on, bottom first.
    pub below: Vec<LayerId>,
    /// Paths relative to the root, clean.
    pub absent: Vec<Vec<u8>>,
}

impl Layers {
    /// The layer with this diffID, whose bytes can be had as a blob of that digest and length; it
    /// need not be here. It is identified by its diffID, also where its content is asked for.
    pub fn announce(&self, diff_id: &Digest, blob: (&Digest, u64)) -> Result<LayerId, DbError> {
        let db = &self.inner.root.db;
        let known = self.by_diff_id(diff_id);
        if let Some(layer) = known
            && db.blob_as_pulled(diff_id)?.is_some()
        {
            return Ok(layer);
        }
        let content = ContentDigest::of(format!("pulled {diff_id}").as_bytes());
        db.announce_layer(known, diff_id, &content, blob)
    }

    /// A layer whose archive has this digest and that is here.
    pub fn here(&self, diff_id: &Digest) -> Option<LayerId> {
        let layer = self.by_diff_id(diff_id)?;
        let row = self.row(&layer).ok().flatten()?;
        row.form.map(|_| layer)
    }

    /// The layers of a stack that are not here, each once.
    pub fn missing(&self, snapshot: &Snapshot) -> Result<Vec<Missing>, ReadError> {
        let mut missing: Vec<Missing> = Vec::new();
        for layer in &snapshot.layers {
            if guard(&self.inner.root.known).here.contains(layer) {
                continue;
            }
            let row = self.row(layer)?.ok_or(ReadError::Missing(*layer))?;
            let Some(diff_id) = row.diff_id.filter(|_| row.form.is_none()) else {
                guard(&self.inner.root.known).here.insert(*layer);
                continue;
            };
            let blob = self.inner.root.db.blob_as_pulled(&diff_id)?;
            let (blob, size) = blob.ok_or(ReadError::Missing(*layer))?;
            if !missing.iter().any(|other| other.layer == *layer) {
                missing.push(Missing { layer: *layer, diff_id, blob, size });
            }
        }
        Ok(missing)
    }

    /// Notes a guess, before anything speaks of the layer.
    pub fn put_guess(&self, guess: &Guess) -> Result<(), DbError> {
        self.inner.root.db.put_guess(guess)?;
        guard(&self.inner.root.known).firm.remove(&guess.layer);
        Ok(())
    }

    /// The guesses that a stack stands on and nobody has checked.
    pub fn guesses(&self, snapshot: &Snapshot) -> Result<Vec<Guess>, DbError> {
        let mut guesses = Vec::new();
        for (at, layer) in snapshot.layers.iter().enumerate() {
            if guard(&self.inner.root.known).firm.contains(layer) {
                continue;
            }
            match self.inner.root.db.guess(layer)? {
                Some(guess) if guess.below == snapshot.layers[..at] => guesses.push(guess),
                Some(_) => {}
                None => drop(guard(&self.inner.root.known).firm.insert(*layer)),
            }
        }
        Ok(guesses)
    }

    /// The unchecked guesses that an image stands on, whose layers have these diffIDs. Equal layers
    /// can have been made several times; those count that were made on layers of this image.
    pub fn guesses_of(&self, diff_ids: &[Digest]) -> Result<Vec<Guess>, DbError> {
        let db = &self.inner.root.db;
        let mut below: Vec<Vec<LayerId>> = Vec::new();
        let mut guesses = Vec::new();
        for diff_id in diff_ids {
            let rows = db.layers_by_diff_id(diff_id)?;
            let layers: Vec<LayerId> = rows.iter().map(|row| row.id).collect();
            for layer in &layers {
                let on_these = |guess: &Guess| {
                    let mut pairs = guess.below.iter().zip(&below);
                    guess.below.len() == below.len() && pairs.all(|(id, ids)| ids.contains(id))
                };
                guesses.extend(db.guess(layer)?.filter(on_these));
            }
            below.push(layers);
        }
        Ok(guesses)
    }

    /// Looks whether a guess was right: gives the first path that is there after all. All layers
    /// below must be here. A right guess is forgotten, and with a wrong one its layer, so that no
    /// record gives it any more.
    pub fn check_guess(&self, guess: &Guess) -> Result<Option<Vec<u8>>, MountError> {
        let view = self.view(&Snapshot { layers: guess.below.clone() })?;
        let wrong = guess.absent.iter().find(|path| is_there(&view, path));
        match wrong {
            None => self.inner.root.db.delete_guess(&guess.layer)?,
            Some(_) => self.inner.root.forget_layer(&guess.layer)?,
        }
        Ok(wrong.cloned())
    }
}

/// Whether the tree has something at a path that leads through no link.
fn is_there(view: &View, path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let path = view.path().join(std::ffi::OsStr::from_bytes(path));
    path.symlink_metadata().is_ok()
}
