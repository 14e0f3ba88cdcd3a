//! Bringing layers into the store: each blob is read once, kept as it came, and unpacked while it
//! comes.
//!
//! The threads that unpack (in `unpack`) are fed through a short channel by the download. A layer
//! that another process has in work is waited for, not fetched a second time. Dropping the future
//! stops the threads at their next read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rbuild_cache::layer::ImportError;
use rbuild_cache::{Descriptor, Digest, KeyLock, LayerId};
use rbuild_frontend::reference::Repository;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::unpack::{Feed, Part, Stoppable, UnpackError, keep_and_unpack, unpack};
use super::{Base, ImageError, ImageSource};
use crate::registry::blob::Progress;

/// Layers in work at once; the client bounds the downloads among them.
const SIDE_BY_SIDE: usize = 6;
/// Parts of a blob that may wait between the download and the unpacking.
const PARTS_WAITING: usize = 32;

/// The layers of an image, bottom first; those that are missing are fetched.
pub(super) async fn layers(
    source: &ImageSource,
    base: &Base,
    progress: &Progress,
) -> Result<Vec<LayerId>, ImageError> {
    let pull = Pull { source, base, progress, stop: StopOnDrop::default() };
    let pairs = base.image.layers.iter().zip(&base.diff_ids);
    stream::iter(pairs.map(|(blob, diff_id)| pull.layer(blob, *diff_id)))
        .buffered(SIDE_BY_SIDE)
        .try_collect()
        .await
}

/// One image being pulled.
struct Pull<'a> {
    source: &'a ImageSource,
    base: &'a Base,
    progress: &'a Progress,
    stop: StopOnDrop,
}

/// Set when nobody wants the result any more.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Pull<'_> {
    async fn layer(&self, blob: &Descriptor, diff_id: Digest) -> Result<LayerId, ImageError> {
        let store = &self.source.store;
        if let Some(layer) = store.layers().here(&diff_id) {
            return Ok(layer);
        }
        let _claim = self.claim(blob, diff_id).await?;
        if let Some(layer) = store.layers().here(&diff_id) {
            return Ok(layer);
        }
        match store.blobs().contains(&blob.digest) {
            true => self.unpack(blob, diff_id).await,
            false => self.fetch(blob, diff_id).await,
        }
    }

    async fn claim(&self, blob: &Descriptor, diff_id: Digest) -> Result<KeyLock, ImageError> {
        let (store, stop) = (self.source.store.clone(), self.stop.0.clone());
        let claim = spawn_blocking(move || {
            store.claim(&format!("layer {diff_id}"), &|| stop.load(Ordering::SeqCst))
        });
        Ok(claim.await.map_err(|_| self.given_up(blob))??)
    }

    /// The blob is here already.
    async fn unpack(&self, blob: &Descriptor, diff_id: Digest) -> Result<LayerId, ImageError> {
        let file = self.source.store.blobs().open(&blob.digest)?;
        let (store, stop) = (self.source.store.clone(), self.stop.0.clone());
        let reader = Stoppable::new(file, stop);
        let unpacked = spawn_blocking(move || unpack(&store, reader, &diff_id));
        let imported = unpacked.await.map_err(|_| self.given_up(blob))?;
        imported.map_err(|error| self.layer_error(blob, error))
    }

    /// The download feeds the thread that keeps and unpacks. If the download fails, the thread
    /// finds the channel closed early and gives up; then the download's error is the one to tell.
    async fn fetch(&self, blob: &Descriptor, diff_id: Digest) -> Result<LayerId, ImageError> {
        let (sender, receiver) = mpsc::channel(PARTS_WAITING);
        let store = self.source.store.clone();
        let digest = blob.digest;
        let writer = store.blobs().writer()?;
        let feed = Feed::new(receiver, writer);
        let unpacked = spawn_blocking(move || keep_and_unpack(&store, feed, &digest, &diff_id));
        let downloaded = self.download(blob, sender).await;
        let imported = unpacked.await.map_err(|_| self.given_up(blob))?;
        downloaded?;
        match imported {
            Ok(layer) => Ok(layer),
            Err(UnpackError::Import(error)) => Err(self.layer_error(blob, error)),
            Err(UnpackError::Keep(error)) => Err(error.into()),
        }
    }

    /// A thread that stopped listening has its own error to tell.
    async fn download(
        &self,
        blob: &Descriptor,
        parts: mpsc::Sender<Part>,
    ) -> Result<(), ImageError> {
        let mut reader = self.source.client.blob(&self.repository(blob), blob);
        let mut done = 0;
        while let Some(part) = reader.chunk().await? {
            done += part.len() as u64;
            (self.progress)(&blob.digest, done, blob.size);
            if parts.send(Part::Bytes(part)).await.is_err() {
                return Ok(());
            }
        }
        // The thread may be gone with an error of its own.
        let _ = parts.send(Part::End).await;
        Ok(())
    }

    /// Where the blob is. An image of the store may stand on layers of another one that were never
    /// fetched: its own repository does not have them, but it is known which one does.
    fn repository(&self, blob: &Descriptor) -> Repository {
        let own = &self.base.reference.repository;
        let known = self.source.store.records().blob_sources(&blob.digest);
        let known = known
            .into_iter()
            .map(|source| Repository { registry: source.registry, path: source.repository });
        let known: Vec<Repository> = known.collect();
        match known.first() {
            Some(other) if !known.contains(own) => other.clone(),
            _ => own.clone(),
        }
    }

    fn layer_error(&self, blob: &Descriptor, source: ImportError) -> ImageError {
        let (reference, layer) = (self.base.reference.familiar(), blob.digest);
        ImageError::Layer { reference, layer, source: Box::new(source) }
    }

    fn given_up(&self, blob: &Descriptor) -> ImageError {
        let (reference, layer) = (self.base.reference.familiar(), blob.digest);
        ImageError::GivenUp { reference, layer }
    }
}
