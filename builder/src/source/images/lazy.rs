//! Bytes of layers that were not fetched, for those who need them after all.
//!
//! All that a stack lacks is fetched at once. Then guesses are checked that layers of the stack
//! were made on: what is seen is what was built.

use bytes::Bytes;
use rbuild_cache::layer::{Guess, Missing};
use rbuild_cache::{BlobSource, Descriptor, Digest, Snapshot};
use rbuild_solver::worker::Cancel;

use super::{Images, ImagesError, Tell};
use crate::export::Image;
use crate::export::image::Layer;
use crate::source::image::{Base, ImageError};
use crate::source::stored::StoredImage;
use rbuild_frontend::document::Manifest;
use rbuild_frontend::reference::{Reference, Repository};

/// Shown where it is not known what a layer belongs to.
const NAMELESS: &str = "localhost/image-without-name";

impl Images {
    /// Fetches what `snapshot` lacks, and checks what was guessed about it.
    pub fn need(
        &self,
        snapshot: &Snapshot,
        tell: Tell<'_>,
        cancel: &Cancel,
    ) -> Result<(), ImagesError> {
        self.fetch_missing(snapshot, tell, cancel)?;
        let guesses = self.store.layers().guesses(snapshot).map_err(ImageError::from)?;
        self.check_all(&guesses, tell, cancel)
    }

    /// Checks what was guessed about an image whose layers have these diffIDs.
    pub fn check(
        &self,
        diff_ids: &[Digest],
        tell: Tell<'_>,
        cancel: &Cancel,
    ) -> Result<(), ImagesError> {
        let guesses = self.store.layers().guesses_of(diff_ids).map_err(ImageError::from)?;
        self.check_all(&guesses, tell, cancel)
    }

    /// Makes blobs of all layers that an image of the store names.
    pub fn complete(
        &self,
        image: &StoredImage,
        name: &str,
        cancel: &Cancel,
    ) -> Result<(), ImagesError> {
        self.stored_layers(image, name, cancel)?;
        for layer in &image.layers {
            self.store.layers().restore(&layer.digest)?;
        }
        Ok(())
    }

    /// Checks what was guessed about an image that is about to leave. Blobs that are not here are
    /// passed on from where they are; a layer that has to be compressed is fetched.
    pub fn before_sending(&self, image: &Image, cancel: &Cancel) -> Result<(), ImagesError> {
        let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        self.check(&diff_ids, &|_, _, _| {}, cancel)?;
        let plain = image.layers.iter().filter(|layer| layer.stored.digest == layer.diff_id);
        let known = |layer: &Layer| self.store.layers().by_diff_id(&layer.diff_id);
        let layers = plain.filter_map(known).collect();
        self.fetch_missing(&Snapshot { layers }, &|_, _, _| {}, cancel)
    }

    fn check_all(
        &self,
        guesses: &[Guess],
        tell: Tell<'_>,
        cancel: &Cancel,
    ) -> Result<(), ImagesError> {
        for guess in guesses {
            let below = Snapshot { layers: guess.below.clone() };
            self.fetch_missing(&below, tell, cancel)?;
            let layers = self.store.layers();
            let wrong = layers.check_guess(guess).map_err(rbuild_cache::layer::ReadError::from)?;
            if let Some(path) = wrong {
                return Err(ImagesError::Guess(format!("/{}", String::from_utf8_lossy(&path))));
            }
        }
        Ok(())
    }

    fn fetch_missing(
        &self,
        snapshot: &Snapshot,
        tell: Tell<'_>,
        cancel: &Cancel,
    ) -> Result<(), ImagesError> {
        let missing = self.store.layers().missing(snapshot)?;
        if missing.is_empty() {
            return Ok(());
        }
        let base = self.base_of(&missing)?;
        match self.fetch(&base, tell, cancel) {
            Ok(_) => Ok(()),
            Err(ImagesError::Interrupted) => Err(ImagesError::Interrupted),
            Err(error) => Err(ImagesError::Fetch {
                image: base.reference.repository.familiar(),
                source: Box::new(error),
            }),
        }
    }

    /// The missing layers as an image of the repository that has the first of them; where each of
    /// them is, is looked up when it is fetched.
    fn base_of(&self, missing: &[Missing]) -> Result<Base, ImagesError> {
        let blob = |layer: &Missing| Descriptor {
            // What a blob is, its first bytes tell.
            media_type: String::new(),
            digest: layer.blob,
            size: layer.size,
            annotations: Default::default(),
            rest: Default::default(),
        };
        let layers: Vec<Descriptor> = missing.iter().map(blob).collect();
        let config = layers[0].clone();
        Ok(Base {
            reference: self.repository_of(&missing[0].blob)?,
            manifest: missing[0].blob,
            image: Manifest { config, layers },
            config: Bytes::new(),
            diff_ids: missing.iter().map(|layer| layer.diff_id).collect(),
        })
    }

    fn repository_of(&self, blob: &Digest) -> Result<Reference, ImagesError> {
        let mut sources = self.store.records().blob_sources(blob);
        let nameless: Reference = NAMELESS.parse()?;
        Ok(match sources.is_empty() {
            true => nameless,
            false => {
                let BlobSource { registry, repository: path } = sources.swap_remove(0);
                Reference { repository: Repository { registry, path }, ..nameless }
            }
        })
    }
}
