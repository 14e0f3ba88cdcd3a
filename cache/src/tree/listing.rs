//! Directories as the filter shows them, read once each, and the walk below one of them.

use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::node::{Node, Xattrs};
use super::root::{Name, OpenDir};
use super::{Found, SelectError, Tree, Verdict, join, lock};
use crate::pattern::rules::Rules;

/// What one directory holds, in the order of names.
pub(super) struct Listing {
    pub(super) children: Vec<Child>,
    pub(super) xattrs: Xattrs,
}

/// A name in a directory that the filter does not hide altogether.
pub(super) struct Child {
    pub(super) name: Vec<u8>,
    pub(super) node: Node,
    pub(super) presence: Presence,
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

impl Presence {
    /// What two lists of rules say together.
    fn and(self, other: Presence) -> Presence {
        match (self, other) {
            (Presence::Hidden(rule), _) | (_, Presence::Hidden(rule)) => Presence::Hidden(rule),
            (Presence::IfNeeded(rule), _) | (_, Presence::IfNeeded(rule)) => {
                Presence::IfNeeded(rule)
            }
            _ => Presence::Included,
        }
    }
}

/// How many names one thread looks up before another one could take over.
const CHUNK: usize = 128;

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

    /// Everything below the directory `path`, parents first. Paths are relative to `top`, which is
    /// also what `exclude` is relative to.
    pub(super) fn below(
        &self,
        path: &[u8],
        relative: &[u8],
        exclude: &Rules,
    ) -> Result<Vec<Found>, SelectError> {
        let listing = self.listing(path)?;
        let seen: Vec<(&Child, Presence)> = listing
            .children
            .iter()
            .map(|child| (child, child.presence.and(excluded(exclude, relative, child))))
            .filter(|(_, presence)| !matches!(presence, Presence::Hidden(_)))
            .collect();
        let dirs: Vec<&Child> =
            seen.iter().map(|(child, _)| *child).filter(|child| child.node.is_dir()).collect();
        let enter = |child: &&Child| {
            let (path, relative) = (join(path, &child.name), join(relative, &child.name));
            Ok((self.listing(&path)?, self.below(&path, &relative, exclude)?))
        };
        // A single directory is not worth handing to another thread.
        let inner: Vec<(Arc<Listing>, Vec<Found>)> = match dirs.as_slice() {
            [dir] => vec![enter(dir)?],
            dirs => dirs.par_iter().map(enter).collect::<Result<_, SelectError>>()?,
        };
        Ok(in_order(&seen, relative, inner))
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
        let mut names = directory.names()?;
        names.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let look = |name: &Name| self.child(&directory, path, name);
        let children: Vec<Option<Child>> = if names.len() > CHUNK {
            names.par_iter().with_min_len(CHUNK).map(look).collect::<Result<_, _>>()?
        } else {
            names.iter().map(look).collect::<Result<_, _>>()?
        };
        Ok(Listing {
            children: children.into_iter().flatten().collect(),
            xattrs: directory.xattrs()?,
        })
    }

    /// One child, unless it is hidden or vanished. What is hidden costs no system call.
    fn child(&self, dir: &OpenDir, path: &[u8], name: &Name) -> Result<Option<Child>, Errno> {
        let may_be_dir = matches!(name.file_type, FileType::Directory | FileType::Unknown);
        let mut presence = self.presence(&join(path, &name.name), may_be_dir);
        if matches!(presence, Presence::Hidden(_)) {
            return Ok(None);
        }
        let Some(node) = dir.node(&name.name)? else { return Ok(None) };
        if let (Presence::IfNeeded(rule), false) = (presence, node.is_dir()) {
            presence = Presence::Hidden(rule);
        }
        let shown = !matches!(presence, Presence::Hidden(_));
        Ok(shown.then(|| Child { name: name.name.clone(), node, presence }))
    }
}

/// What `--exclude` says about a child of the directory `relative`.
fn excluded(rules: &Rules, relative: &[u8], child: &Child) -> Presence {
    if rules.is_empty() {
        return Presence::Included;
    }
    let path = join(relative, &child.name);
    match rules.decide(&path) {
        Some(decision) if rules.excludes(&path) => match child.node.is_dir() {
            true if !rules.prunes(&path) => Presence::IfNeeded(decision.rule),
            _ => Presence::Hidden(decision.rule),
        },
        _ => Presence::Included,
    }
}

/// Puts what is below each directory behind it, and drops directories that nothing needs.
fn in_order(
    seen: &[(&Child, Presence)],
    relative: &[u8],
    inner: Vec<(Arc<Listing>, Vec<Found>)>,
) -> Vec<Found> {
    let total = seen.len() + inner.iter().map(|(_, below)| below.len()).sum::<usize>();
    let mut found = Vec::with_capacity(total);
    let mut inner = inner.into_iter();
    for (child, presence) in seen {
        let (xattrs, below) = match child.node.is_dir().then(|| inner.next()).flatten() {
            Some((listing, below)) => (listing.xattrs.clone(), below),
            None => (Xattrs::new(), Vec::new()),
        };
        if *presence == Presence::Included || !below.is_empty() {
            let path = join(relative, &child.name);
            found.push(Found { path, node: child.node.clone(), xattrs });
            found.extend(below);
        }
    }
    found
}
