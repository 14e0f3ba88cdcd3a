//! The image config: what an image says of itself besides its files.
//!
//! The OCI image configuration with the fields that Docker adds, written as BuildKit writes it: keys
//! of the document in alphabetical order, keys of `config` in their historical order, nothing that is
//! empty, and Go's escapes in strings. Fields that this program does not know are carried over from
//! the base. Which instruction sets which field belongs to `lower`.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_cache::Digest;
use rbuild_solver::op::Platform;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The comment of every history entry made here; other tools look for it.
pub const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// Where programs are looked for if the base does not say.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image configuration (OCI image-spec, `application/vnd.oci.image.config.v1+json`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `amd64`, `arm64`, ..
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// `MAINTAINER`
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// How a container of this image runs.
    #[serde(default, deserialize_with = "or_default")]
    pub config: Runtime,
    /// RFC 3339. Left to the exporter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// One entry for each instruction.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// `linux`
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// Features of the operating system that the image needs.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// The version of the operating system.
    #[serde(
        rename = "os.version",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// The layers.
    #[serde(default, deserialize_with = "or_default")]
    pub rootfs: RootFs,
    /// `v7`; empty if there is none.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// What else the document holds.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// How a container of an image runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Runtime {
    /// `USER`, as written.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `EXPOSE`: `80/tcp`.
    #[serde(
        default,
        deserialize_with = "keys",
        serialize_with = "as_keys",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub exposed_ports: BTreeSet<String>,
    /// `ENV`: `NAME=value`, in the order in which the names first appeared.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// `ENTRYPOINT`
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// `CMD`
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// `VOLUME`
    #[serde(
        default,
        deserialize_with = "keys",
        serialize_with = "as_keys",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub volumes: BTreeSet<String>,
    /// `WORKDIR`
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// `LABEL`
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `STOPSIGNAL`
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Set by every `CMD`; means something on Windows only.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    /// `HEALTHCHECK`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// `ONBUILD`: the instructions as text.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// `SHELL`
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// What else the object holds, such as `StopTimeout`.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// How a container is found to be healthy. Durations are in nanoseconds, zero for the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", arguments..]` or `["CMD-SHELL", command]`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Until a check counts as failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// At the start, when failures do not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between two checks at the start.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// How many failures in a row make it unhealthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// One entry of the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339. Left to the exporter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// With what.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether the instruction made no layer.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, bottom first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// Whether an instruction makes a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// It does.
    Made,
    /// It only changes the config.
    Empty,
}

impl ImageConfig {
    /// The config of an image without a base.
    pub fn empty(platform: &Platform) -> ImageConfig {
        let runtime = Runtime {
            env: vec![format!("PATH={DEFAULT_PATH}")],
            working_dir: "/".to_owned(),
            ..Runtime::default()
        };
        ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            config: runtime,
            ..ImageConfig::default()
        }
    }

    /// The config that a stage on this base starts from: what describes the base's own making is
    /// gone, and so are its triggers, which run in that stage.
    pub fn child(&self) -> ImageConfig {
        let mut child = self.clone();
        child.created = None;
        child.config.on_build.clear();
        child.other.retain(|key, _| !COMMIT_FIELDS.contains(&key.as_str()));
        child
            .config
            .other
            .retain(|key, value| !COMMIT_FIELDS.contains(&key.as_str()) && !is_nothing(value));
        child
    }

    /// Gives each layer one entry of the history that made it. Bases that were not made from a
    /// Dockerfile may have fewer, and then every entry behind them would be told of another layer.
    pub fn complete_history(&mut self, created: Option<&str>) {
        let mut left = self.rootfs.diff_ids.len();
        for entry in &mut self.history {
            entry.empty_layer |= left == 0;
            left -= usize::from(!entry.empty_layer);
        }
        let untold = History {
            created: Some(created.unwrap_or(UNKNOWN_TIME).to_owned()),
            created_by: UNTOLD.to_owned(),
            ..History::default()
        };
        self.history.extend(std::iter::repeat_n(untold, left));
    }

    /// The document's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        // These types hold nothing that JSON cannot.
        let json = serde_json::to_string(self).unwrap_or_default();
        go_escaped(&json).into_bytes()
    }

    /// Adds an entry to the history.
    pub fn record(&mut self, created_by: String, layer: Layer) {
        self.history.push(History {
            created_by,
            comment: HISTORY_COMMENT.to_owned(),
            empty_layer: layer == Layer::Empty,
            ..History::default()
        });
    }
}

impl Runtime {
    /// The variables as pairs, in order.
    pub fn env_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|entry| entry.split_once('=').unwrap_or((entry, "")))
    }

    /// Sets a variable; one that is there keeps its place.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        let place = self.env_pairs().position(|(known, _)| known == name);
        match place {
            Some(place) => self.env[place] = entry,
            None => self.env.push(entry),
        }
    }
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// Fields of Docker's older documents that tell how that one image was committed.
const COMMIT_FIELDS: [&str; 12] = [
    "container",
    "container_config",
    "docker_version",
    "id",
    "parent",
    "Size",
    "throwaway",
    "comment",
    "Hostname",
    "Image",
    "moby.buildkit.buildinfo.v1",
    "moby.buildkit.cache.v0",
];

/// What the history says of a layer of which its image says nothing.
const UNTOLD: &str = "a layer of the base";

/// When something was made of which nobody says when, as Docker writes it.
const UNKNOWN_TIME: &str = "0001-01-01T00:00:00Z";

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Go writes these characters as escapes; none of them can stand outside of a string.
fn go_escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => escaped.push(char),
        }
    }
    escaped
}

/// Documents written by Go hold `null` where nothing is set.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A set is an object with empty objects for values.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let map: Option<BTreeMap<String, Value>> = Option::deserialize(deserializer)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

fn as_keys<S: serde::Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Empty {}
    serializer.collect_map(set.iter().map(|key| (key, Empty {})))
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests;
