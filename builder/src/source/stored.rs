//! Images that are in the store, found by what a person calls them.

use std::collections::BTreeMap;

use rbuild_cache::{BlobReadError, Descriptor, Digest, Image, ImageError, Store};
use rbuild_frontend::config::ImageConfig;
use rbuild_frontend::document::{self, Document, Index, Manifest};
use rbuild_frontend::platform;
use rbuild_frontend::reference::Reference;
use rbuild_solver::op::Platform;

use crate::cli::host_platform;
/// What a name of the store stands for: an image, or several for a platform each.
#[derive(Debug)]
pub struct Stored {
    /// Of the manifest, or of the index.
    pub descriptor: Descriptor,
    /// At least one.
    pub images: Vec<StoredImage>,
    /// How many entries of the index are no images of the store.
    pub skipped: usize,
}

/// An image of the store with its documents.
#[derive(Debug)]
pub struct StoredImage {
    /// What it is for: what the index says, or else its config.
    pub platform: Platform,
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
    /// There is none for that platform.
    #[error("the store has `{image}` not for {wanted}, but for {}", available.join(", "))]
    Platform {
        /// The image.
        image: String,
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        available: Vec<String>,
    },
    /// A document could not be read.
    #[error("a document of the image `{image}` cannot be read")]
    Blob {
        /// The image.
        image: String,
        /// Why.
        source: BlobReadError,
    },
    /// A document is not what it should be.
    #[error("a document of the image `{image}` is not understood: {reason}")]
    Document {
        /// The image.
        image: String,
        /// Why.
        reason: String,
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
            StoredError::Platform { .. } => Some("name one of those with `--platform`".to_owned()),
            StoredError::Blob { image, .. } | StoredError::Document { image, .. } => {
                Some(format!("build or pull the image again, or `rbuild rmi {image}`"))
            }
            StoredError::List(_) => None,
        }
    }
}

/// Finds what a name stands for, or an image by its id, which may be shortened, as docker does.
pub fn find(store: &Store, text: &str) -> Result<Stored, StoredError> {
    match named(store, text)? {
        Some((_, image)) => Stored::open(store, image.descriptor, text),
        None => by_id(store, text),
    }
}

/// What has this name. Most ids could be names, too.
pub fn named(store: &Store, text: &str) -> Result<Option<(Reference, Image)>, StoredError> {
    let Ok(reference) = text.parse::<Reference>() else { return Ok(None) };
    let image = store.images().get(&reference.canonical())?;
    Ok(image.map(|image| (reference, image)))
}

/// What has a name in a store.
#[derive(Debug, Default)]
pub struct Listed {
    /// The names, each with what it stands for.
    pub images: Vec<(String, Stored)>,
    /// Why others stand for nothing that can be used.
    pub damaged: Vec<StoredError>,
}

/// All names. A damaged image does not hide the others.
pub fn all(store: &Store) -> Result<Listed, StoredError> {
    let mut listed = Listed::default();
    for image in store.images().list()? {
        match Stored::open(store, image.descriptor, &image.name) {
            Ok(stored) => listed.images.push((image.name, stored)),
            Err(error) => listed.damaged.push(error),
        }
    }
    Ok(listed)
}

impl Stored {
    /// The image for a platform; without one this machine's, or the only one there is. `called` is
    /// for the error.
    pub fn choose(
        mut self,
        platform: Option<&Platform>,
        called: &str,
    ) -> Result<StoredImage, StoredError> {
        let host = host_platform();
        let wanted = platform.unwrap_or(&host);
        let fit = |image: &StoredImage| platform::rank(wanted, &image.platform);
        let best = self.images.iter().enumerate().filter_map(|(at, it)| Some((fit(it)?, at)));
        match (best.min(), self.images.len(), platform) {
            (Some((_, at)), ..) => Ok(self.images.swap_remove(at)),
            (None, 1, None) => Ok(self.images.swap_remove(0)),
            _ => Err(StoredError::Platform {
                image: called.to_owned(),
                wanted: wanted.clone(),
                available: self.images.iter().map(|image| image.platform.to_string()).collect(),
            }),
        }
    }

    /// The image for a platform by itself; without one all that there is.
    pub fn restrict(
        self,
        platform: Option<&Platform>,
        called: &str,
    ) -> Result<Stored, StoredError> {
        if platform.is_none() {
            return Ok(self);
        }
        let image = self.choose(platform, called)?;
        Ok(Stored { descriptor: image.descriptor.clone(), images: vec![image], skipped: 0 })
    }

    /// The id that people see: an image's own, or the index's.
    pub fn id(&self) -> Digest {
        match self.images.as_slice() {
            [only] if only.descriptor.digest == self.descriptor.digest => {
                only.config_descriptor.digest
            }
            _ => self.descriptor.digest,
        }
    }

