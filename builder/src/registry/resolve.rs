//! From a reference and a platform to one image: its manifest and its config.
//!
//! A tag that was resolved before costs one HEAD, which registries do not count against their
//! limits; what its digest names is taken from the store if it is there. Everything fetched is
//! checked against its digest. Layers are left where they are.

use bytes::Bytes;
use rbuild_cache::Digest;
use rbuild_frontend::document::{
    self, Document, Index, MANIFEST_TYPES, MAX_NESTING, Manifest, RawManifest,
};
use rbuild_frontend::platform;
use rbuild_frontend::reference::Reference;
use rbuild_solver::op::Platform;
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;

use super::Client;
use super::config::{Endpoint, Role};
use super::error::{Failing, RegistryError};
use super::near::nearest;
use super::transport::{Call, Purpose};

const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
const MAX_CONFIG: u64 = 8 * 1024 * 1024;
const MAX_TAGS: u64 = 1024 * 1024;

/// One image for one platform.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What the reference itself names: an index, or the manifest.
    pub top: RawManifest,
    /// The manifest of the platform's image.
    pub manifest: RawManifest,
    /// What is in that manifest.
    pub image: Manifest,
    /// The image config, as it came.
    pub config: Bytes,
}

/// What is at hand already.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What the reference named when it was last resolved.
    pub last: Option<Digest>,
    /// A document by its digest.
    pub document: &'a (dyn Fn(&Digest) -> Option<Vec<u8>> + Send + Sync),
}

impl Client {
    /// Finds the image that `reference` names for `platform`, at a mirror or at the registry.
    ///
    /// # Errors
    /// No such image or platform, no access, no registry, or documents that cannot be used.
    pub async fn resolve(
        &self,
        reference: &Reference,
        platform: &Platform,
        known: Known<'_>,
    ) -> Result<Resolved, RegistryError> {
        for endpoint in self.transport.pull_endpoints(&reference.repository.registry) {
            let lookup = Lookup { client: self, endpoint: &endpoint, reference, known };
            match lookup.resolve(platform).await {
                Err(error) if endpoint.role == Role::Mirror => {
                    self.transport.pass_over(&endpoint, &error);
                }
                result => return result,
            }
        }
        Err(nowhere(reference))
    }
}

/// The registry itself always ends the list of endpoints.
fn nowhere(reference: &Reference) -> RegistryError {
    RegistryError::NotFound {
        reference: reference.familiar(),
        near: Vec::new(),
        message: String::new(),
    }
}

/// One reference at one endpoint.
struct Lookup<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    reference: &'a Reference,
    known: Known<'a>,
}

