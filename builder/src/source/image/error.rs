//! What can go wrong with base images.

use rbuild_cache::layer::ImportError;
use rbuild_cache::{
    BlobReadError, BlobWriteError, ClaimError, DbError, Digest, ImageError as StoreImageError,
};

use crate::registry::error::RegistryError;

/// Why a base image could not be found or brought here.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Its config cannot be used.
    #[error("the config of `{reference}` cannot be used: {reason}")]
    Config {
        /// The image.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A layer cannot be unpacked, or is not the one that the config names.
    #[error("cannot unpack the layer {layer} of `{reference}`")]
    Layer {
        /// The image.
        reference: String,
        /// The blob.
        layer: Digest,
        /// Why not.
        source: Box<ImportError>,
    },
    /// The thread that unpacks a layer is gone.
    #[error("unpacking the layer {layer} of `{reference}` was given up")]
    GivenUp {
        /// The image.
        reference: String,
        /// The blob.
        layer: Digest,
    },
    /// The store's list of images cannot be read.
    #[error(transparent)]
    Images(#[from] StoreImageError),
    /// A blob of the store cannot be read.
    #[error(transparent)]
    ReadBlob(#[from] BlobReadError),
    /// A blob cannot be kept.
    #[error(transparent)]
    WriteBlob(#[from] BlobWriteError),
    /// What was found cannot be remembered.
    #[error(transparent)]
    Records(#[from] DbError),
    /// Another process has the layer in work, and waiting for it ended.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl ImageError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.help(),
            _ => None,
        }
    }
}