    /// The bytes of all layers, those that images share counted once.
    pub fn size(&self) -> u64 {
        let layers = self.images.iter().flat_map(|image| &image.layers);
        layers.map(|layer| (layer.digest, layer.size)).collect::<BTreeMap<_, _>>().values().sum()
    }

    fn open(store: &Store, descriptor: Descriptor, called: &str) -> Result<Stored, StoredError> {
        let (images, entries) = match document(store, &descriptor, called)? {
            (bytes, Document::Manifest(manifest)) => {
                let image = StoredImage::open(store, descriptor.clone(), (bytes, manifest), called);
                (vec![image?], 1)
            }
            (_, Document::Index(index)) => {
                (of_index(store, &index, called)?, index.manifests.len())
            }
        };
        if images.is_empty() {
            let reason = "its index has no image that is in the store".to_owned();
            return Err(StoredError::Document { image: called.to_owned(), reason });
        }
        Ok(Stored { descriptor, skipped: entries - images.len(), images })
    }
}

/// The images of an index. What is not there, or is about an image rather than one, is left out.
fn of_index(store: &Store, index: &Index, called: &str) -> Result<Vec<StoredImage>, StoredError> {
    let mut images = Vec::new();
    for entry in &index.manifests {
        let platform = document::platform_of(entry);
        let is_image = platform.as_ref().is_none_or(|platform| platform.os != "unknown");
        if !is_image || !store.blobs().contains(&entry.digest) {
            continue;
        }
        if let (bytes, Document::Manifest(manifest)) = document(store, entry, called)? {
            let image = StoredImage::open(store, entry.clone(), (bytes, manifest), called)?;
            let platform = platform.unwrap_or_else(|| image.platform.clone());
            images.push(StoredImage { platform, ..image });
        }
    }
    Ok(images)
}

fn document(
    store: &Store,
    descriptor: &Descriptor,
    called: &str,
) -> Result<(Vec<u8>, Document), StoredError> {
    let image = called.to_owned();
    let bytes = store.blobs().read(&descriptor.digest);
    let bytes = bytes.map_err(|source| StoredError::Blob { image: image.clone(), source })?;
    let parsed = document::parse(&bytes);
    let parsed = parsed.map_err(|reason| StoredError::Document { image, reason })?;
    Ok((bytes, parsed))
}

impl StoredImage {
    fn open(
        store: &Store,
        descriptor: Descriptor,
        (bytes, manifest): (Vec<u8>, Manifest),
        called: &str,
    ) -> Result<StoredImage, StoredError> {
        let image = called.to_owned();
        let config_bytes = store.blobs().read(&manifest.config.digest);
        let config_bytes =
            config_bytes.map_err(|source| StoredError::Blob { image: image.clone(), source })?;
        let config: ImageConfig = serde_json::from_slice(&config_bytes)
            .map_err(|error| StoredError::Document { image, reason: error.to_string() })?;
        Ok(StoredImage {
            platform: Platform {
                os: config.os.clone(),
                architecture: config.architecture.clone(),
                variant: config.variant.clone(),
            },
            descriptor,
            manifest: bytes,
            config,
            config_bytes,
            config_descriptor: manifest.config,
            layers: manifest.layers,
        })
    }
}

/// By the id of an image or of an index; an image of an index is found by itself.
fn by_id(store: &Store, text: &str) -> Result<Stored, StoredError> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let absent = || StoredError::Absent(text.to_owned());
    if digits.len() < 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(absent());
    }
    let fits = |digest: &Digest| digest.hex().starts_with(digits);
    let named = all(store)?.images.into_iter().map(|(_, stored)| stored);
    let nameless = store.images().nameless()?;
    let nameless = nameless.into_iter().filter_map(|entry| Stored::open(store, entry, text).ok());
    let mut found: Vec<Stored> = Vec::new();
    for stored in named.chain(nameless) {
        if fits(&stored.descriptor.digest) {
            found.push(stored);
            continue;
        }
        let images = stored.images.into_iter().filter(|image| {
            fits(&image.config_descriptor.digest) || fits(&image.descriptor.digest)
        });
        found.extend(images.map(|image| Stored {
            descriptor: image.descriptor.clone(),
            images: vec![image],
            skipped: 0,
        }));
    }
    found.sort_by_key(|stored| stored.descriptor.digest);
    found.dedup_by_key(|stored| stored.descriptor.digest);
    match found.len() {
        0 => Err(absent()),
        1 => Ok(found.remove(0)),
        _ => Err(StoredError::Ambiguous(text.to_owned())),
    }
}
