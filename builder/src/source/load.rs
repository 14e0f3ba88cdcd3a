//! `rbuild load`: images out of an archive, an OCI layout or what `docker save` wrote.
//!
//! Every file of the archive becomes a blob; then the archive's own lists say which of them are
//! images. A digest that a name promises is checked.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};

use rbuild_cache::archive::{BadMember, Compression, Members};
use rbuild_cache::layer::Kind;
use rbuild_cache::{BlobWriteError, Descriptor, Digest, ImageError, Store};
use rbuild_frontend::document::{self, Document, MAX_NESTING, MAX_SIZE};
use rbuild_frontend::reference::Reference;
use serde::Deserialize;
use serde_json::json;

use crate::cli::host_platform;
use crate::export::image::{descriptor, media_type};

/// Why an archive could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be read.
    #[error("cannot read the archive")]
    Read(#[from] io::Error),
    /// It is damaged, or holds what no archive of images does.
    #[error("cannot read the archive: {0}")]
    Member(#[from] BadMember),
    /// It holds no list of images.
    #[error("the archive has neither an `index.json` nor a `manifest.json`: it is no image")]
    NoImage,
    /// A list in it is not understood.
    #[error("`{file}` of the archive is not understood: {reason}")]
    Document {
        /// Which list.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A file that a list names is missing.
    #[error("the archive lacks `{0}`, which it says it has")]
    Missing(String),
    /// A file could not be kept.
    #[error(transparent)]
    Write(#[from] BlobWriteError),
    /// A file could not be read back.
    #[error(transparent)]
    Blob(#[from] rbuild_cache::BlobReadError),
    /// An image could not be named.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// The files of an archive, as blobs.
struct Files<'a> {
    store: &'a Store,
    files: HashMap<String, (Digest, u64)>,
    /// Links of the archive: older versions of docker write one for a layer that occurs twice.
    links: HashMap<String, String>,
}

/// An entry of `manifest.json` (Docker image specification v1.2).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    /// Docker writes `null` for an image without layers.
    #[serde(default)]
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct OciIndex {
    manifests: Vec<Descriptor>,
}

/// Reads an archive, plain or compressed with gzip or zstd; gives the names of its images, or
/// their ids where they have none.
pub fn load(store: &Store, input: impl Read) -> Result<Vec<String>, LoadError> {
    let files = Files::read(store, &mut plain(input)?)?;
    let layout = files.bytes("index.json")?;
    let layout = layout.map(|bytes| parsed::<OciIndex>("index.json", &bytes)).transpose()?;
    match (files.bytes("manifest.json")?, layout) {
        (Some(_), Some(layout)) if files.has_indexes(&layout)? => files.oci(layout),
        (Some(bytes), _) => files.docker(&bytes),
        (None, Some(layout)) => files.oci(layout),
        (None, None) => Err(LoadError::NoImage),
    }
}

/// The archive without its compression.
fn plain<'a>(input: impl Read + 'a) -> Result<Box<dyn Read + 'a>, LoadError> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let compression = Compression::of(input.fill_buf()?);
    Ok(compression.reader(input)?)
}

impl<'a> Files<'a> {
    fn read(store: &'a Store, archive: &mut dyn Read) -> Result<Files<'a>, LoadError> {
        let mut files = Files { store, files: HashMap::new(), links: HashMap::new() };
        let mut members = Members::new(archive);
        while let Some(member) = members.next()? {
            let name = String::from_utf8_lossy(&member.path).into_owned();
            match member.kind {
                Kind::File { .. } => {
                    let mut blob = store.blobs().writer()?;
                    io::copy(&mut members.data(), &mut blob)?;
                    files.files.insert(name.clone(), blob.finish(promised(&name).as_ref())?);
                }
                Kind::Symlink { target } | Kind::HardLink { target } => {
                    let target = String::from_utf8_lossy(&target).into_owned();
                    files.links.insert(name, target.trim_start_matches("../").to_owned());
                }
                _ => {}
            }
        }
        Ok(files)
    }

    fn find(&self, name: &str) -> Option<(Digest, u64)> {
        let linked = || self.links.get(name).and_then(|target| self.files.get(target));
        self.files.get(name).or_else(linked).copied()
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, LoadError> {
        match self.find(name) {
            Some((_, size)) if size > MAX_SIZE => Err(LoadError::Document {
                file: name.to_owned(),
                reason: format!("it has more than {MAX_SIZE} bytes"),
            }),
            Some((digest, _)) => Ok(Some(self.store.blobs().read(&digest)?)),
            None => Ok(None),
        }
    }

    fn needed(&self, name: &str) -> Result<(Digest, u64), LoadError> {
        self.find(name).ok_or_else(|| LoadError::Missing(name.to_owned()))
    }

    /// The images of `manifest.json`.
    fn docker(&self, bytes: &[u8]) -> Result<Vec<String>, LoadError> {
        let images: Vec<DockerImage> = parsed("manifest.json", bytes)?;
        let mut names = Vec::new();
        for image in images {
            let manifest = self.manifest(&image)?;
            let tags = image.repo_tags.unwrap_or_default();
            names.extend(self.name(&manifest, &tags)?);
        }
        Ok(names)
    }

    /// An OCI manifest for an image of `manifest.json`, which has none.
    fn manifest(&self, image: &DockerImage) -> Result<Descriptor, LoadError> {
        let (config, size) = self.needed(&image.config)?;
        let layers: Vec<Descriptor> =
            image.layers.iter().flatten().map(|name| self.layer(name)).collect::<Result<_, _>>()?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": descriptor(media_type::CONFIG, config, size),
            "layers": layers,
        });
        let bytes = manifest.to_string().into_bytes();
        let digest = self.store.blobs().put(&bytes)?;
        Ok(descriptor(media_type::MANIFEST, digest, bytes.len() as u64))
    }

    fn layer(&self, name: &str) -> Result<Descriptor, LoadError> {
        let (digest, size) = self.needed(name)?;
        let mut head = [0; 16];
        let mut file = self.store.blobs().open(&digest)?;
        let length = file.read(&mut head)?;
        let kind = match Compression::of(&head[..length]) {
            Compression::Gzip => media_type::LAYER_GZIP,
            Compression::Zstd => media_type::LAYER_ZSTD,
            Compression::None | Compression::Bzip2 | Compression::Xz => media_type::LAYER,
        };
        Ok(descriptor(kind, digest, size))
    }

    /// Whether a name of a layout stands for several images, of which `manifest.json` knows one.
    fn has_indexes(&self, layout: &OciIndex) -> Result<bool, LoadError> {
        let there = layout.manifests.iter().filter(|it| self.files.contains_key(&blob_name(it)));
        let documents: Vec<Document> =
            there.map(|entry| self.document(entry)).collect::<Result<_, _>>()?;
        Ok(documents.iter().any(|document| matches!(document, Document::Index(_))))
    }

    /// The images of an OCI layout.
    fn oci(&self, index: OciIndex) -> Result<Vec<String>, LoadError> {
        let mut names = Vec::new();
        for entry in index.manifests {
            let annotation = |key: &str| entry.annotations.get(key).cloned();
            let name = annotation("io.containerd.image.name")
                .or_else(|| annotation("org.opencontainers.image.ref.name"));
            let top = match self.is_whole(&entry, MAX_NESTING)? {
                true => entry,
                false => self.for_this_machine(entry)?,
            };
            names.extend(self.name(&top, name.as_slice())?);
        }
        Ok(names)
    }

    /// Whether the archive has everything that a descriptor names, indexes in so many indexes.
    fn is_whole(&self, entry: &Descriptor, nesting: usize) -> Result<bool, LoadError> {
        if nesting == 0 || !self.files.contains_key(&blob_name(entry)) {
            return Ok(false);
        }
        match self.document(entry)? {
            Document::Manifest(image) => {
                let mut blobs = image.layers.iter().chain([&image.config]);
                Ok(blobs.all(|blob| self.files.contains_key(&blob_name(blob))))
            }
            Document::Index(index) => {
                let mut whole = true;
                for entry in &index.manifests {
                    whole &= self.is_whole(entry, nesting - 1)?;
                }
                Ok(whole)
            }
        }
    }

    fn document(&self, entry: &Descriptor) -> Result<Document, LoadError> {
        let name = blob_name(entry);
        let bytes = self.bytes(&name)?.ok_or_else(|| LoadError::Missing(name.clone()))?;
        document::parse(&bytes).map_err(|reason| LoadError::Document { file: name, reason })
    }

    /// Of several platforms that are not all there, the one of this machine.
    fn for_this_machine(&self, mut entry: Descriptor) -> Result<Descriptor, LoadError> {
        for _ in 0..MAX_NESTING {
            match self.document(&entry)? {
                Document::Manifest(_) => return Ok(entry),
                Document::Index(index) => match index.best(&host_platform()) {
                    Some(best) => entry = best.clone(),
                    None => break,
                },
            }
        }
        Err(LoadError::Missing("an image for this platform".to_owned()))
    }

    fn name(&self, manifest: &Descriptor, names: &[String]) -> Result<Vec<String>, LoadError> {
        let mut given = Vec::new();
        for reference in names.iter().filter_map(|name| name.parse::<Reference>().ok()) {
            self.store.images().tag(&reference.canonical(), manifest)?;
            given.push(reference.familiar());
        }
        if given.is_empty() {
            self.store.images().keep(manifest)?;
            given.push(manifest.digest.to_string());
        }
        Ok(given)
    }
}

fn blob_name(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.hex())
}

/// The digest that a name of an OCI layout promises.
fn promised(name: &str) -> Option<Digest> {
    format!("sha256:{}", name.strip_prefix("blobs/sha256/")?).parse().ok()
}

fn parsed<'a, T: Deserialize<'a>>(file: &str, bytes: &'a [u8]) -> Result<T, LoadError> {
    serde_json::from_slice(bytes)
        .map_err(|error| LoadError::Document { file: file.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests;
