//! An image as a sum of documents: config, manifest, and descriptors of layers.
//!
//! The layers of the base keep the descriptors they came with. Those that this build made are
//! uncompressed tars to the store, and become gzip when they leave it. A tar is described when the
//! image is put together, and written only when somebody needs its bytes.

use rayon::prelude::*;
use rbuild_cache::layer::{CompressError, Compression, ReadError};
use rbuild_cache::{Descriptor, Digest, LayerId, Snapshot, Store};
use rbuild_frontend::config::ImageConfig;
use serde::Serialize;

use super::created;
use crate::source::stored::StoredImage;

/// Media types of the OCI image specification.
pub mod media_type {
    /// An image config.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An uncompressed layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer compressed with gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer compressed with zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// What Docker calls a layer compressed with gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// What Docker calls an uncompressed layer.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
}

/// What an image is made from.
pub struct Parts<'a> {
    /// What lowering made; its history and rootfs are completed here.
    pub config: ImageConfig,
    /// The layers of the base, as its manifest describes them, bottom first.
    pub base: Vec<Descriptor>,
    /// The file tree: the layers of the base, then those of this build.
    pub snapshot: &'a Snapshot,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<i64>,
}

/// An image whose config is in the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// The config: its digest is the image's id.
    pub config: Descriptor,
    /// All layers, bottom first.
    pub layers: Vec<Layer>,
    /// The manifest that it came with, if it was not made here.
    original: Option<Descriptor>,
}

/// The documents and layers of an image in one form: what leaves the store together.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The manifest, which is in the store.
    pub manifest: Descriptor,
    /// The config.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
}

/// One layer of an image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    /// How it is stored.
    pub stored: Descriptor,
}

/// Which form the layers of this build have in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the store has them: what is built and used on one machine is never compressed.
    Stored,
    /// Compressed with gzip.
    Gzip,
}

/// A manifest as it is written (OCI image-spec, manifest).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    config: &'a Descriptor,
    layers: &'a [Descriptor],
}

/// Why an image could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A layer could not be written as a tar.
    #[error("cannot write a layer of the image")]
    Layer(#[from] ReadError),
    /// A layer could not be compressed.
    #[error("cannot compress a layer of the image")]
    Compress(#[from] CompressError),
    /// A document could not be stored.
    #[error("cannot store the image's config or manifest")]
    Blob(#[from] rbuild_cache::BlobWriteError),
    /// A document could not be written as JSON.
    #[error("cannot write the image's config or manifest as JSON")]
    Json(#[from] serde_json::Error),
}

impl Image {
    /// Completes the config and stores it; digests the tars of this build's layers.
    pub fn assemble(store: &Store, parts: Parts<'_>) -> Result<Image, AssembleError> {
        let Parts { mut config, base, snapshot, epoch } = parts;
        let made = &snapshot.layers[base.len().min(snapshot.layers.len())..];
        let mut layers: Vec<Layer> = config
            .rootfs
            .diff_ids
            .iter()
            .zip(base)
            .map(|(diff_id, stored)| Layer { diff_id: *diff_id, stored: as_oci(stored) })
            .collect();
        let own = made.par_iter().map(|layer| own_layer(store, layer, epoch));
        layers.extend(own.collect::<Result<Vec<_>, _>>()?);
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        created::fill(&mut config, &created::times(store, made), epoch);
        let bytes = config.to_json();
        let digest = store.blobs().put(&bytes)?;
        let config = descriptor(media_type::CONFIG, digest, bytes.len() as u64);
        Ok(Image { config, layers, original: None })
    }

    /// An image of the store.
    pub fn stored(image: &StoredImage) -> Image {
        let diff_ids = image.config.rootfs.diff_ids.iter();
        let layers = diff_ids
            .zip(&image.layers)
            .map(|(diff_id, stored)| Layer { diff_id: *diff_id, stored: stored.clone() });
        Image {
            config: image.config_descriptor.clone(),
            layers: layers.collect(),
            original: Some(image.descriptor.clone()),
        }
    }

    /// The image's id, as docker shows it.
    pub fn id(&self) -> Digest {
        self.config.digest
    }

    /// The image with its layers in this form; compresses what was not compressed before, and
    /// puts the manifest into the store. An image that needs no change keeps its manifest.
    pub fn documents(&self, store: &Store, form: Form) -> Result<Documents, AssembleError> {
        let layers = self
            .layers
            .iter()
            .map(|layer| layer.descriptor(store, form))
            .collect::<Result<Vec<_>, _>>()?;
        let changed = self.layers.iter().zip(&layers).any(|(layer, now)| layer.stored != *now);
        let manifest = match &self.original {
            Some(original) if !changed => original.clone(),
            _ => self.write_manifest(store, &layers)?,
        };
        Ok(Documents { manifest, config: self.config.clone(), layers })
    }

    /// Whether this is the manifest that it came with.
    pub fn came_with(&self, manifest: &Descriptor) -> bool {
        self.original.as_ref().is_some_and(|original| original.digest == manifest.digest)
    }

    fn write_manifest(
        &self,
        store: &Store,
        layers: &[Descriptor],
    ) -> Result<Descriptor, AssembleError> {
        let manifest = Manifest {
            schema_version: 2,
            media_type: media_type::MANIFEST,
            config: &self.config,
            layers,
        };
        let bytes = serde_json::to_vec(&manifest)?;
        let digest = store.blobs().put(&bytes)?;
        Ok(descriptor(media_type::MANIFEST, digest, bytes.len() as u64))
    }
}

impl Layer {
    fn descriptor(&self, store: &Store, form: Form) -> Result<Descriptor, AssembleError> {
        if form == Form::Stored || self.stored.media_type != media_type::LAYER {
            return Ok(self.stored.clone());
        }
        let (digest, size) = store.layers().compressed(&self.diff_id, Compression::default())?;
        Ok(descriptor(media_type::LAYER_GZIP, digest, size))
    }
}

/// A manifest names its layers in one vocabulary: Docker's media types become those of OCI.
fn as_oci(mut layer: Descriptor) -> Descriptor {
    let oci = match layer.media_type.as_str() {
        media_type::DOCKER_LAYER_GZIP => media_type::LAYER_GZIP,
        media_type::DOCKER_LAYER => media_type::LAYER,
        _ => return layer,
    };
    layer.media_type = oci.to_owned();
    layer
}

fn own_layer(store: &Store, layer: &LayerId, epoch: Option<i64>) -> Result<Layer, AssembleError> {
    let tar = store.layers().archive(layer, epoch)?;
    let stored = descriptor(media_type::LAYER, tar.diff_id, tar.size);
    Ok(Layer { diff_id: tar.diff_id, stored })
}

/// A descriptor without annotations.
pub fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        annotations: Default::default(),
        rest: Default::default(),
    }
}
