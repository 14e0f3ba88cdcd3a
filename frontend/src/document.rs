//! The documents of an image: manifest and index, in OCI's and in Docker's spelling.
//!
//! Reading only. Bytes are what a digest names, so documents travel as the bytes they came as;
//! nothing here writes one. Descriptors are the store's, which keep what they do not know.

use std::collections::BTreeMap;

use bytes::Bytes;
use rbuild_cache::{Descriptor, Digest};
use rbuild_solver::op::Platform;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::platform;

/// The media types of documents, as `Accept` wants them.
pub const MANIFEST_TYPES: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// An index may name an index; nobody nests them deeper than this.
pub const MAX_NESTING: usize = 4;

/// A document on disk or in an archive has no more bytes than this; registries take 4 MiB.
pub const MAX_SIZE: u64 = 16 << 20;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// A manifest or an index as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct RawManifest {
    /// Media type, digest and size of `bytes`.
    pub descriptor: Descriptor,
    /// The exact bytes.
    pub bytes: Bytes,
}

/// A parsed document.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several images.
    Index(Index),
}

/// One image: its config and its layers, bottom first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Manifest {
    /// The image config.
    pub config: Descriptor,
    /// The layers, bottom first.
    #[serde(default, deserialize_with = "list")]
    pub layers: Vec<Descriptor>,
}

/// Several images, each with the platform that it is for in its descriptor.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Index {
    /// The images.
    #[serde(default, deserialize_with = "list")]
    pub manifests: Vec<Descriptor>,
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
        Ok(RawManifest { descriptor: descriptor(media_type, digest, size), bytes })
    }
}

impl Index {
    /// The image that fits a platform best: the first of several that are equally good, and one
    /// that names no platform only where nothing else fits.
    pub fn best(&self, wanted: &Platform) -> Option<&Descriptor> {
        let rank = |entry: &Descriptor| match platform_of(entry) {
            Some(platform) => platform::rank(wanted, &platform),
            None => Some(usize::MAX),
        };
        let ranked = self.manifests.iter().filter_map(|entry| Some((rank(entry)?, entry)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
    }

    /// The platforms that there are images for, each once.
    pub fn platforms(&self) -> Vec<String> {
        let mut shown: Vec<String> = Vec::new();
        let all = self.manifests.iter().filter_map(platform_of);
        for platform in all.filter(|p| p.os != "unknown").map(|p| platform::display(&p)) {
            if !shown.contains(&platform) {
                shown.push(platform);
            }
        }
        shown
    }
}

/// A descriptor without extras.
pub fn descriptor(media_type: String, digest: Digest, size: u64) -> Descriptor {
    Descriptor { media_type, digest, size, annotations: BTreeMap::new(), rest: Map::new() }
}

/// Whether a layer may not be pushed to another registry: old Windows base layers.
pub fn is_foreign(layer: &Descriptor) -> bool {
    layer.media_type.contains(".nondistributable.") || layer.media_type.contains(".foreign.")
}

/// Reads a manifest or an index.
///
/// # Errors
/// What is wrong with it, in words. A document that could be read as both is refused, as the OCI
/// specification demands: two readers must not see two images.
pub fn parse(bytes: &[u8]) -> Result<Document, String> {
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

fn parse_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let config = &manifest.config.media_type;
    if !CONFIG_TYPES.contains(&config.as_str()) {
        return Err(format!("its config is `{config}`: it is no container image"));
    }
    Ok(manifest)
}

fn parse_index(bytes: &[u8]) -> Result<Index, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// What an index says that one of its entries is for.
pub fn platform_of(descriptor: &Descriptor) -> Option<Platform> {
    let platform = descriptor.rest.get("platform")?.as_object()?;
    let field =
        |name: &str| platform.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (os, architecture, variant) = (field("os"), field("architecture"), field("variant"));
    Some(Platform { os, architecture, variant })
}

/// Some tools write an empty list as `null`.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Descriptor>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
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
    fn an_index_offers_what_fits_best() {
        let entry = |size: u32, platform: &str| {
            format!(r#"{{"mediaType":"a","digest":"SHA","size":{size}{platform}}}"#)
        };
        let of = |size: u32, os: &str, architecture: &str, variant: &str| {
            let platform = format!(
                r#","platform":{{"os":"{os}","architecture":"{architecture}","variant":"{variant}"}}"#
            );
            entry(size, &platform)
        };
        let entries = [
            of(1, "linux", "arm", "v6"),
            of(2, "linux", "arm64", "v8"),
            of(3, "linux", "arm", "v7"),
            of(4, "unknown", "unknown", ""),
            of(5, "linux", "arm64", ""),
        ];
        let text = |entries: &str| format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        let Ok(Document::Index(index)) = parsed(&text(&entries.join(","))) else { panic!() };
        assert_eq!(index.platforms(), ["linux/arm/v6", "linux/arm64", "linux/arm/v7"]);
        let wanted = |architecture: &str| Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: String::new(),
        };
        let best = |index: &Index, arch: &str| index.best(&wanted(arch)).map(|d| d.size);
        assert_eq!(best(&index, "arm64"), Some(2));
        assert_eq!(best(&index, "arm"), Some(3));
        assert_eq!(best(&index, "s390x"), None);

        let Ok(Document::Index(index)) = parsed(&text(&entry(6, ""))) else { panic!() };
        assert_eq!(best(&index, "s390x"), Some(6));
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
                "is not a digest",
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
