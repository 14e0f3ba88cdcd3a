//! Images for the rest of the program, which does not know about futures: bases of a build,
//! images to run, pulls and pushes. Every call ends when the user ends the build.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rbuild_cache::{Descriptor, Digest, Snapshot, Store};
use rbuild_frontend::Platforms;
use rbuild_frontend::config::ImageConfig;
use rbuild_frontend::document::{Manifest, RawManifest};
use rbuild_frontend::reference::{Reference, Repository};
use rbuild_frontend::stage::{BaseRequest, ResolvedBase};
use rbuild_solver::op::{ImageOp, Platform};
use rbuild_solver::worker::Cancel;
use tokio::runtime::Handle;

mod lazy;

use super::image::{Base, ImageError, ImageSource, Policy};
use super::layout;
use super::stored::StoredImage;
use crate::cli::Session;
use crate::exit::Exit;
use crate::export::{Documents, SetDocuments};
use crate::progress::Progress;
use crate::registry::Client;
use crate::registry::blob::Progress as Transfer;
use crate::registry::config::{ConfigError, Registries};
use crate::registry::credential::Credentials;
use crate::registry::error::RegistryError;
use crate::registry::push::{BlobUpload, Content, ImageUpload};
use crate::registry::retry::Patience;

/// Finds, fetches and sends images.
pub struct Images {
    runtime: Handle,
    store: Store,
    client: Client,
    source: ImageSource,
    /// The bases that were resolved, by the digest of their manifest.
    resolved: Mutex<HashMap<Digest, Base>>,
}

/// What tells how far a transfer is: a short name, bytes done, bytes in all.
pub type Tell<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

