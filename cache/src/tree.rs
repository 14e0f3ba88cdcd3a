//! What a step can see of a tree: selecting paths, and digesting exactly those.

use serde::{Deserialize, Serialize};

/// Which paths of a tree an op sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Selector {
    /// All of it, as a root file system.
    Whole,
    /// What one source of a `COPY` or `ADD` names.
    Paths(PathSelector),
}

/// One source of a `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PathSelector {
    /// Relative to the tree's root and clean: no leading `/`, no `.` or `..`; empty for the root
    /// itself. A pattern of Go's `filepath.Match` (`*`, `?`, `[a-z]`, `\`) if it has one of those
    /// characters, else a literal path.
    pub pattern: String,
    /// `--exclude` patterns, in the order given.
    pub exclude: Vec<String>,
}
