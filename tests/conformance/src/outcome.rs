//! What came of a case, as it is recorded.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::case::Case;

/// `recorded.json`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// What gave it: names and versions, or where a hand-written expectation is from.
    pub by: BTreeMap<String, String>,
    /// What came out.
    pub outcome: Outcome,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With an image.
    Image(Image),
    /// With an error.
    Error(Error),
}

/// An image, without what differs from build to build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The image config without times and layer ids.
    pub config: Value,
    /// How many layers it has, those of the base included.
    pub layers: usize,
    /// The files that differ from those of the base.
    pub tree: BTreeMap<String, String>,
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// What is at fault.
    pub kind: ErrorKind,
    /// The lines of the Dockerfile that it points at.
    pub lines: Vec<usize>,
    /// What it says, in one line; not compared.
    pub message: String,
}

/// What is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// The Dockerfile: nothing was built.
    Dockerfile,
    /// A base that could not be had.
    Base,
    /// A step that failed.
    Step,
    /// Something before the Dockerfile was understood, such as a flag or an ignore file.
    Call,
}

impl Recorded {
    /// What is recorded of a case, if anything.
    pub fn read(case: &Case) -> Option<Recorded> {
        let path = case.recorded();
        let bytes = fs::read(&path).ok()?;
        let read = serde_json::from_slice(&bytes);
        Some(read.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Records it.
    pub fn write(&self, case: &Case) {
        let mut text = serde_json::to_string_pretty(self).unwrap();
        text.push('\n');
        fs::write(case.recorded(), text).unwrap();
    }
}
