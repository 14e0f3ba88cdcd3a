//! Which paths a source of `COPY` names: literal paths, wildcards, and what lies below them.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use super::below::Below;
use super::digest::Digests;
use super::listing::Presence;
use super::narrow::Narrow;
use super::node::{Node, Xattrs};
use super::resolve::{Absence, Resolved, lossy};
use super::root::Root;
use super::{Owners, PathSelector, Top, Tree, join};
use crate::pattern::{BadPattern, Glob, has_wildcards};

/// What a selector picked of a tree. It keeps the tree's directory open, and says what was there
/// when it was made.
pub struct Selection {
    /// The matches, in the order of their names.
    pub matches: Vec<Match>,
    /// Whether the owners of the nodes mean anything.
    pub owners: Owners,
    pub(super) top: Top,
    pub(super) root: Arc<Root>,
    pub(super) digests: OnceLock<Digests>,
}

/// One path that the pattern matches.
#[derive(Debug, Clone)]
pub struct Match {
    /// The name that the source has by itself: the last component as it was asked for, which is
    /// not what a link leads to. Empty for the root of the tree.
    pub name: Vec<u8>,
    /// Where it is in the tree, all links followed.
    pub path: Vec<u8>,
    /// What it is. Never a symbolic link.
    pub top: Status,
    /// What lies below it if it is a directory.
    pub below: Below,
}

/// What is at one path.
#[derive(Debug, Clone)]
pub struct Status {
    /// What the file system says about it.
    pub node: Node,
    /// The extended attributes of a directory. Those of files are read with their bytes.
    pub xattrs: Xattrs,
}

/// A path of a selection.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// Relative to its match, and empty for that.
    pub path: Vec<u8>,
    /// What the file system says about it.
    pub node: &'a Node,
    /// The extended attributes of a directory. Those of files are read with their bytes.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
    /// Why it is part of the selection.
    pub reason: Reason,
}

/// Why a path is part of a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was asked for, by itself or with a directory above it.
    Asked,
    /// A directory that was not asked for, or left out, and holds something that was asked for.
    OnTheWay,
}

/// Why nothing could be selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A literal path, or the target of a link, is not there.
    #[error("`{path}` not found{}", why(hidden_by.as_deref(), link.as_ref(), nearest.as_deref()))]
    Missing {
        /// The path as it was asked for.
        path: String,
        /// The rule that hides it: ".dockerignore:3 `*.log`".
        hidden_by: Option<String>,
        /// The link on the way whose target is not there, and the target.
        link: Option<(String, String)>,
        /// A path that is there and is spelled nearly so.
        nearest: Option<String>,
    },
    /// What should hold the matches of a pattern is no directory.
    #[error("`{path}` is not a directory")]
    NotADirectory {
        /// The part of the pattern before its first wildcard.
        path: String,
    },
    /// A path whose parents are to be kept does not have them.
    #[error(
        "`{path}` leads through a symbolic link to `{to}`: parents are kept of paths without links"
    )]
    ThroughLink {
        /// The path as it was asked for.
        path: String,
        /// Where it is.
        to: String,
    },
    /// Links that lead to each other.
    #[error("`{path}` leads through too many symbolic links")]
    Loop {
        /// The path as it was asked for.
        path: String,
    },
    /// A wildcard or `--exclude` pattern is malformed.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// The disk.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Selection {
    /// Opens a file of the selection for reading.
    pub fn open(&self, of: &Match, found: &Found<'_>) -> io::Result<File> {
        Ok(self.root.file(&join(&of.path, &found.path))?)
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.matches.iter().map(Match::len).sum()
    }

    /// Whether the pattern matched nothing.
    pub fn is_empty(&self) -> bool {
        self.matches.is_empty()
    }

    /// Every path with its match: each match first, then what lies below it.
    pub fn all(&self) -> impl Iterator<Item = (&Match, Found<'_>)> {
        self.matches.iter().flat_map(|one| {
            std::iter::once(one.found()).chain(one.below.iter()).map(move |found| (one, found))
        })
    }
}

