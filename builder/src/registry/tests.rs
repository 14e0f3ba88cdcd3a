//! The client against scripted servers, which misbehave as told, and against a real registry.

mod pull;
mod push;
mod real;
pub(crate) mod server;
mod token;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rbuild_cache::{Descriptor, Digest};
use rbuild_frontend::document::{self, RawManifest};
use rbuild_frontend::reference::{Reference, Repository};
use rbuild_solver::op::Platform;

use super::Client;
use super::blob::{BlobReader, Progress};
use super::config::Registries;
use super::credential::Credentials;
use super::error::RegistryError;
use super::push::{BlobUpload, Content, ImageUpload};
use super::resolve::{Known, Resolved};
use super::retry::Patience;

const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// Never waits long, and gives up where a user would be more patient.
fn impatient() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(5),
        tries: 3,
        first_wait: Duration::from_millis(1),
        budget: Duration::from_secs(5),
    }
}

/// A client and what it told the user.
struct Told {
    client: Client,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Told {
    fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().clone()
    }
}

fn client(config: &str, credentials: Credentials, patience: Patience) -> Told {
    let dir = tempfile::tempdir().unwrap();
    let registries = Registries::read(&write(dir.path(), "registries.toml", config)).unwrap();
    let notices = Arc::new(Mutex::new(Vec::new()));
    let sink = notices.clone();
    let notify = Arc::new(move |text: &str| sink.lock().unwrap().push(text.to_owned()));
    Told { client: Client::new(registries, credentials, patience, notify), notices }
}

fn anonymous() -> Client {
    client("", Credentials::default(), impatient()).client
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn reference(host: &str, rest: &str) -> Reference {
    format!("{host}/{rest}").parse().unwrap()
}

fn repository(host: &str, path: &str) -> Repository {
    Repository { registry: host.to_owned(), path: path.to_owned() }
}

fn platform(architecture: &str) -> Platform {
    let (os, architecture) = ("linux".to_owned(), architecture.to_owned());
    Platform { os, architecture, variant: String::new() }
}

fn resolve(client: &Client, reference: &Reference) -> Result<Resolved, RegistryError> {
    let known = Known { last: None, document: &|_| None };
    run(client.resolve(reference, &platform("amd64"), known))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    document::descriptor(media_type.to_owned(), digest, size)
}

fn layer(bytes: &[u8]) -> Descriptor {
    descriptor(LAYER_TYPE, bytes)
}

/// A manifest with the config and one layer.
fn manifest(config: &[u8], content: &[u8]) -> RawManifest {
    let json = |d: &Descriptor| {
        let Descriptor { media_type, digest, size, .. } = d;
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
    };
    let config = json(&descriptor("application/vnd.oci.image.config.v1+json", config));
    let layer = json(&layer(content));
    let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    RawManifest::new(Bytes::from(text)).unwrap()
}

/// An image to push, and the folder that its blobs are in.
struct Built {
    image: ImageUpload,
    dir: tempfile::TempDir,
}

impl Built {
    fn new(config: &[u8], content: &[u8]) -> Built {
        let dir = tempfile::tempdir().unwrap();
        let config_type = "application/vnd.oci.image.config.v1+json";
        let blobs = [("config", config_type, config), ("layer", LAYER_TYPE, content)];
        let blobs = blobs.map(|(name, media_type, bytes)| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let descriptor = descriptor(media_type, bytes);
            BlobUpload { descriptor, content: Content::File(path), seen_in: Vec::new() }
        });
        let image = ImageUpload { manifest: manifest(config, content), blobs: blobs.into() };
        Built { image, dir }
    }
}

fn silent() -> Progress {
    Arc::new(|_, _, _| {})
}

fn read_all(mut blob: BlobReader) -> Result<Vec<u8>, RegistryError> {
    run(async {
        let mut all = Vec::new();
        while let Some(chunk) = blob.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    })
}
