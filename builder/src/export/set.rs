//! The images that one name stands for: one, or one for each platform beneath an index.

use rbuild_cache::{Descriptor, Digest, Store};
use rbuild_frontend::platform;
use rbuild_solver::op::Platform;
use serde::Serialize;
use serde_json::json;

use super::image::{AssembleError, Documents, Form, Image, descriptor, media_type};
use crate::source::stored::{Stored, StoredImage};

/// Images that belong together.
#[derive(Debug, Clone)]
pub struct ImageSet {
    /// At least one, each with the platform that it is for.
    pub images: Vec<(Platform, Image)>,
    /// What named them, if they were not made here.
    pub original: Option<Descriptor>,
}

/// The documents of a set in one form.
#[derive(Debug, Clone)]
pub struct SetDocuments {
    /// What a name stands for: the manifest, or the index; it is in the store.
    pub top: Descriptor,
    /// The images.
    pub images: Vec<Documents>,
}

/// An index as it is written (OCI image-spec, image index).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: &'a [Descriptor],
}

impl ImageSet {
    /// What a name of the store stands for.
    pub fn stored(stored: &Stored) -> ImageSet {
        let of = |image: &StoredImage| (image.platform.clone(), Image::stored(image));
        let images: Vec<(Platform, Image)> = stored.images.iter().map(of).collect();
        let whole = stored.skipped == 0;
        ImageSet { images, original: whole.then(|| stored.descriptor.clone()) }
    }

    /// Which image suits a machine best: the only one, or the one for its platform.
    pub fn position_for(&self, machine: &Platform) -> Option<usize> {
        let rank = |(platform, _): &(Platform, Image)| platform::rank(machine, platform);
        match self.images.as_slice() {
            [_] => Some(0),
            images => {
                let fit = images.iter().enumerate().filter_map(|(at, it)| Some((rank(it)?, at)));
                fit.min().map(|(_, at)| at)
            }
        }
    }

    /// All images with their layers in this form. An index that needs no change is kept.
    pub fn documents(&self, store: &Store, form: Form) -> Result<SetDocuments, AssembleError> {
        let images = self.images.iter().map(|(_, image)| image.documents(store, form));
        let images = images.collect::<Result<Vec<Documents>, _>>()?;
        let changed = || {
            self.images.iter().zip(&images).any(|((_, image), now)| !image.came_with(&now.manifest))
        };
        let top = match (images.as_slice(), &self.original) {
            (_, Some(original)) if !changed() => original.clone(),
            ([only], _) => only.manifest.clone(),
            _ => self.write_index(store, &images)?,
        };
        Ok(SetDocuments { top, images })
    }

    /// The id that is shown to people: an image's own, or that of the index, whose documents are
    /// these.
    pub fn id(&self, documents: &SetDocuments) -> Digest {
        match self.images.as_slice() {
            [(_, only)] => only.id(),
            _ => documents.top.digest,
        }
    }

    fn write_index(
        &self,
        store: &Store,
        images: &[Documents],
    ) -> Result<Descriptor, AssembleError> {
        let entry = |((platform, _), documents): (&(Platform, Image), &Documents)| {
            let mut entry = documents.manifest.clone();
            entry.annotations.clear();
            entry.rest.insert("platform".to_owned(), platform_document(platform));
            entry
        };
        let manifests: Vec<Descriptor> = self.images.iter().zip(images).map(entry).collect();
        let index =
            Index { schema_version: 2, media_type: media_type::INDEX, manifests: &manifests };
        let bytes = serde_json::to_vec(&index)?;
        let digest = store.blobs().put(&bytes)?;
        Ok(descriptor(media_type::INDEX, digest, bytes.len() as u64))
    }
}

/// A platform as an index has it.
fn platform_document(platform: &Platform) -> serde_json::Value {
    let Platform { os, architecture, variant } = platform;
    let mut document = json!({ "architecture": architecture, "os": os });
    if !variant.is_empty() {
        document["variant"] = json!(variant);
    }
    document
}