impl Match {
    /// How many paths it has: itself and what lies below it; never none.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        1 + self.below.len()
    }

    /// The match as a path of its own.
    pub fn found(&self) -> Found<'_> {
        let Status { node, xattrs } = &self.top;
        Found { path: Vec::new(), node, xattrs, reason: Reason::Asked }
    }

    /// The path at a position: the match itself is the first.
    pub fn get(&self, position: usize) -> Option<Found<'_>> {
        match position.checked_sub(1) {
            None => Some(self.found()),
            Some(below) => self.below.get(below),
        }
    }
}

impl Tree {
    pub(super) fn find(&self, selector: &PathSelector) -> Result<Selection, SelectError> {
        let narrow = Narrow::new(selector)?;
        let mut matches = if has_wildcards(&selector.pattern) {
            self.find_pattern(&selector.pattern, &narrow)?
        } else {
            let path = selector.pattern.as_bytes();
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            vec![self.follow(name, path, &narrow)?]
        };
        if let Some(include) = &selector.include {
            matches = self.holding(matches, selector, include)?;
        }
        Ok(Selection {
            matches,
            owners: self.shared.owners,
            top: selector.top,
            root: self.shared.root.clone(),
            digests: OnceLock::new(),
        })
    }

    /// The matches that can hold what is to be included: directories. What is named without
    /// wildcards has to be there.
    fn holding(
        &self,
        mut matches: Vec<Match>,
        selector: &PathSelector,
        include: &str,
    ) -> Result<Vec<Match>, SelectError> {
        if has_wildcards(&selector.pattern) {
            matches.retain(|one| one.top.node.is_dir());
            return Ok(matches);
        }
        for one in &matches {
            if !one.top.node.is_dir() {
                return Err(SelectError::NotADirectory { path: selector.pattern.clone() });
            }
            if one.below.is_empty() && !has_wildcards(include) {
                return Err(self.not_included(&join(&one.path, include.as_bytes())));
            }
        }
        Ok(matches)
    }

    fn not_included(&self, path: &[u8]) -> SelectError {
        match self.resolve(path) {
            Err(error) => error,
            Ok(Resolved::Absent(absence)) => self.missing(path, &absence),
            Ok(Resolved::At { path: to, .. }) if to != path => {
                SelectError::ThroughLink { path: lossy(path), to: lossy(&to) }
            }
            Ok(Resolved::At { .. }) => SelectError::Missing {
                path: lossy(path),
                hidden_by: Some("`--exclude`".to_owned()),
                link: None,
                nearest: None,
            },
        }
    }

    /// The leading components without wildcards must be there, and may be links, as in a literal
    /// path. Those after the first wildcard only name directories, except for the last.
    fn find_pattern(&self, pattern: &str, narrow: &Narrow) -> Result<Vec<Match>, SelectError> {
        let globs = Glob::components(pattern)?;
        let literal = globs.iter().take_while(|glob| glob.literal().is_some());
        let prefix: Vec<&[u8]> = literal.filter_map(Glob::literal).collect();
        let Some((last, between)) = globs[prefix.len()..].split_last() else {
            return Ok(Vec::new());
        };
        let mut directories = vec![self.directory(&prefix.join(&b'/'))?];
        for glob in between {
            directories = self.enter(&directories, glob)?;
        }
        let mut matches = Vec::new();
        for directory in directories {
            matches.extend(self.matching(&directory, last, narrow)?);
        }
        Ok(matches)
    }

    /// The directory that `path` leads to.
    fn directory(&self, path: &[u8]) -> Result<Vec<u8>, SelectError> {
        match self.resolve(path)? {
            Resolved::At { path, node, .. } if node.is_dir() => Ok(path),
            Resolved::At { .. } => Err(SelectError::NotADirectory { path: lossy(path) }),
            Resolved::Absent(absence) => Err(self.missing(path, &absence)),
        }
    }

