//! Pushing: blobs first, then the manifests that name them, then the tags.
//!
//! A blob that the repository has is not sent. One that another repository of the same registry
//! has is mounted from there; a registry that declines (202) has opened an upload, which is used.
//! The rest is streamed in one request each. A request that fails is made again with a new upload,
//! after asking whether the blob arrived after all. Logins are renewed on the way.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use rbuild_cache::{Descriptor, Digest};
use rbuild_frontend::document::{RawManifest, is_foreign};
use rbuild_frontend::reference::Repository;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::io::AsyncReadExt as _;

use super::Client;
use super::blob::Progress;
use super::config::Endpoint;
use super::error::RegistryError;
use super::resolve::told_digest;
use super::transport::{Body, Call, Direction, Purpose};
use super::watch::Watch;

/// Blobs of one image that are looked at side by side.
const SIDE_BY_SIDE: usize = 4;
const READ_SIZE: usize = 256 * 1024;

/// One image to push.
#[derive(Debug, Clone)]
pub struct ImageUpload {
    /// The manifest.
    pub manifest: RawManifest,
    /// What it names: the config and the layers.
    pub blobs: Vec<BlobUpload>,
}

/// One blob to push.
#[derive(Debug, Clone)]
pub struct BlobUpload {
    /// What it is.
    pub descriptor: Descriptor,
    /// Where its bytes are.
    pub content: Content,
    /// Where it is known to be already. One on the same registry can be mounted from.
    pub seen_in: Vec<Repository>,
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub enum Content {
    /// In a file that is the blob.
    File(PathBuf),
    /// In a repository, from which they are passed on: nothing was ever pulled.
    Remote(Repository),
}

impl Client {
    /// Pushes an image and names it by `tags`; without tags it is there by its digest only.
    ///
    /// # Errors
    /// No access, no registry, or bytes that cannot be had.
    pub async fn push(
        &self,
        to: &Repository,
        tags: &[String],
        image: &ImageUpload,
        progress: &Progress,
    ) -> Result<Digest, RegistryError> {
        let push = Push::new(self, to, progress);
        push.blobs(image.blobs.iter()).await?;
        push.manifest(&image.manifest, tags).await
    }

    /// Pushes an index with its images, and names it by `tags`. The images are there by their
    /// digests only.
    ///
    /// # Errors
    /// No access, no registry, or bytes that cannot be had.
    pub async fn push_index(
        &self,
        to: &Repository,
        tags: &[String],
        index: &RawManifest,
        images: &[ImageUpload],
        progress: &Progress,
    ) -> Result<Digest, RegistryError> {
        let push = Push::new(self, to, progress);
        push.blobs(images.iter().flat_map(|image| &image.blobs)).await?;
        for image in images {
            push.manifest(&image.manifest, &[]).await?;
        }
        push.manifest(index, tags).await
    }
}

/// One push to one repository.
struct Push<'a> {
    client: &'a Client,
    endpoint: Endpoint,
    purpose: Purpose,
    progress: &'a Progress,
}

/// What a request to start an upload came to.
enum Started {
    /// The blob is there: it was mounted.
    Mounted,
    /// It is to be sent here.
    Session(Url),
}

