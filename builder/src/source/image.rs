//! Base images: the registry and the store put together.
//!
//! [`ImageSource::resolve_base`] finds out which image a `FROM` means and keeps its manifest and
//! config; that is all a build needs which only copies onto it. [`ImageSource::ensure_layers`]
//! brings the layers of an image into the store, when something has to see them. Blobs are kept as
//! they came, so that they can be pushed and read by other tools, byte for byte.
//!
//! | policy | where a reference is looked up |
//! |---|---|
//! | `PreferLocal` | an image of the store with this name; the registry; what the registry said last |
//! | `Pull` | the registry |

use std::time::SystemTime;

use bytes::Bytes;
use rbuild_cache::{BlobSource, Digest, LayerId, Snapshot, Store};
use rbuild_frontend::document::{self, Document, MAX_NESTING, Manifest, RawManifest};
use rbuild_frontend::platform;
use rbuild_frontend::reference::{Reference, Repository};
use rbuild_solver::op::Platform;
use serde::Deserialize;

use crate::registry::Client;
use crate::registry::blob::Progress;
use crate::registry::error::RegistryError;
use crate::registry::resolve::{Known, Resolved};
use crate::registry::transport::Notify;

mod error;
mod pull;
#[cfg(test)]
mod tests;
mod unpack;

pub use error::ImageError;

/// Under this platform, a resolution says what the reference itself named: an index, perhaps.
const ANY_PLATFORM: &str = "*";

/// Finds base images, and brings them here.
#[derive(Clone)]
pub struct ImageSource {
    store: Store,
    client: Client,
    notify: Notify,
}

/// Whether an image of the store will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// If the store has an image of that name, it is the one.
    PreferLocal,
    /// The registry decides: `--pull`.
    Pull,
}

/// The image that a reference names for a platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// The reference it was found by.
    pub reference: Reference,
    /// The digest of its manifest, which is in the store.
    pub manifest: Digest,
    /// What is in the manifest.
    pub image: Manifest,
    /// The image config as it came; the blob is in the store.
    pub config: Bytes,
    /// The digests of its layers, uncompressed, bottom first: as many as the manifest has layers.
    pub diff_ids: Vec<Digest>,
}

impl ImageSource {
    /// A source that keeps what it finds in `store`.
    pub fn new(store: Store, client: Client, notify: Notify) -> ImageSource {
        ImageSource { store, client, notify }
    }

