//! The documents of an image: manifest and index, in OCI's and in Docker's spelling.
//!
//! Reading only, with oci-spec's types. Bytes are what a digest names, so documents travel as the
//! bytes they came as; nothing here writes one.

use bytes::Bytes;
use oci_spec::image::{self as oci, ImageIndex, ImageManifest};
use rbuild_cache::Digest;
use rbuild_solver::op::Platform;
use serde::Deserialize;

/// The media types of documents, as `Accept` wants them.
pub(super) const MANIFEST_TYPES: [&str; 4] =
    [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// What names exact bytes (OCI image-spec, descriptor).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// `application/vnd.oci.image.layer.v1.tar+gzip`, ..
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
    /// How many bytes there are.
    pub size: u64,
}

impl Descriptor {
    /// Whether the layer may not be pushed to another registry: old Windows base layers.
    pub fn is_foreign(&self) -> bool {
        self.media_type.contains(".nondistributable.") || self.media_type.contains(".foreign.")
    }
}

/// A manifest or an index as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// Media type, digest and size of `bytes`.
    pub descriptor: Descriptor,
    /// The exact bytes.
    pub bytes: Bytes,
}

/// A parsed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Document {
    Manifest(Manifest),
    Index(Vec<IndexEntry>),
}

/// One image: its config and its layers, bottom first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The image config.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
}

/// One image of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) descriptor: Descriptor,
    pub(super) platform: Option<Platform>,
}

/// The fields that say what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    media_type: Option<String>,
    schema_version: Option<u32>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

impl RawManifest {
    /// A manifest or an index, whose media type is what it says itself, or else OCI's.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(bytes: Bytes) -> Result<RawManifest, String> {
        let own: Probe = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let plain = if own.manifests.is_some() { OCI_INDEX } else { OCI_MANIFEST };
        let media_type = own.media_type.unwrap_or_else(|| plain.to_owned());
        let digest = Digest::of(&bytes);
        let size = bytes.len() as u64;
        Ok(RawManifest { descriptor: Descriptor { media_type, digest, size }, bytes })
    }
}

/// Reads a manifest or an index.
///
/// # Errors
/// What is wrong with it, in words. A document that could be read as both is refused, as the OCI
/// specification demands: two readers must not see two images.
pub(super) fn parse(bytes: &[u8]) -> Result<Document, String> {
    let probe: Probe = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if probe.schema_version == Some(1) {
        return Err(
            "it has Docker's schema 1, which nobody makes any more; push it anew".to_owned()
        );
    }
    let image = probe.layers.is_some() || probe.config.is_some();
    match (image, probe.manifests.is_some(), probe.media_type.as_deref()) {
        (true, true, _) => Err("it is both a manifest and an index".to_owned()),
        (true, false, Some(OCI_INDEX | DOCKER_LIST))
        | (false, true, Some(OCI_MANIFEST | DOCKER_MANIFEST)) => {
            Err("its mediaType contradicts its content".to_owned())
        }
        (false, true, _) => parse_index(bytes).map(Document::Index),
        (true, false, _) => parse_manifest(bytes).map(Document::Manifest),
        (false, false, _) => Err("it is neither a manifest nor an index".to_owned()),
    }
}

/// Reads the manifest of an image that can be run.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let config = descriptor(manifest.config())?;
    if !CONFIG_TYPES.contains(&config.media_type.as_str()) {
        return Err(format!("its config is `{}`: it is no container image", config.media_type));
    }
    let layers: Result<_, String> = manifest.layers().iter().map(descriptor).collect();
    Ok(Manifest { config, layers: layers? })
}

fn parse_index(bytes: &[u8]) -> Result<Vec<IndexEntry>, String> {
    let index: ImageIndex = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let entry = |entry: &oci::Descriptor| {
        let platform = entry.platform().as_ref().map(platform);
        Ok(IndexEntry { descriptor: descriptor(entry)?, platform })
    };
    index.manifests().iter().map(entry).collect()
}

fn descriptor(descriptor: &oci::Descriptor) -> Result<Descriptor, String> {
    let digest = descriptor.digest().to_string();
    let digest = digest.parse().map_err(|_| format!("`{digest}` is not a sha256 digest"))?;
    let media_type = descriptor.media_type().to_string();
    Ok(Descriptor { media_type, digest, size: descriptor.size() })
}

fn platform(platform: &oci::Platform) -> Platform {
    Platform {
        os: platform.os().to_string(),
        architecture: platform.architecture().to_string(),
        variant: platform.variant().clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parsed(text: &str) -> Result<Document, String> {
        parse(text.replace("SHA", SHA).as_bytes())
    }

    #[test]
    fn manifests_of_both_worlds_are_read() {
        let rows = [
            (OCI_MANIFEST, CONFIG_TYPES[0], "application/vnd.oci.image.layer.v1.tar+zstd"),
            (DOCKER_MANIFEST, CONFIG_TYPES[1], "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ];
        for (media_type, config, layer) in rows {
            let text = format!(
                r#"{{"schemaVersion":2,"mediaType":"{media_type}",
                    "config":{{"mediaType":"{config}","digest":"SHA","size":2}},
                    "layers":[{{"mediaType":"{layer}","digest":"SHA","size":3}}]}}"#
            );
            let Ok(Document::Manifest(manifest)) = parsed(&text) else { panic!("{media_type}") };
            assert_eq!((manifest.config.size, manifest.layers[0].size), (2, 3));
            assert_eq!(manifest.layers[0].media_type, layer);
        }
    }

    #[test]
    fn an_index_keeps_the_spelling_of_platforms() {
        let text = r#"{"schemaVersion":2,"manifests":[
            {"mediaType":"a","digest":"SHA","size":1,
             "platform":{"os":"linux","architecture":"arm","variant":"v6"}},
            {"mediaType":"a","digest":"SHA","size":1,
             "platform":{"os":"unknown","architecture":"unknown"}},
            {"mediaType":"a","digest":"SHA","size":1}]}"#;
        let Ok(Document::Index(entries)) = parsed(text) else { panic!("no index") };
        let shown = |entry: &IndexEntry| {
            entry.platform.as_ref().map(|p| format!("{}/{}/{}", p.os, p.architecture, p.variant))
        };
        let shown: Vec<_> = entries.iter().map(shown).collect();
        let expected = [Some("linux/arm/v6"), Some("unknown/unknown/"), None];
        assert_eq!(shown, expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let image = r#""config":{"mediaType":"x/y","digest":"SHA","size":2},"layers":[]"#;
        let rows = [
            ("[]".to_owned(), "expected"),
            ("{}".to_owned(), "neither"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(), "schema 1"),
            (format!(r#"{{"schemaVersion":2,{image},"manifests":[]}}"#), "both"),
            (format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}",{image}}}"#), "contradicts"),
            (format!(r#"{{"schemaVersion":2,{image}}}"#), "no container image"),
            (
                r#"{"schemaVersion":2,"manifests":[{"mediaType":"a","size":1,
                    "digest":"blake3:00112233"}]}"#
                    .to_owned(),
                "not a sha256 digest",
            ),
            (
                r#"{"schemaVersion":2,"manifests":[{"mediaType":"a","size":-1,"digest":"SHA"}]}"#
                    .to_owned(),
                "-1",
            ),
        ];
        for (text, reason) in rows {
            let error = parsed(&text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
