//! Directories as the filter shows them, read once each.
//!
//! A listing is the only place where the names and nodes of a tree are kept: whatever was selected
//! refers to it. There can be a hundred thousand of them, so the names of a directory lie behind
//! each other in one piece of memory.

use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::node::{Node, Xattrs};
use super::root::{Name, Names, OpenDir, Span};
use super::{SelectError, Tree, Verdict, join, lock};

/// What one directory holds, in the order of names.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) children: Vec<Child>,
    pub(super) xattrs: Xattrs,
    names: Vec<u8>,
}

/// A name in a directory that the filter does not hide altogether.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) node: Node,
    pub(super) needed: Needed,
    name: Span,
}

/// Why a path is there. Of two lists of rules the larger answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needed {
    ForItself,
    /// A directory that is only there if something below it is.
    ForOthers,
}

/// Whether a path is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Included,
    /// A directory that is only there if something below it is; else this rule hides it.
    IfNeeded(usize),
    /// This rule hides it, and all that could be below it.
    Hidden(usize),
}

/// How many names one thread looks up before another one could take over.
const CHUNK: usize = 128;

impl Presence {
    /// What two lists of rules say together.
    pub(super) fn and(self, other: Presence) -> Presence {
        match (self, other) {
            (Presence::Hidden(rule), _) | (_, Presence::Hidden(rule)) => Presence::Hidden(rule),
            (Presence::IfNeeded(rule), _) | (_, Presence::IfNeeded(rule)) => {
                Presence::IfNeeded(rule)
            }
            _ => Presence::Included,
        }
    }

    /// Why a path is there, if it may be.
    pub(super) fn needed(self, is_dir: bool) -> Option<Needed> {
        match self {
            Presence::Included => Some(Needed::ForItself),
            Presence::IfNeeded(_) if is_dir => Some(Needed::ForOthers),
            Presence::IfNeeded(_) | Presence::Hidden(_) => None,
        }
    }
}

impl Listing {
    /// The name of one of the children.
    pub(super) fn name(&self, child: &Child) -> &[u8] {
        child.name.of(&self.names)
    }

    /// The children with their names.
    pub(super) fn named(&self) -> impl Iterator<Item = (&[u8], &Child)> {
        self.children.iter().map(|child| (self.name(child), child))
    }

    /// The child of that name.
    pub(super) fn child(&self, name: &[u8]) -> Option<&Child> {
        let found = self.children.binary_search_by(|child| self.name(child).cmp(name));
        found.ok().map(|index| &self.children[index])
    }
}

impl Tree {
    /// Lists the directory `path`, or gives the list that is known.
    pub(super) fn listing(&self, path: &[u8]) -> Result<Arc<Listing>, SelectError> {
        let known = lock(&self.shared.listings).get(path).cloned();
        if let Some(listing) = known {
            return Ok(listing);
        }
        let read = self.read(path).map_err(|error| self.io("read the directory", path, error))?;
        let mut listings = lock(&self.shared.listings);
        Ok(listings.entry(path.to_vec()).or_insert_with(|| Arc::new(read)).clone())
    }

    /// What the filter says about the directory or file `path`.
    pub(super) fn presence(&self, path: &[u8], is_dir: bool) -> Presence {
        let Some(filter) = &self.shared.filter else { return Presence::Included };
        match filter.verdict(path) {
            Verdict::Included => Presence::Included,
            Verdict::Excluded { rule } if is_dir && !filter.prunes(path) => {
                Presence::IfNeeded(rule)
            }
            Verdict::Excluded { rule } => Presence::Hidden(rule),
        }
    }

    fn read(&self, path: &[u8]) -> Result<Listing, Errno> {
        let directory = self.shared.root.directory(path)?;
        let Names { text: mut names, each } = directory.names()?;
        names.shrink_to_fit();
        let look = |part: &[Name]| -> Result<Vec<Child>, Errno> {
            let mut children = Vec::with_capacity(part.len());
            for name in part {
                children.extend(self.child(&directory, path, &names, *name)?);
            }
            Ok(children)
        };
        let parts: Vec<_> = match each.len() {
            ..=CHUNK => each.chunks(CHUNK).map(look).collect::<Result<_, _>>()?,
            _ => each.par_chunks(CHUNK).map(look).collect::<Result<_, _>>()?,
        };
        let mut children = Vec::with_capacity(parts.iter().map(Vec::len).sum());
        parts.into_iter().for_each(|mut part| children.append(&mut part));
        Ok(Listing { children, xattrs: directory.xattrs()?, names })
    }

    /// One child, unless it is hidden or vanished. What is hidden costs no system call.
    fn child(
        &self,
        dir: &OpenDir,
        path: &[u8],
        names: &[u8],
        Name { span, file_type }: Name,
    ) -> Result<Option<Child>, Errno> {
        let may_be_dir = matches!(file_type, FileType::Directory | FileType::Unknown);
        let name = span.of(names);
        let presence = match self.shared.filter {
            Some(_) => self.presence(&join(path, name), may_be_dir),
            None => Presence::Included,
        };
        if matches!(presence, Presence::Hidden(_)) {
            return Ok(None);
        }
        let Some(node) = dir.node(name)? else { return Ok(None) };
        let needed = presence.needed(node.is_dir());
        Ok(needed.map(|needed| Child { node, needed, name: span }))
    }
}