impl Lookup<'_> {
    async fn resolve(&self, platform: &Platform) -> Result<Resolved, RegistryError> {
        let top = self.top().await?;
        let (manifest, image) = self.choose(top.clone(), platform).await?;
        let config = self.config(&image).await?;
        Ok(Resolved { top, manifest, image, config })
    }

    async fn top(&self) -> Result<RawManifest, RegistryError> {
        if let Some(digest) = &self.reference.digest {
            return self.by_digest(digest).await;
        }
        if let Some(known) = self.known.last.as_ref().and_then(|last| self.at_hand(last))
            && self.head().await? == Some(known.descriptor.digest)
        {
            return Ok(known);
        }
        self.fetch(&self.reference.selector(), None).await
    }

    /// Walks down from an index to the manifest that fits best.
    async fn choose(
        &self,
        top: RawManifest,
        wanted: &Platform,
    ) -> Result<(RawManifest, Manifest), RegistryError> {
        let mut current = top;
        for _ in 0..MAX_NESTING {
            match document::parse(&current.bytes).map_err(|reason| self.bad(reason))? {
                Document::Manifest(manifest) => return Ok((current, manifest)),
                Document::Index(index) => {
                    let digest = self.best(&index, wanted)?;
                    current = self.by_digest(&digest).await?;
                }
            }
        }
        Err(self.bad("it is an index of indexes of indexes".to_owned()))
    }

    fn best(&self, index: &Index, wanted: &Platform) -> Result<Digest, RegistryError> {
        match index.best(wanted) {
            Some(entry) => Ok(entry.digest),
            None => Err(RegistryError::NoPlatform {
                reference: self.reference.familiar(),
                wanted: platform::display(wanted),
                available: index.platforms(),
            }),
        }
    }

    async fn config(&self, image: &Manifest) -> Result<Bytes, RegistryError> {
        let descriptor = &image.config;
        if let Some(bytes) = (self.known.document)(&descriptor.digest) {
            return Ok(bytes.into());
        }
        if descriptor.size > MAX_CONFIG {
            let (host, what) = (self.endpoint.name().to_owned(), "an image config");
            return Err(RegistryError::TooLarge { host, what, limit: MAX_CONFIG });
        }
        let mut blob = self.client.blob(&self.reference.repository, descriptor);
        let mut bytes = Vec::new();
        while let Some(chunk) = blob.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }

    async fn by_digest(&self, digest: &Digest) -> Result<RawManifest, RegistryError> {
        match self.at_hand(digest) {
            Some(known) => Ok(known),
            None => self.fetch(&digest.to_string(), Some(digest)).await,
        }
    }

    fn at_hand(&self, digest: &Digest) -> Option<RawManifest> {
        RawManifest::new((self.known.document)(digest)?.into()).ok()
    }

    /// The digest of the tag, if the registry tells. Whatever else it says, it says again and in
    /// more words when it is asked for the document.
    async fn head(&self) -> Result<Option<Digest>, RegistryError> {
        match self.ask(Method::HEAD, &self.reference.selector()).await {
            Ok(response) => Ok(told_digest(response.headers())),
            Err(error) if error.is_unreachable() => Err(error),
            Err(_) => Ok(None),
        }
    }

    async fn fetch(
        &self,
        selector: &str,
        expected: Option<&Digest>,
    ) -> Result<RawManifest, RegistryError> {
        let response = match self.ask(Method::GET, selector).await {
            Err(RegistryError::Status { status: 404, message, .. }) => {
                return Err(self.not_found(selector, message).await);
            }
            result => result?,
        };
        let told = told_digest(response.headers());
        let purpose = self.purpose();
        let failing = Failing { host: self.endpoint.name(), action: &purpose.action };
        let transport = &self.client.transport;
        let bytes = transport.read(response, ("a manifest", MAX_MANIFEST), failing).await?;
        let raw = RawManifest::new(bytes.into()).map_err(|reason| self.bad(reason))?;
        match expected.copied().or(told) {
            Some(expected) if expected != raw.descriptor.digest => {
                Err(RegistryError::DigestMismatch {
                    host: self.endpoint.name().to_owned(),
                    what: "a manifest",
                    expected,
                    actual: raw.descriptor.digest,
                })
            }
            _ => Ok(raw),
        }
    }

    async fn ask(&self, method: Method, selector: &str) -> Result<Response, RegistryError> {
        let purpose = self.purpose();
        let url = format!("/v2/{}/manifests/{selector}", purpose.repository);
        let call = Call::new(self.endpoint, &purpose, method, self.endpoint.url(&url)?)
            .header(ACCEPT, &MANIFEST_TYPES.join(", "));
        self.client.transport.call(&call, &[StatusCode::OK]).await
    }

    async fn not_found(&self, selector: &str, message: String) -> RegistryError {
        let near = match &self.reference.tag {
            Some(tag) if tag == selector && self.endpoint.role == Role::Registry => {
                nearest(tag, self.tags().await)
            }
            _ => Vec::new(),
        };
        RegistryError::NotFound { reference: self.reference.familiar(), near, message }
    }

    /// The first page of tags. Only to be helpful, so nothing is tried twice.
    async fn tags(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let purpose = self.purpose();
        let failing = Failing { host: self.endpoint.name(), action: &purpose.action };
        let Ok(mut url) = self.endpoint.url(&format!("/v2/{}/tags/list", purpose.repository))
        else {
            return Vec::new();
        };
        url.query_pairs_mut().append_pair("n", "1000");
        let call = Call::new(self.endpoint, &purpose, Method::GET, url);
        let transport = &self.client.transport;
        let Ok(response) = transport.call_once(&call, &[StatusCode::OK]).await else {
            return Vec::new();
        };
        let bytes = transport.read(response, ("a list of tags", MAX_TAGS), failing).await;
        let tags = bytes.ok().and_then(|bytes| serde_json::from_slice::<Tags>(&bytes).ok());
        tags.and_then(|tags| tags.tags).unwrap_or_default()
    }

    fn purpose(&self) -> Purpose {
        Purpose::pull(&self.endpoint.path(&self.reference.repository))
    }

    fn bad(&self, reason: String) -> RegistryError {
        let reference = self.reference.familiar();
        RegistryError::BadDocument { reference, what: "the manifest", reason }
    }
}

/// `Docker-Content-Digest`, where it is a sha256.
pub(super) fn told_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
