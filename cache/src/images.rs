//! The images of the store: `index.json`, an OCI image index, so that other tools read the store
//! as an OCI image layout where it is.
//!
//! A tag is a descriptor with two annotations: `org.opencontainers.image.ref.name` is the name as
//! people write it (`app:latest`, what skopeo asks for), `io.containerd.image.name` the canonical
//! one (`docker.io/library/app:latest`). Descriptors and fields that are not ours stay as they are.
//!
//! The file is replaced as a whole, under a lock; readers take none. The record index has a copy:
//! a damaged file is put aside and made anew from it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::blob::Blobs;
use crate::digest::Digest;
use crate::fs::{self, FsError};
use crate::lock::{FileLock, Mode};
use crate::root::Root;

mod name;
#[cfg(test)]
mod tests;

/// The images of a store.
#[derive(Debug)]
pub struct Images {
    root: Arc<Root>,
}

/// A tagged image.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Canonical: `docker.io/library/app:latest`.
    pub name: String,
    /// Its manifest, or its index.
    pub descriptor: Descriptor,
}

/// A content descriptor (OCI image-spec, descriptor).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// `application/vnd.oci.image.manifest.v1+json`, ..
    pub media_type: String,
    /// Of the bytes it describes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What else there is: `platform`, `urls`, ..
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Why the images could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The image to be tagged is not in the store.
    #[error("cannot tag `{name}`: the store has no blob `{digest}`")]
    Absent {
        /// The tag.
        name: String,
        /// The blob that it would name.
        digest: Digest,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// `index.json`, with whatever else is in it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    manifests: Vec<Descriptor>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const CANONICAL_NAME: &str = "io.containerd.image.name";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

impl Images {
    pub(crate) fn new(root: Arc<Root>) -> Images {
        Images { root }
    }

    /// All tagged images, by name.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        let index = match self.load()? {
            Some(index) => index,
            None => self.locked(|index| index)?,
        };
        let mut images: Vec<Image> = index.manifests.into_iter().filter_map(image).collect();
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// The image with this canonical name.
    pub fn get(&self, name: &str) -> Result<Option<Image>, ImageError> {
        Ok(self.list()?.into_iter().find(|image| image.name == name))
    }

    /// Gives an image of this store a canonical name, in place of the image that had it. When this
    /// returns, image and name survive a power cut.
    pub fn tag(&self, name: &str, descriptor: &Descriptor) -> Result<(), ImageError> {
        let digest = descriptor.digest;
        if self.get(name)?.is_some_and(|image| image.descriptor.digest == digest) {
            return Ok(());
        }
        if !Blobs::new(self.root.clone()).contains(&digest) {
            return Err(ImageError::Absent { name: name.to_owned(), digest });
        }
        fs::sync_dir(&self.root.blobs())?;
        let mut tagged = descriptor.clone();
        tagged.annotations.insert(REF_NAME.to_owned(), name::familiar(name).to_owned());
        tagged.annotations.insert(CANONICAL_NAME.to_owned(), name.to_owned());
        self.change(|manifests| {
            manifests.retain(|other| name_of(other).as_deref() != Some(name));
            manifests.push(tagged);
        })
    }

    /// Takes a name away, and tells whether there was one. The blobs stay until they are pruned.
    pub fn untag(&self, name: &str) -> Result<bool, ImageError> {
        let mut found = false;
        self.change(|manifests| {
            let before = manifests.len();
            manifests.retain(|other| name_of(other).as_deref() != Some(name));
            found = manifests.len() < before;
        })?;
        Ok(found)
    }

    /// Keeps an image that has no name, so that it can be found by its id until it is pruned.
    pub fn keep(&self, descriptor: &Descriptor) -> Result<(), ImageError> {
        if self.nameless()?.iter().any(|other| other.digest == descriptor.digest) {
            return Ok(());
        }
        self.change(|manifests| {
            if !manifests.iter().any(|other| other.digest == descriptor.digest) {
                manifests.push(descriptor.clone());
            }
        })
    }

    /// The images that have no name.
    pub fn nameless(&self) -> Result<Vec<Descriptor>, ImageError> {
        let index = match self.load()? {
            Some(index) => index,
            None => self.locked(|index| index)?,
        };
        Ok(index.manifests.into_iter().filter(|entry| name_of(entry).is_none()).collect())
    }

    /// Lets go of the images that have no name.
    pub(crate) fn drop_nameless(&self) -> Result<(), ImageError> {
        if self.nameless()?.is_empty() {
            return Ok(());
        }
        self.change(|manifests| manifests.retain(|entry| name_of(entry).is_some()))
    }

    /// All descriptors, tagged or not: what the store must keep.
    pub(crate) fn descriptors(&self) -> Result<Vec<Descriptor>, ImageError> {
        self.locked(|index| index.manifests)
    }

    /// Takes all names away.
    pub(crate) fn clear(&self) -> Result<(), ImageError> {
        self.change(Vec::clear)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), ImageError> {
        self.locked(|mut index| {
            change(&mut index.manifests);
            self.write(&index)
        })?
    }

    /// Works on the index while nobody else changes it; a damaged one is made anew first.
    fn locked<T>(&self, work: impl FnOnce(Index) -> T) -> Result<T, ImageError> {
        let _lock = FileLock::wait(&self.root.locks().join("index"), Mode::Exclusive)?;
        let index = match self.load()? {
            Some(index) => index,
            None => self.recover()?,
        };
        Ok(work(index))
    }

    /// The index, or nothing if it is missing or damaged.
    fn load(&self) -> Result<Option<Index>, ImageError> {
        match fs::read(&self.path()) {
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        }
    }

    fn write(&self, index: &Index) -> Result<(), ImageError> {
        fs::replace(&self.path(), &self.root.temporary()?, &index.to_json())?;
        let named = index.manifests.iter().filter_map(|descriptor| {
            Some((name_of(descriptor)?, serde_json::to_string(descriptor).ok()?))
        });
        self.root.or_warn(self.root.db.replace_images(&named.collect::<Vec<_>>()));
        Ok(())
    }

    fn recover(&self) -> Result<Index, ImageError> {
        let path = self.path();
        let aside = self.root.put_aside(&path)?;
        let copies = self.root.or_warn(self.root.db.images()).unwrap_or_default();
        let mut index = Index::empty();
        index.manifests =
            copies.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        self.root.warn(format_args!(
            "`{}` was {}; made anew with {} images",
            path.display(),
            aside.map_or("missing".to_owned(), |to| format!(
                "damaged and is now `{}`",
                to.display()
            )),
            index.manifests.len(),
        ));
        self.write(&index)?;
        Ok(index)
    }

    fn path(&self) -> PathBuf {
        self.root.path.join("index.json")
    }
}

/// `index.json` of a store without images.
pub(crate) fn empty_index() -> Vec<u8> {
    Index::empty().to_json()
}

impl Index {
    fn empty() -> Index {
        Index {
            schema_version: 2,
            media_type: Some(INDEX_TYPE.to_owned()),
            manifests: Vec::new(),
            rest: Map::new(),
        }
    }

    fn to_json(&self) -> Vec<u8> {
        // Maps with text keys and plain values: there is nothing that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn image(descriptor: Descriptor) -> Option<Image> {
    Some(Image { name: name_of(&descriptor)?, descriptor })
}

/// The canonical name, also of an image that another tool put there.
fn name_of(descriptor: &Descriptor) -> Option<String> {
    let written = || descriptor.annotations.get(REF_NAME).map(|name| name::canonical(name));
    descriptor.annotations.get(CANONICAL_NAME).cloned().or_else(written)
}
