//! What enters each cache key.
//!
//! | key | made of | asked for |
//! |---|---|---|
//! | op digest | the op's fields, without inputs | to find earlier results of equal ops |
//! | definition key | op digest, and for each edge: the definition key of the input and the selector; for a context its content | first, for every vertex; costs nothing but a stat of the context |
//! | content key | op digest, and for each edge the content that the op can see | when the definition key misses and an equal op was run before |
//!
//! Proxies, names and sharing of cache mounts, titles and slots enter none of them; the type system
//! keeps them out: they are skipped when an op is serialised. Values of secrets are not even known
//! here.

use std::fmt;

use rbuild_cache::ContentDigest;
use rbuild_cache::tree::Selector;
use serde::{Deserialize, Serialize};

use crate::graph::Vertex;
use crate::op::{ExecOp, Op};

/// A definition key or a content key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

/// The digest of an op without its inputs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpDigest([u8; 32]);

/// One named part of a key, kept with the record so that a later miss can be explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What a person calls it: `command`, `variable GIT_SHA`, `files of src/`.
    pub name: String,
    /// A digest of its value: values can be secret.
    pub digest: String,
}

/// What stands for one input in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKey {
    /// The input's own definition key.
    Definition(Key),
    /// The content that the selector picks of it.
    Content(ContentDigest),
}

/// Bumped when the same op would make other bytes, or keys are made differently.
const VERSION: &[u8] = b"rbuild key 3\0";

impl Part {
    /// How a person is told that this part differs.
    pub fn change(&self) -> String {
        format!("{} changed", self.name)
    }
}

impl Op {
    /// The digest of this op's fields.
    pub fn digest(&self) -> OpDigest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(VERSION);
        // Writing plain data into a hasher cannot fail.
        let _ = serde_json::to_writer(&mut hasher, self);
        OpDigest(*hasher.finalize().as_bytes())
    }
}

/// The definition key of a vertex, from what stands for its inputs.
pub fn definition_key(op: &OpDigest, vertex: &Vertex, inputs: &[InputKey]) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"definition\0");
    hasher.update(&op.0);
    for (edge, input) in vertex.inputs.iter().zip(inputs) {
        match input {
            InputKey::Definition(key) => {
                hasher.update(b"d").update(&key.0);
                let _ = serde_json::to_writer(&mut hasher, &edge.selector);
            }
            // The content of a selection includes what the selector picked, and names it as the
            // op sees it: the same files from elsewhere are the same input.
            InputKey::Content(content) => {
                hasher.update(b"c").update(content.as_bytes());
            }
        }
    }
    Key(*hasher.finalize().as_bytes())
}

/// The content key of an op, from the content it sees of each input.
pub fn content_key(op: &OpDigest, inputs: &[ContentDigest]) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"content\0");
    hasher.update(&op.0);
    for content in inputs {
        hasher.update(content.as_bytes());
    }
    Key(*hasher.finalize().as_bytes())
}

/// The parts of a vertex's definition key, in the order in which a miss is best explained.
pub fn parts(vertex: &Vertex, inputs: &[InputKey]) -> Vec<Part> {
    let mut parts = op_parts(&vertex.op);
    for (position, (edge, input)) in vertex.inputs.iter().zip(inputs).enumerate() {
        parts.push(input_part(position, &edge.selector, input));
    }
    parts
}

fn op_parts(op: &Op) -> Vec<Part> {
    match op {
        Op::Image(image) => vec![part("base image", &image.manifest)],
        Op::Context(context) => vec![part("context", &context.name)],
        Op::Http(http) => vec![
            part("downloaded file", &http.found.as_ref().map(|found| found.digest)),
            part("its time", &http.found.as_ref().map(|found| found.modified)),
        ],
        Op::Git(git) => vec![
            part("commit", &git.commit),
            part("subdirectory", &git.subdir),
            part("checkout", &(&git.git_dir, git.submodules, git.times)),
        ],
        Op::Exec(exec) => exec_parts(exec),
        Op::Copy(copy) => vec![
            part("destination", &copy.dest),
            part("owner", &copy.chown),
            part("mode", &copy.chmod),
            part("sources", &copy.sources),
        ],
        Op::MakeDir(dir) => vec![part("directory", &dir.path), part("user", &dir.user)],
        Op::Stack => Vec::new(),
    }
}

fn exec_parts(exec: &ExecOp) -> Vec<Part> {
    let mut parts = vec![part("command", &exec.args)];
    parts.extend(exec.env.iter().map(|(name, value)| part(&format!("variable {name}"), value)));
    parts.push(part("working directory", &exec.cwd));
    parts.push(part("user", &exec.user));
    parts.push(part("host name", &exec.hostname));
    parts.push(part("network", &exec.network));
    parts.push(part("security", &exec.security));
    let mounts = exec.mounts.iter();
    parts.extend(mounts.map(|mount| part(&format!("mount at `{}`", mount.target), &mount.kind)));
    parts.push(part("secrets", &exec.secrets));
    parts.push(part("devices", &exec.devices));
    parts.push(part("resources", &exec.resources));
    parts.push(part("platform", &exec.platform));
    parts
}

fn input_part(position: usize, selector: &Selector, input: &InputKey) -> Part {
    let digest = match input {
        InputKey::Definition(key) => key.to_string(),
        InputKey::Content(content) => content.hex(),
    };
    let name = match (selector, input) {
        (Selector::Whole, _) if position == 0 => "the step before".to_owned(),
        (Selector::Whole, _) => format!("input {position}"),
        (Selector::Paths(paths), InputKey::Content(_)) => {
            format!("files of `{}`", shown(&paths.pattern))
        }
        (Selector::Paths(paths), InputKey::Definition(_)) => {
            format!("what `{}` comes from", shown(&paths.pattern))
        }
    };
    Part { name, digest }
}

fn shown(pattern: &str) -> &str {
    if pattern.is_empty() { "." } else { pattern }
}

fn part(name: &str, value: &impl Serialize) -> Part {
    let mut hasher = blake3::Hasher::new();
    let _ = serde_json::to_writer(&mut hasher, value);
    Part { name: name.to_owned(), digest: hasher.finalize().to_hex()[..16].to_owned() }
}

impl Key {
    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl OpDigest {
    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for OpDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}
