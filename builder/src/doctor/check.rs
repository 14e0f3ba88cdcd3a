//! One line of a diagnosis, as plain data.

use serde::Serialize;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is called.
    pub name: &'static str,
    /// How it is.
    pub status: Status,
    /// What it means for builds.
    pub weight: Weight,
    /// What was found, one sentence.
    pub detail: String,
    /// What to do.
    pub help: Option<String>,
}

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It works.
    Ok,
    /// It does not.
    Missing,
    /// Builds do without it here.
    NotNeeded,
    /// It depends on something that is missing.
    Untested,
}

/// What a thing means for builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Without it no build works.
    Needed,
    /// Without it builds are slower, or cannot do everything.
    Useful,
}

impl Status {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Missing => "missing",
            Status::NotNeeded => "not needed",
            Status::Untested => "untested",
        }
    }
}
