//! What the tagged images hold: blobs and layers that pruning never takes.

use std::collections::HashSet;

use serde::Deserialize;

use crate::blob::Blobs;
use crate::db::{Db, DbError};
use crate::digest::Digest;
use crate::id::LayerId;

/// Blobs and layers that are part of an image.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) blobs: HashSet<Digest>,
    pub(crate) layers: HashSet<LayerId>,
    diff_ids: HashSet<Digest>,
}

/// What an index, a manifest and a config name; each has some of these. Not strict: whatever an
/// image names is held, also in documents of kinds not known here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    manifests: Vec<Named>,
    config: Option<Named>,
    layers: Vec<Named>,
    blobs: Vec<Named>,
    subject: Option<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    digest: Digest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// A document larger than this is no document of an image; registries take 4 MiB.
const LARGEST_DOCUMENT: u64 = 16 << 20;

impl Held {
    /// Everything below these digests.
    pub(crate) fn by(
        tops: impl IntoIterator<Item = Digest>,
        blobs: &Blobs,
        db: &Db,
    ) -> Result<Held, DbError> {
        let mut held = Held::default();
        for top in tops {
            held.follow(top, blobs);
        }
        held.find_layers(db)?;
        Ok(held)
    }

    fn follow(&mut self, digest: Digest, blobs: &Blobs) {
        if !self.blobs.insert(digest) {
            return;
        }
        let Some(document) = parse::<Document>(&digest, blobs) else { return };
        let plain = document.layers.into_iter().chain(document.blobs);
        self.blobs.extend(plain.map(|named| named.digest));
        if let Some(config) = document.config {
            self.blobs.insert(config.digest);
            let config = parse::<Config>(&config.digest, blobs).unwrap_or_default();
            self.diff_ids.extend(config.rootfs.diff_ids);
        }
        for child in document.manifests.into_iter().chain(document.subject) {
            self.follow(child.digest, blobs);
        }
    }

    /// The layers whose tar, as it came or as it was made, has one of the images' diffIDs.
    fn find_layers(&mut self, db: &Db) -> Result<(), DbError> {
        for row in db.all_layers()? {
            if row.diff_id.is_some_and(|diff_id| self.diff_ids.contains(&diff_id)) {
                self.layers.insert(row.id);
            }
        }
        for (layer, diff_id) in db.tars_of_layers()? {
            if self.diff_ids.contains(&diff_id) {
                self.layers.insert(layer);
            }
        }
        Ok(())
    }
}

/// Without which an image is none: a manifest and its config, or an index with those of all that it
/// names.
pub(crate) fn documents(top: Digest, blobs: &Blobs) -> Vec<Digest> {
    let mut found = vec![top];
    let mut seen = 0;
    while let Some(digest) = found.get(seen) {
        seen += 1;
        let document = parse::<Document>(digest, blobs).unwrap_or_default();
        let new = document.manifests.into_iter().chain(document.config).map(|named| named.digest);
        let new: Vec<Digest> = new.filter(|digest| !found.contains(digest)).collect();
        found.extend(new);
    }
    found
}

fn parse<T: for<'de> Deserialize<'de>>(digest: &Digest, blobs: &Blobs) -> Option<T> {
    blobs.size(digest).filter(|size| *size <= LARGEST_DOCUMENT)?;
    serde_json::from_slice(&blobs.read(digest).ok()?).ok()
}