impl<'a> Push<'a> {
    fn new(client: &'a Client, to: &Repository, progress: &'a Progress) -> Push<'a> {
        let endpoint = client.transport.registries.endpoint(&to.registry);
        Push { client, endpoint, purpose: Purpose::push(&to.path), progress }
    }

    async fn blobs(&self, blobs: impl Iterator<Item = &BlobUpload>) -> Result<(), RegistryError> {
        let mut seen = HashSet::new();
        let blobs = blobs
            .filter(|blob| !is_foreign(&blob.descriptor))
            .filter(|blob| seen.insert(blob.descriptor.digest));
        let blobs: Vec<&BlobUpload> = blobs.collect();
        stream::iter(blobs.into_iter().map(Ok))
            .try_for_each_concurrent(SIDE_BY_SIDE, |blob| self.blob(blob))
            .await
    }

    async fn blob(&self, blob: &BlobUpload) -> Result<(), RegistryError> {
        let transport = &self.client.transport;
        let _turn = transport.turn(&self.endpoint.host, Direction::Up).await;
        let mut retry = transport.retry(&self.endpoint);
        let mut source = self.mount_source(blob);
        loop {
            match self.try_blob(blob, source.take()).await {
                Ok(()) => break,
                Err(error) => transport.wait(&mut retry, error).await?,
            }
        }
        let Descriptor { digest, size, .. } = &blob.descriptor;
        (self.progress)(digest, *size, *size);
        Ok(())
    }

    fn mount_source<'b>(&self, blob: &'b BlobUpload) -> Option<&'b str> {
        let here = |seen: &&Repository| {
            seen.registry == self.endpoint.registry && seen.path != self.purpose.repository
        };
        blob.seen_in.iter().find(here).map(|seen| seen.path.as_str())
    }

    async fn try_blob(&self, blob: &BlobUpload, from: Option<&str>) -> Result<(), RegistryError> {
        if self.exists(&blob.descriptor.digest).await? {
            return Ok(());
        }
        match self.start(&blob.descriptor.digest, from).await? {
            Started::Mounted => Ok(()),
            Started::Session(url) => self.send(blob, url).await,
        }
    }

    async fn exists(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let call = Call::new(&self.endpoint, &self.purpose, Method::HEAD, url);
        let expected = [StatusCode::OK, StatusCode::NOT_FOUND];
        let response = self.client.transport.call_once(&call, &expected).await?;
        Ok(response.status() == StatusCode::OK)
    }

    /// Tries to mount first. A registry that does not let us read the other repository says so
    /// with an error, which is no reason not to send the blob.
    async fn start(&self, digest: &Digest, from: Option<&str>) -> Result<Started, RegistryError> {
        let transport = &self.client.transport;
        let mut url = self.url("blobs/uploads/")?;
        if let Some(from) = from {
            let mut mount = url.clone();
            mount
                .query_pairs_mut()
                .append_pair("mount", &digest.to_string())
                .append_pair("from", from);
            let purpose = Purpose::mount(&self.purpose.repository, from);
            let call = Call::new(&self.endpoint, &purpose, Method::POST, mount);
            let expected = [StatusCode::CREATED, StatusCode::ACCEPTED];
            match transport.call_once(&call, &expected).await {
                Ok(response) if response.status() == StatusCode::CREATED => {
                    return Ok(Started::Mounted);
                }
                Ok(response) => return self.session(&response).map(Started::Session),
                Err(error) if error.is_unreachable() => return Err(error),
                Err(_) => url.set_query(None),
            }
        }
        let call = Call::new(&self.endpoint, &self.purpose, Method::POST, url);
        let response = transport.call_once(&call, &[StatusCode::ACCEPTED]).await?;
        self.session(&response).map(Started::Session)
    }

    /// Where to send the blob. A registry behind a proxy may not know that it is asked with TLS.
    fn session(&self, response: &Response) -> Result<Url, RegistryError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let joined = location.and_then(|location| response.url().join(location).ok());
        let mut url = joined.ok_or_else(|| RegistryError::Protocol {
            host: self.endpoint.name().to_owned(),
            action: self.purpose.action.clone(),
            reason: "it names no place to send the blob to (`Location`)".to_owned(),
        })?;
        let downgraded = response.url().scheme() == "https" && url.scheme() == "http";
        if downgraded && url.host() == response.url().host() && url.port().is_none() {
            // The scheme can only fail to change for schemes that are not of the web.
            let _ = url.set_scheme("https");
        }
        Ok(url)
    }

    async fn send(&self, blob: &BlobUpload, mut url: Url) -> Result<(), RegistryError> {
        let Descriptor { digest, size, .. } = &blob.descriptor;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        self.check_content(blob).await?;
        let watch = Arc::new(Watch::new());
        let make = || self.body(blob, &watch);
        let body = Body::Stream { size: *size, make: &make, watch: &watch };
        let call = Call::new(&self.endpoint, &self.purpose, Method::PUT, url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body);
        match self.client.transport.call_once(&call, &[StatusCode::CREATED]).await {
            // The upload is gone, as after a restart of the registry: a new one will do.
            Err(RegistryError::Status { status: 404 | 416, host, action, message, .. }) => {
                Err(RegistryError::Interrupted { host, action, reason: message })
            }
            result => result.map(drop),
        }
    }

    /// A file that cannot be read is not the registry's fault, and not worth another try.
    async fn check_content(&self, blob: &BlobUpload) -> Result<(), RegistryError> {
        let Content::File(path) = &blob.content else { return Ok(()) };
        match tokio::fs::File::open(path).await {
            Ok(_) => Ok(()),
            Err(source) => Err(RegistryError::Io { verb: "open", path: path.clone(), source }),
        }
    }

    fn body(&self, blob: &BlobUpload, watch: &Arc<Watch>) -> reqwest::Body {
        let Descriptor { digest, size, .. } = blob.descriptor.clone();
        let (watch, progress) = (watch.clone(), self.progress.clone());
        let mut done = 0;
        let told = move |bytes: &Bytes| {
            done += bytes.len() as u64;
            watch.touch();
            progress(&digest, done, size);
        };
        match &blob.content {
            Content::File(path) => reqwest::Body::wrap_stream(file(path.clone()).inspect_ok(told)),
            Content::Remote(from) => {
                let reader = self.client.blob(from, &blob.descriptor);
                let bytes = stream::try_unfold(reader, async |mut reader| {
                    Ok::<_, RegistryError>(reader.chunk().await?.map(|bytes| (bytes, reader)))
                });
                reqwest::Body::wrap_stream(bytes.inspect_ok(told))
            }
        }
    }

    async fn manifest(
        &self,
        manifest: &RawManifest,
        tags: &[String],
    ) -> Result<Digest, RegistryError> {
        let digest = manifest.descriptor.digest;
        let names = match tags {
            [] => vec![digest.to_string()],
            tags => tags.to_vec(),
        };
        for name in names {
            let url = self.url(&format!("manifests/{name}"))?;
            let call = Call::new(&self.endpoint, &self.purpose, Method::PUT, url)
                .header(CONTENT_TYPE, &manifest.descriptor.media_type)
                .body(Body::Bytes(manifest.bytes.clone()));
            let expected = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
            let response = self.client.transport.call(&call, &expected).await?;
            self.check_digest(&response, digest)?;
        }
        Ok(digest)
    }

    fn check_digest(&self, response: &Response, expected: Digest) -> Result<(), RegistryError> {
        match told_digest(response.headers()) {
            Some(told) if told != expected => Err(RegistryError::Protocol {
                host: self.endpoint.name().to_owned(),
                action: self.purpose.action.clone(),
                reason: format!("it took the manifest {expected} for {told}"),
            }),
            _ => Ok(()),
        }
    }

    fn url(&self, path: &str) -> Result<Url, RegistryError> {
        self.endpoint.url(&format!("/v2/{}/{path}", self.purpose.repository))
    }
}

/// The bytes of a file.
fn file(path: PathBuf) -> impl Stream<Item = std::io::Result<Bytes>> {
    let opened = async { tokio::fs::File::open(path).await };
    stream::once(opened).flat_map(|file| match file {
        Ok(file) => stream::try_unfold(file, next_part).left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    })
}

async fn next_part(mut file: tokio::fs::File) -> std::io::Result<Option<(Bytes, tokio::fs::File)>> {
    let mut buffer = BytesMut::with_capacity(READ_SIZE);
    match file.read_buf(&mut buffer).await? {
        0 => Ok(None),
        _ => Ok(Some((buffer.freeze(), file))),
    }
}
