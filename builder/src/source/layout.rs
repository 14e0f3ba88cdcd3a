//! Images in an OCI image layout on disk: `oci-layout://PATH[:TAG][@DIGEST]`.
//!
//! Everything that the image for one platform needs is copied into the store, each blob checked
//! against the digest that names it; from then on it is an image like any other.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rbuild_cache::{BlobWriteError, Descriptor, Digest, Store};
use rbuild_frontend::document::{self, Document, MAX_NESTING, MAX_SIZE};
use rbuild_solver::op::Platform;
use serde::Deserialize;

/// What such a reference begins with.
pub const SCHEME: &str = "oci-layout://";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file of the layout.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the layout is not what it should be.
    #[error("`{}` is not understood: {reason}", path.display())]
    Document {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The layout holds several images.
    #[error("`{}` has several images: name one with `:TAG` or `@sha256:..`", .0.display())]
    Ambiguous(PathBuf),
    /// The layout has no such image.
    #[error("`{}` has no image `{wanted}`", path.display())]
    Absent {
        /// The layout.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
    },
    /// There is none for the platform.
    #[error("`{}` has no image for {platform}", path.display())]
    Platform {
        /// The layout.
        path: PathBuf,
        /// The platform.
        platform: Platform,
    },
    /// A file could not be kept, or is damaged.
    #[error("cannot copy `{}`", path.display())]
    Copy {
        /// Which.
        path: PathBuf,
        /// Why.
        source: BlobWriteError,
    },
}

/// One layout, and which image of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    path: PathBuf,
    tag: Option<String>,
    digest: Option<Digest>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// Copies the image for `platform` into the store; gives the digest of its manifest.
pub fn import(store: &Store, text: &str, platform: &Platform) -> Result<Digest, LayoutError> {
    let wanted = Wanted::parse(text);
    let index: Index = {
        let path = wanted.path.join("index.json");
        let bytes = read(&path)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| LayoutError::Document { path, reason: error.to_string() })?
    };
    let mut digest = wanted.choose(&index.manifests)?;
    for _ in 0..MAX_NESTING {
        let path = wanted.blob(&digest);
        let bytes = read(&path)?;
        let document = document::parse(&bytes)
            .map_err(|reason| LayoutError::Document { path: path.clone(), reason })?;
        wanted.copy(store, &digest)?;
        match document {
            Document::Manifest(manifest) => {
                for blob in manifest.layers.iter().chain([&manifest.config]) {
                    wanted.copy(store, &blob.digest)?;
                }
                return Ok(digest);
            }
            Document::Index(index) => match index.best(platform) {
                Some(best) => digest = best.digest,
                None => break,
            },
        }
    }
    Err(LayoutError::Platform { path: wanted.path, platform: platform.clone() })
}

impl Wanted {
    /// A colon that is part of the path has a slash behind it.
    fn parse(text: &str) -> Wanted {
        let text = text.strip_prefix(SCHEME).unwrap_or(text);
        let (rest, digest) = match text.rsplit_once('@') {
            Some((rest, digest)) => match digest.parse() {
                Ok(digest) => (rest, Some(digest)),
                Err(_) => (text, None),
            },
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') && !tag.is_empty() => (path, Some(tag)),
            _ => (rest, None),
        };
        Wanted { path: PathBuf::from(path), tag: tag.map(str::to_owned), digest }
    }

    fn choose(&self, manifests: &[Descriptor]) -> Result<Digest, LayoutError> {
        if let Some(digest) = self.digest {
            return Ok(digest);
        }
        let tag = self.tag.as_deref();
        let tagged = |entry: &&Descriptor| {
            entry.annotations.get("org.opencontainers.image.ref.name").is_some_and(|name| {
                let wanted = tag.unwrap_or("latest");
                name == wanted || name.rsplit_once(':').is_some_and(|(_, last)| last == wanted)
            })
        };
        match (manifests.iter().find(tagged), manifests, tag) {
            (Some(found), _, _) | (None, [found], None) => Ok(found.digest),
            (None, _, None) => Err(LayoutError::Ambiguous(self.path.clone())),
            (None, _, Some(tag)) => {
                Err(LayoutError::Absent { path: self.path.clone(), wanted: tag.to_owned() })
            }
        }
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs").join("sha256").join(digest.hex())
    }

    fn copy(&self, store: &Store, digest: &Digest) -> Result<(), LayoutError> {
        if store.blobs().contains(digest) {
            return Ok(());
        }
        let path = self.blob(digest);
        let unreadable = |source| LayoutError::Read { path: path.clone(), source };
        let kept = |source| LayoutError::Copy { path: path.clone(), source };
        let mut file = File::open(&path).map_err(unreadable)?;
        let mut blob = store.blobs().writer().map_err(kept)?;
        io::copy(&mut file, &mut blob).map_err(unreadable)?;
        blob.finish(Some(digest)).map(drop).map_err(kept)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LayoutError> {
    let unreadable = |source| LayoutError::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_SIZE {
        let reason = "it is too large".to_owned();
        return Err(LayoutError::Document { path: path.to_owned(), reason });
    }
    fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tags_and_digests_are_told_apart() {
        let digest = Digest::of(b"x");
        let rows = [
            ("oci-layout:///a/b".to_owned(), "/a/b", None, None),
            ("oci-layout://a:t".to_owned(), "a", Some("t"), None),
            ("oci-layout://C:/a".to_owned(), "C:/a", None, None),
            (format!("oci-layout://a@{digest}"), "a", None, Some(digest)),
            (format!("oci-layout://a:t@{digest}"), "a", Some("t"), Some(digest)),
            ("oci-layout://a@b".to_owned(), "a@b", None, None),
        ];
        for (text, path, tag, digest) in rows {
            let expected =
                Wanted { path: PathBuf::from(path), tag: tag.map(str::to_owned), digest };
            assert_eq!(Wanted::parse(&text), expected, "{text}");
        }
    }
}
