//! Images that are in the store, found by what a person calls them.

use rbuild_cache::{BlobReadError, Descriptor, Digest, ImageError, Store};
use rbuild_frontend::config::ImageConfig;
use rbuild_frontend::reference::Reference;
use serde::Deserialize;

/// An image of the store with its documents.
#[derive(Debug)]
pub struct StoredImage {
    /// Its manifest.
    pub descriptor: Descriptor,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The config's descriptor; its digest is the image's id.
    pub config_descriptor: Descriptor,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The config.
    pub config: ImageConfig,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
}

/// The fields of a manifest that say what else belongs to the image.
#[derive(Debug, Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// Why an image of the store could not be had.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// There is none of that name or id.
    #[error("the store has no image `{0}`")]
    Absent(String),
    /// The beginning of an id fits several images.
    #[error("`{0}` is the beginning of several ids")]
    Ambiguous(String),
    /// The list of images could not be read.
    #[error(transparent)]
    List(#[from] ImageError),
    /// A document could not be read.
    #[error("a document of the image `{image}` cannot be read")]
    Blob {
        /// The image.
        image: String,
        /// Why.
        source: BlobReadError,
    },
    /// A document is not what it should be.
    #[error("a document of the image `{image}` is not understood")]
    Json {
        /// The image.
        image: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl StoredError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            StoredError::Absent(name) => Some(format!(
                "`rbuild images` lists what there is; `rbuild pull {name}` fetches it"
            )),
            StoredError::Ambiguous(_) => Some("give more of its digits".to_owned()),
            StoredError::Blob { .. } | StoredError::Json { .. } => {
                Some("build or pull the image again".to_owned())
            }
            StoredError::List(_) => None,
        }
    }
}

/// Finds an image by name or by its id, which may be shortened, as docker does.
pub fn find(store: &Store, text: &str) -> Result<StoredImage, StoredError> {
    if let Ok(reference) = text.parse::<Reference>()
        && let Some(image) = store.images().get(&reference.canonical())?
    {
        return open(store, image.descriptor, text);
    }
    by_id(store, text)
}

/// The names of all images, each with its image.
pub fn all(store: &Store) -> Result<Vec<(String, StoredImage)>, StoredError> {
    let images = store.images().list()?;
    images
        .into_iter()
        .map(|image| {
            let opened = open(store, image.descriptor, &image.name)?;
            Ok((image.name, opened))
        })
        .collect()
}

fn open(store: &Store, descriptor: Descriptor, called: &str) -> Result<StoredImage, StoredError> {
    let blob = |source| StoredError::Blob { image: called.to_owned(), source };
    let json = |source| StoredError::Json { image: called.to_owned(), source };
    let bytes = store.blobs().read(&descriptor.digest).map_err(blob)?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(json)?;
    let config_bytes = store.blobs().read(&manifest.config.digest).map_err(blob)?;
    Ok(StoredImage {
        descriptor,
        manifest: bytes,
        config: serde_json::from_slice(&config_bytes).map_err(json)?,
        config_bytes,
        config_descriptor: manifest.config,
        layers: manifest.layers,
    })
}

fn by_id(store: &Store, text: &str) -> Result<StoredImage, StoredError> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let absent = || StoredError::Absent(text.to_owned());
    if digits.len() < 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(absent());
    }
    let fits = |digest: &Digest| digest.hex().starts_with(digits);
    let named = all(store)?.into_iter().map(|(_, image)| image);
    let nameless = store.images().nameless()?;
    let nameless = nameless.into_iter().filter_map(|entry| open(store, entry, text).ok());
    let mut found: Vec<StoredImage> = named
        .chain(nameless)
        .filter(|image| fits(&image.config_descriptor.digest) || fits(&image.descriptor.digest))
        .collect();
    found.sort_by_key(|image| image.descriptor.digest);
    found.dedup_by_key(|image| image.descriptor.digest);
    match found.len() {
        0 => Err(absent()),
        1 => Ok(found.remove(0)),
        _ => Err(StoredError::Ambiguous(text.to_owned())),
    }
}
