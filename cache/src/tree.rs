//! What a step can see of a tree: selecting paths, and digesting exactly those.
//!
//! A [`Tree`] is a directory on disk, seen through an optional [`Filter`]. It is walked lazily:
//! only where a selector looks, each directory once for all selectors, and never into what the
//! filter leaves out altogether. Nothing outside of the root is ever reached: links are followed by
//! hand inside it, and every open names a path without links beneath the root's descriptor.
//!
//! Copying what was selected does not belong here, nor does the text of ignore rules.

mod below;
mod digest;
mod listing;
pub mod manifest;
mod narrow;
mod node;
mod resolve;
mod root;
mod select;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

pub use below::Below;
pub use digest::{DigestError, Hashing, digest_of, read_sized, read_xattrs};
pub use node::{Node, NodeKind, Time, Xattrs};
pub use select::{Found, Match, Reason, SelectError, Selection, Status};

use listing::Listing;
use resolve::Resolved;
use root::Root;

/// Which paths of a tree an op sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Selector {
    /// All of it, as a root file system.
    Whole,
    /// What one source of a `COPY` or `ADD` names.
    Paths(PathSelector),
}

/// One source of a `COPY` or `ADD`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PathSelector {
    /// Relative to the tree's root and clean: no leading `/`, no `.` or `..`; empty for the root
    /// itself. A pattern of Go's `filepath.Match` (`*`, `?`, `[a-z]`, `\`) if it has one of those
    /// characters, else a literal path.
    pub pattern: String,
    /// `--parents`: only this of what lies below the matches, with the directories on the way.
    /// Relative to each match, with the wildcards of `.dockerignore`; without one, and if `pattern`
    /// has none, it has to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<String>,
    /// `--exclude` patterns, in the order given.
    pub exclude: Vec<String>,
    /// What counts of a match that is a directory.
    #[serde(default, skip_serializing_if = "Top::is_contents")]
    pub top: Top,
}

/// What an op sees of a directory that a selector picks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Top {
    /// What is in it: it is copied into a directory that has a mode and an owner of its own.
    #[default]
    Contents,
    /// That, and its own mode, owner and attributes: it is mounted.
    Itself,
}

/// Decides which paths of a tree are there: the rules of `.dockerignore`.
///
/// Paths are relative to the tree's root, clean, and separated by `/`.
pub trait Filter: Send + Sync {
    /// What the rules say about one path.
    fn verdict(&self, path: &[u8]) -> Verdict;

    /// Whether `directory` is left out with everything that could be below it, so that nobody has
    /// to look. It may say no if it does not know.
    fn prunes(&self, directory: &[u8]) -> bool;

    /// The rule of [`Verdict::Excluded`] for people: ".dockerignore:3 `*.log`".
    fn describe(&self, rule: usize) -> String;
}

/// What a [`Filter`] says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is there.
    Included,
    /// It is not. A directory is still there if something below it is.
    Excluded {
        /// Which rule said so, in the filter's own numbering.
        rule: usize,
    },
}

/// Whether the owners that files have on disk mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// They are part of the content: the files of an image or a stage.
    Kept,
    /// Everything belongs to 0:0: a build context.
    Root,
}

/// A directory on disk, seen through an optional filter. Clones share what was read of it.
#[derive(Clone)]
pub struct Tree {
    shared: Arc<Shared>,
}

struct Shared {
    root: Arc<Root>,
    owners: Owners,
    filter: Option<Arc<dyn Filter>>,
    listings: Mutex<HashMap<Vec<u8>, Arc<Listing>>>,
    selections: Mutex<HashMap<PathSelector, Arc<Selection>>>,
}

/// A directory that cannot be a tree.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the directory `{}`", path.display())]
pub struct OpenError {
    /// Which directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl PathSelector {
    /// All that a pattern matches.
    pub fn of(pattern: impl Into<String>) -> PathSelector {
        PathSelector { pattern: pattern.into(), ..PathSelector::default() }
    }

    /// The whole tree.
    pub fn everything() -> PathSelector {
        PathSelector::default()
    }
}

impl Top {
    fn is_contents(&self) -> bool {
        *self == Top::Contents
    }
}

impl Tree {
    /// Opens a directory. A link in `root` itself is followed.
    pub fn open(
        root: &Path,
        owners: Owners,
        filter: Option<Arc<dyn Filter>>,
    ) -> Result<Tree, OpenError> {
        let root = Root::open(root)
            .map_err(|source| OpenError { path: root.to_owned(), source: source.into() })?;
        let shared = Shared {
            root: Arc::new(root),
            owners,
            filter,
            listings: Mutex::default(),
            selections: Mutex::default(),
        };
        Ok(Tree { shared: Arc::new(shared) })
    }

    /// Whether the filter leaves a path out, be there such a file or not. The path is relative to the
    /// root.
    pub fn hides(&self, path: &[u8]) -> bool {
        let verdict = self.shared.filter.as_ref().map(|filter| filter.verdict(path));
        matches!(verdict, Some(Verdict::Excluded { .. }))
    }

    /// The directory, as it was given.
    pub fn path(&self) -> &Path {
        &self.shared.root.path
    }

    /// What `selector` picks: its matches in the order of their names, and everything below those
    /// that are directories.
    ///
    /// A pattern with wildcards may match nothing in the directory that is named before the first
    /// of them; that directory, or a literal path, must be there. The same selector
    /// gives the same selection again, however the directory may have changed.
    pub fn select(&self, selector: &PathSelector) -> Result<Arc<Selection>, SelectError> {
        let known = |tree: &Shared| lock(&tree.selections).get(selector).cloned();
        if let Some(selection) = known(&self.shared) {
            return Ok(selection);
        }
        let selection = Arc::new(self.find(selector)?);
        let mut selections = lock(&self.shared.selections);
        Ok(selections.entry(selector.clone()).or_insert(selection).clone())
    }

    /// What is at `path` itself: no link in it is followed, and nothing is there behind one.
    pub fn look(&self, path: &[u8]) -> Result<Option<Status>, SelectError> {
        let Some(node) = self.stat(path)? else { return Ok(None) };
        let xattrs = match node.kind {
            NodeKind::Dir => {
                let read = self.shared.root.directory(path).and_then(|dir| dir.xattrs());
                read.map_err(|error| self.io("open", path, error))?
            }
            _ => Xattrs::new(),
        };
        Ok(Some(Status { node, xattrs }))
    }

    /// Opens what `path` leads to, links followed inside the root, to be mounted elsewhere: nothing
    /// can be read from the descriptor.
    pub fn locate(&self, path: &[u8]) -> Result<OwnedFd, SelectError> {
        match self.resolve(path)? {
            Resolved::At { path, .. } => {
                let found = self.shared.root.handle(&path);
                found.map_err(|error| self.io("open", &path, error))
            }
            Resolved::Absent(absence) => Err(self.missing(path, &absence)),
        }
    }

    /// Opens the regular file that `path` leads to, links followed inside the root; none if there
    /// is no such file.
    pub fn open_file(&self, path: &[u8]) -> Result<Option<File>, SelectError> {
        match self.resolve(path)? {
            Resolved::At { path, node, .. } if node.is_file() => {
                let file = self.shared.root.file(&path);
                file.map(Some).map_err(|error| self.io("open", &path, error))
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("root", &self.path()).finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves the memo whole: entries are only ever added.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `directory/name`, where the root is the empty path.
fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory.is_empty(), name.is_empty()) {
        (true, _) => name.to_vec(),
        (false, true) => directory.to_vec(),
        (false, false) => [directory, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests;