    /// Finds the image that `reference` means, and keeps its manifest and config in the store.
    ///
    /// # Errors
    /// No such image or platform, or a registry that cannot be asked about something that it was
    /// never asked before.
    pub async fn resolve_base(
        &self,
        reference: &Reference,
        platform: &Platform,
        policy: Policy,
    ) -> Result<Base, ImageError> {
        if policy == Policy::PreferLocal
            && let Some(base) = self.local(reference, platform)?
        {
            return Ok(base);
        }
        match self.ask(reference, platform).await {
            Ok(resolved) => self.keep(reference, platform, resolved),
            Err(error) if error.is_unreachable() && policy == Policy::PreferLocal => {
                self.remembered(reference, platform, error)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Brings the layers of an image into the store, those that are missing, side by side. May be
    /// dropped at any time; what is complete stays.
    ///
    /// # Errors
    /// Layers that cannot be had, or are not what the image says.
    pub async fn ensure_layers(
        &self,
        base: &Base,
        progress: &Progress,
    ) -> Result<Snapshot, ImageError> {
        // What was pulled is identified by its diffIDs, whoever pulled it.
        self.announce(base)?;
        let layers: Vec<LayerId> = pull::layers(self, base, progress).await?;
        Ok(Snapshot { layers })
    }

    /// The layers of an image, without fetching any.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn announce(&self, base: &Base) -> Result<Snapshot, ImageError> {
        let pairs = base.image.layers.iter().zip(&base.diff_ids);
        let layers = pairs.map(|(blob, diff_id)| {
            Ok(self.store.layers().announce(diff_id, (&blob.digest, blob.size))?)
        });
        Ok(Snapshot { layers: layers.collect::<Result<_, ImageError>>()? })
    }

    async fn ask(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Resolved, RegistryError> {
        let blobs = self.store.blobs();
        let records = self.store.records();
        let last = records.resolution(&reference.canonical(), ANY_PLATFORM);
        let known = Known {
            last: last.map(|last| last.manifest),
            document: &|digest| if blobs.contains(digest) { blobs.read(digest).ok() } else { None },
        };
        self.client.resolve(reference, platform, known).await
    }

    fn keep(
        &self,
        reference: &Reference,
        platform: &Platform,
        resolved: Resolved,
    ) -> Result<Base, ImageError> {
        let Resolved { top, manifest, image, config } = resolved;
        let base = self.base(reference, &manifest, image, config.clone())?;
        let blobs = self.store.blobs();
        for bytes in [&top.bytes, &manifest.bytes, &config] {
            let digest = Digest::of(bytes);
            if !blobs.contains(&digest) {
                blobs.put(bytes)?;
            }
        }
        self.remember(&base, platform, &top)?;
        Ok(base)
    }

    /// Nothing is written when nothing has changed.
    fn remember(
        &self,
        base: &Base,
        platform: &Platform,
        top: &RawManifest,
    ) -> Result<(), ImageError> {
        let records = self.store.records();
        let name = base.reference.canonical();
        let platform = platform::display(platform);
        for (platform, digest) in
            [(platform.as_str(), base.manifest), (ANY_PLATFORM, top.descriptor.digest)]
        {
            let before = records.resolution(&name, platform);
            if before.is_some_and(|before| before.manifest == digest) {
                continue;
            }
            records.put_resolution(&name, platform, &digest)?;
            self.remember_source(&base.reference.repository, &base.image)?;
        }
        Ok(())
    }

    /// Where the blobs can be had, and mounted from by a push.
    fn remember_source(&self, at: &Repository, image: &Manifest) -> Result<(), ImageError> {
        let Repository { registry, path } = at.clone();
        let source = BlobSource { registry, repository: path };
        for blob in image.layers.iter().chain([&image.config]) {
            self.store.records().put_blob_source(&blob.digest, &source)?;
        }
        Ok(())
    }

    /// The image of the store with this name, if it is there for the platform.
    fn local(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<Base>, ImageError> {
        match self.store.images().get(&reference.canonical())? {
            Some(image) => self.stored(reference, platform, &image.descriptor.digest),
            None => Ok(None),
        }
    }

    /// What the registry said when it could be asked.
    fn remembered(
        &self,
        reference: &Reference,
        platform: &Platform,
        error: RegistryError,
    ) -> Result<Base, ImageError> {
        let (name, shown) = (reference.canonical(), platform::display(platform));
        let Some(last) = self.store.records().resolution(&name, &shown) else {
            return Err(error.into());
        };
        let Some(base) = self.stored(reference, platform, &last.manifest)? else {
            return Err(error.into());
        };
        let age = age(last.resolved, SystemTime::now());
        let name = reference.familiar();
        (self.notify)(&format!("{error}; using `{name}` as it was {age} ago ({})", last.manifest));
        Ok(base)
    }

    /// An image whose manifest and config are in the store; none if one of them is not.
    pub fn stored(
        &self,
        reference: &Reference,
        platform: &Platform,
        top: &Digest,
    ) -> Result<Option<Base>, ImageError> {
        let Some((manifest, image)) = self.walk(platform, top) else { return Ok(None) };
        let Some(config) = self.at_hand(&image.config.digest) else { return Ok(None) };
        let named = parse_config(reference, &config)?;
        if platform::rank(platform, &named.platform()).is_none() {
            return Ok(None);
        }
        self.base(reference, &manifest, image, config).map(Some)
    }

    fn walk(&self, platform: &Platform, top: &Digest) -> Option<(RawManifest, Manifest)> {
        let mut digest = *top;
        for _ in 0..MAX_NESTING {
            let raw = RawManifest::new(self.at_hand(&digest)?).ok()?;
            match document::parse(&raw.bytes).ok()? {
                Document::Manifest(manifest) => return Some((raw, manifest)),
                Document::Index(index) => digest = index.best(platform)?.digest,
            }
        }
        None
    }

    fn at_hand(&self, digest: &Digest) -> Option<Bytes> {
        let blobs = self.store.blobs();
        if !blobs.contains(digest) {
            return None;
        }
        blobs.read(digest).ok().map(Bytes::from)
    }

    fn base(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
        image: Manifest,
        config: Bytes,
    ) -> Result<Base, ImageError> {
        let diff_ids = parse_config(reference, &config)?.rootfs.diff_ids.unwrap_or_default();
        if diff_ids.len() != image.layers.len() {
            return Err(ImageError::Config {
                reference: reference.familiar(),
                reason: format!(
                    "it names {} layers, and the manifest {}",
                    diff_ids.len(),
                    image.layers.len()
                ),
            });
        }
        let (reference, manifest) = (reference.clone(), manifest.descriptor.digest);
        Ok(Base { reference, manifest, image, config, diff_ids })
    }
}

/// What of an image config has to be understood to get at the layers.
#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    rootfs: RootFs,
}

#[derive(Default, Deserialize)]
struct RootFs {
    /// Docker writes `null` for an image without layers.
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

impl ConfigFile {
    fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }
}

fn parse_config(reference: &Reference, config: &[u8]) -> Result<ConfigFile, ImageError> {
    serde_json::from_slice(config).map_err(|error| ImageError::Config {
        reference: reference.familiar(),
        reason: error.to_string(),
    })
}

/// `3 days`, `1 hour`, `5 minutes`
fn age(then: SystemTime, now: SystemTime) -> String {
    let seconds = now.duration_since(then).unwrap_or_default().as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86400 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}