    fn enter(&self, directories: &[Vec<u8>], glob: &Glob) -> Result<Vec<Vec<u8>>, SelectError> {
        let mut inner = Vec::new();
        for directory in directories {
            let listing = self.listing(directory)?;
            let entered = listing.named().filter(|(n, c)| c.node.is_dir() && glob.matches(n));
            inner.extend(entered.map(|(name, _)| join(directory, name)));
        }
        Ok(inner)
    }

    fn matching(
        &self,
        directory: &[u8],
        glob: &Glob,
        narrow: &Narrow,
    ) -> Result<Vec<Match>, SelectError> {
        let listing = self.listing(directory)?;
        let mut matches = Vec::new();
        for (name, child) in listing.named().filter(|(name, _)| glob.matches(name)) {
            let found = self.follow(name, &join(directory, name), narrow);
            match (found, child.presence) {
                (Ok(found), _) => matches.push(found),
                // A directory that would only be there for what it holds, and holds nothing.
                (Err(SelectError::Missing { .. }), Presence::IfNeeded(_)) => {}
                (Err(error), _) => return Err(error),
            }
        }
        Ok(matches)
    }

    /// The match at `path`, links followed, or the error that says why there is none.
    fn follow(&self, name: &[u8], path: &[u8], narrow: &Narrow) -> Result<Match, SelectError> {
        let (at, node, presence) = match self.resolve(path)? {
            Resolved::At { path, node, presence } => (path, node, presence),
            Resolved::Absent(absence) => return Err(self.missing(path, &absence)),
        };
        let (below, xattrs) = if node.is_dir() {
            (self.below(&at, narrow)?, self.listing(&at)?.xattrs.clone())
        } else {
            (Below::default(), Xattrs::new())
        };
        match presence {
            Presence::IfNeeded(rule) if below.is_empty() => {
                let (directory, name) = (Vec::new(), Vec::new());
                let absence = Absence { directory, name, rule: Some(rule), link: None };
                Err(self.missing(path, &absence))
            }
            _ => {
                let top = Status { node, xattrs };
                Ok(Match { name: name.to_vec(), path: at, top, below })
            }
        }
    }

    pub(super) fn missing(&self, asked: &[u8], absence: &Absence) -> SelectError {
        let Absence { directory, name, rule, link } = absence;
        let hidden_by = rule.zip(self.shared.filter.as_ref()).map(|(rule, f)| f.describe(rule));
        let link = link.as_ref().map(|(at, target)| (lossy(at), lossy(target)));
        let nearest = match (&hidden_by, &link) {
            (None, None) => self.nearest(directory, name).map(|path| lossy(&path)),
            _ => None,
        };
        SelectError::Missing { path: lossy(asked), hidden_by, link, nearest }
    }

    /// The path in `directory` whose name is spelled most like `name`, if any is close.
    fn nearest(&self, directory: &[u8], name: &[u8]) -> Option<Vec<u8>> {
        let listing = self.listing(directory).ok()?;
        let close = |child: &[u8]| (distance(child, name), child.len());
        let best = listing.named().map(|(name, _)| name).min_by_key(|name| close(name))?;
        let allowed = (name.len() / 3).max(1);
        (distance(best, name) <= allowed).then(|| join(directory, best))
    }

    pub(super) fn io(&self, verb: &'static str, path: &[u8], error: Errno) -> SelectError {
        SelectError::Io { verb, path: self.shared.root.absolute(path), source: error.into() }
    }
}

fn why(hidden_by: Option<&str>, link: Option<&(String, String)>, nearest: Option<&str>) -> String {
    match (hidden_by, link, nearest) {
        (Some(rule), ..) => format!(": left out by {rule}"),
        (None, Some((link, target)), _) => {
            format!(": the link `{link}` leads to `{target}`, which is not there inside the root")
        }
        (None, None, Some(nearest)) => format!("; there is `{nearest}`"),
        (None, None, None) => String::new(),
    }
}

/// How many letters have to be changed, added or dropped (Levenshtein); case counts nothing.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
