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
    pub(super) presence: Presence,
    name: Span,
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
        let Names { text, each } = directory.names()?;
        let look = |name: &Name| self.child(&directory, path, &text, name);
        let children = if each.len() > CHUNK {
            let parts = each.par_chunks(CHUNK).map(|part| part.iter().filter_map(look).collect());
            let parts: Vec<Result<Vec<Child>, Errno>> = parts.collect();
            let mut children = Vec::with_capacity(each.len());
            for part in parts {
                children.append(&mut part?);
            }
            children
        } else {
            each.iter().filter_map(look).collect::<Result<Vec<Child>, _>>()?
        };
        Ok(Listing { children, xattrs: directory.xattrs()?, names: text })
    }

    /// One child, unless it is hidden or vanished. What is hidden costs no system call.
    fn child(
        &self,
        dir: &OpenDir,
        path: &[u8],
        text: &[u8],
        name: &Name,
    ) -> Option<Result<Child, Errno>> {
        let may_be_dir = matches!(name.file_type, FileType::Directory | FileType::Unknown);
        let own = name.span.of(text);
        let mut presence = match self.shared.filter {
            Some(_) => self.presence(&join(path, own), may_be_dir),
            None => Presence::Included,
        };
        if matches!(presence, Presence::Hidden(_)) {
            return None;
        }
        let node = match dir.node(own).transpose()? {
            Ok(node) => node,
            Err(error) => return Some(Err(error)),
        };
        if let (Presence::IfNeeded(rule), false) = (presence, node.is_dir()) {
            presence = Presence::Hidden(rule);
        }
        let shown = !matches!(presence, Presence::Hidden(_));
        shown.then_some(Ok(Child { node, presence, name: name.span }))
    }
}