/// Why an image could not be had or sent.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// The store or a registry.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A name that is none.
    #[error(transparent)]
    Reference(#[from] rbuild_frontend::reference::BadReference),
    /// An OCI layout on disk.
    #[error(transparent)]
    Layout(#[from] layout::LayoutError),
    /// Layers that nothing needed until now.
    #[error("cannot fetch the layers of `{image}`, which were not needed until now")]
    Fetch {
        /// The repository that has them.
        image: String,
        /// Why not.
        source: Box<ImagesError>,
    },
    /// Something was copied onto a base that nobody had looked at, and does not fit it.
    #[error("the base has `{0}` already: it was not looked at when files were copied there")]
    Guess(String),
    /// The store.
    #[error(transparent)]
    Read(#[from] rbuild_cache::layer::ReadError),
    /// A config that is not understood.
    #[error("the config of `{0}` is not understood")]
    Config(String, #[source] serde_json::Error),
    /// The user ended the build.
    #[error("interrupted")]
    Interrupted,
}

impl ImagesError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            ImagesError::Image(error) => error.help(),
            ImagesError::Fetch { source, .. } => source.help(),
            ImagesError::Guess(_) => Some(
                "build the image again: what was made on the wrong guess is out of the cache"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether the name is at fault: it is none, or the registry has nothing of that name.
    pub fn is_about_the_name(&self) -> bool {
        matches!(
            self,
            ImagesError::Reference(_)
                | ImagesError::Image(ImageError::Registry(RegistryError::NotFound { .. }))
        )
    }

    /// Who is at fault.
    pub fn exit(&self) -> Exit {
        match self {
            ImagesError::Interrupted => Exit::Interrupted,
            ImagesError::Reference(_) | ImagesError::Layout(_) => Exit::Build,
            ImagesError::Fetch { source, .. } => source.exit(),
            ImagesError::Image(_)
            | ImagesError::Config(..)
            | ImagesError::Guess(_)
            | ImagesError::Read(_) => Exit::Machine,
        }
    }
}

impl From<crate::registry::error::RegistryError> for ImagesError {
    fn from(error: crate::registry::error::RegistryError) -> ImagesError {
        ImagesError::Image(error.into())
    }
}

impl Images {
    /// The images that this call can reach; notices go to `progress`.
    pub fn open(session: &Session, progress: &Progress) -> Result<Images, ConfigError> {
        let shown = progress.clone();
        let notify: crate::registry::transport::Notify =
            Arc::new(move |text: &str| shown.notice(text));
        let client = Client::new(
            Registries::load()?,
            Credentials::from_environment(),
            Patience::default(),
            notify.clone(),
        );
        Ok(Images {
            runtime: session.runtime.handle().clone(),
            store: session.store.clone(),
            source: ImageSource::new(session.store.clone(), client.clone(), notify),
            client,
            resolved: Mutex::default(),
        })
    }

    /// Resolves bases, all at once.
    pub fn resolve_all(
        &self,
        requests: &[BaseRequest],
        policy: Policy,
        (platforms, progress): (Platforms, &Progress),
        cancel: &Cancel,
    ) -> Vec<Result<ResolvedBase, ImagesError>> {
        let one = |request| async move {
            let phase = progress.phase(&title(request, platforms));
            let resolved = self.resolve(&request.reference, &request.platform, policy).await;
            if resolved.is_ok() {
                phase.done();
            }
            resolved
        };
        let all = async { Ok(join_all(requests.iter().map(one)).await) };
        match self.wait(all, cancel) {
            Ok(all) => all,
            Err(_) => requests.iter().map(|_| Err(ImagesError::Interrupted)).collect(),
        }
    }

    /// Finds what a name means, and keeps its documents.
    async fn resolve(
        &self,
        name: &str,
        platform: &Platform,
        policy: Policy,
    ) -> Result<ResolvedBase, ImagesError> {
        let (reference, base) = match name.starts_with(layout::SCHEME) {
            true => self.layout_image(name, platform)?,
            false => {
                let reference: Reference = name.parse()?;
                let base = self.source.resolve_base(&reference, platform, policy).await?;
                (reference, base)
            }
        };
        let config: ImageConfig = serde_json::from_slice(&base.config)
            .map_err(|error| ImagesError::Config(reference.familiar(), error))?;
        let resolved =
            ResolvedBase { reference: reference.canonical(), manifest: base.manifest, config };
        self.known().insert(base.manifest, base);
        Ok(resolved)
    }

    /// An image of an OCI layout on disk. Only its digest names it: where the layout is has no
    /// part in what is built.
    fn layout_image(
        &self,
        name: &str,
        platform: &Platform,
    ) -> Result<(Reference, Base), ImagesError> {
        let digest = layout::import(&self.store, name, platform)?;
        let reference: Reference = format!("localhost/oci-layout@{digest}").parse()?;
        let base = self.source.stored(&reference, platform, &digest)?;
        let absent =
            || layout::LayoutError::Platform { path: name.into(), platform: platform.clone() };
        Ok((reference, base.ok_or_else(absent)?))
    }

    /// Fetches an image with its layers and gives its manifest.
    pub fn pull(
        &self,
        reference: &Reference,
        platform: &Platform,
        tell: Tell<'_>,
        cancel: &Cancel,
    ) -> Result<Descriptor, ImagesError> {
        let found =
            async { Ok(self.source.resolve_base(reference, platform, Policy::Pull).await?) };
        let base = self.wait(found, cancel)?;
        self.fetch(&base, tell, cancel)?;
        let bytes = self.store.blobs().read(&base.manifest).map_err(ImageError::from)?;
        let raw = RawManifest::new(Bytes::from(bytes))
            .map_err(|reason| ImageError::Config { reference: reference.familiar(), reason })?;
        Ok(raw.descriptor)
    }

    /// The layers of a base. None is fetched, unless the base is an image of the store that was
    /// made on a guess: that is checked before more is made of it.
    pub fn layers(
        &self,
        image: &ImageOp,
        tell: Tell<'_>,
        cancel: &Cancel,
    ) -> Result<Snapshot, ImagesError> {
        // Every image of a graph was resolved before.
        let Some(base) = self.known().get(&image.manifest).cloned() else {
            return Ok(Snapshot::default());
        };
        self.check(&image.diff_ids, tell, cancel)?;
        Ok(self.source.announce(&base)?)
    }

    /// Brings the layers of an image of the store into a form that can be run.
    pub fn stored_layers(
        &self,
        image: &StoredImage,
        name: &str,
        cancel: &Cancel,
    ) -> Result<Snapshot, ImagesError> {
        let base = Base {
            // Only errors show it, and it says where a blob that is gone could be had.
            reference: name.parse().or_else(|_| "localhost/image-without-name".parse())?,
            manifest: image.descriptor.digest,
            image: Manifest {
                config: image.config_descriptor.clone(),
                layers: image.layers.clone(),
            },
            config: Bytes::from(image.config_bytes.clone()),
            diff_ids: image.config.rootfs.diff_ids.clone(),
        };
        self.check(&base.diff_ids, &|_, _, _| {}, cancel)?;
        self.fetch(&base, &|_, _, _| {}, cancel)
    }

    /// The layers of a base as its manifest describes them.
    pub fn layers_of(&self, image: &ImageOp) -> Vec<Descriptor> {
        let known = self.known();
        known.get(&image.manifest).map(|base| base.image.layers.clone()).unwrap_or_default()
    }

    /// Sends an image, or an index with all its images, and names it there; gives the digest of
    /// what has the name.
    pub fn push(
        &self,
        to: &Reference,
        set: &SetDocuments,
        tell: Tell<'_>,
        cancel: &Cancel,
    ) -> Result<Digest, ImagesError> {
        let uploads = set.images.iter().map(|image| self.upload(image));
        let uploads = uploads.collect::<Result<Vec<ImageUpload>, _>>()?;
        let top = self.document(&set.top)?;
        let tags: Vec<String> = to.tag.iter().cloned().collect();
        self.with_progress(tell, cancel, |progress| async move {
            let (client, to) = (&self.client, &to.repository);
            Ok(match uploads.as_slice() {
                [only] if only.manifest == top => client.push(to, &tags, only, &progress).await?,
                all => client.push_index(to, &tags, &top, all, &progress).await?,
            })
        })
    }

    fn upload(&self, image: &Documents) -> Result<ImageUpload, ImagesError> {
        let blobs = image.layers.iter().chain([&image.config]).map(|blob| self.blob(blob));
        Ok(ImageUpload { manifest: self.document(&image.manifest)?, blobs: blobs.collect() })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<RawManifest, ImagesError> {
        let bytes = self.store.blobs().read(&descriptor.digest).map_err(ImageError::from)?;
        Ok(RawManifest { descriptor: descriptor.clone(), bytes: Bytes::from(bytes) })
    }

    /// A blob is sent from the store; one that was never fetched is passed on from where it is.
    fn blob(&self, descriptor: &Descriptor) -> BlobUpload {
        let sources = self.store.records().blob_sources(&descriptor.digest);
        let seen_in: Vec<Repository> = sources
            .into_iter()
            .map(|source| Repository { registry: source.registry, path: source.repository })
            .collect();
        let blobs = self.store.blobs();
        let content = match seen_in.first() {
            Some(at) if !blobs.contains(&descriptor.digest) => Content::Remote(at.clone()),
            _ => Content::File(blobs.path(&descriptor.digest)),
        };
        BlobUpload { descriptor: descriptor.clone(), content, seen_in }
    }

    fn fetch(&self, base: &Base, tell: Tell<'_>, cancel: &Cancel) -> Result<Snapshot, ImagesError> {
        self.with_progress(tell, cancel, |progress| async move {
            Ok(self.source.ensure_layers(base, &progress).await?)
        })
    }

    /// Runs a transfer and tells how far it is on the calling thread, so that whoever is told may
    /// borrow from it.
    fn with_progress<T, F: Future<Output = Result<T, ImagesError>>>(
        &self,
        tell: Tell<'_>,
        cancel: &Cancel,
        work: impl FnOnce(Transfer) -> F,
    ) -> Result<T, ImagesError> {
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let transfer: Transfer = Arc::new(move |digest: &Digest, done, total| {
            // Nobody listens any more once the work is done.
            let _ = sender.send((*digest, done, total));
        });
        let work = work(transfer);
        let both = async {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    result = &mut work => break result,
                    Some((digest, done, total)) = told.recv() => {
                        tell(&digest.hex()[..12], done, total);
                    }
                }
            }
        };
        self.wait(both, cancel)
    }

    /// Waits for a future on this thread, or until the user ends the build.
    fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, ImagesError>>,
        cancel: &Cancel,
    ) -> Result<T, ImagesError> {
        self.runtime.block_on(async {
            tokio::select! {
                result = work => result,
                () = cancelled(cancel) => Err(ImagesError::Interrupted),
            }
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Base>> {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn title(request: &BaseRequest, platforms: Platforms) -> String {
    let name = match request.reference.parse::<Reference>() {
        Ok(reference) => reference.canonical(),
        Err(_) => request.reference.clone(),
    };
    match platforms {
        Platforms::One => format!("[internal] load metadata for {name}"),
        Platforms::Several => format!("[{} internal] load metadata for {name}", request.platform),
    }
}
