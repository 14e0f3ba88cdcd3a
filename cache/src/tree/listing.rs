//! Directories as the filter shows them, read once each, and the walk below one of them.

use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::narrow::Narrow;
use super::node::{Node, Xattrs};
use super::root::{Name, OpenDir};
use super::{Found, Reason, SelectError, Tree, Verdict, join, lock};

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

/// One directory of a walk.
struct Visit {
    path: Vec<u8>,
    relative: Vec<u8>,
    listing: Arc<Listing>,
    seen: Vec<Seen>,
}

/// One of its children that is not hidden.
struct Seen {
    /// Its position in the listing.
    child: usize,
    presence: Presence,
    reason: Reason,
    /// Of a directory: its own visit.
    visit: Option<usize>,
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

    /// Everything below the directory `path`, parents first. Paths are relative to it, which is also
    /// what the patterns of `narrow` are relative to.
    ///
    /// The walk goes level by level, all directories of one at once: an endless line of nested
    /// directories costs no stack.
    pub(super) fn below(&self, path: &[u8], narrow: &Narrow) -> Result<Vec<Found>, SelectError> {
        let mut visits: Vec<Visit> = Vec::new();
        let mut level = vec![(path.to_vec(), Vec::new())];
        while !level.is_empty() {
            let look = |(path, relative): (Vec<u8>, Vec<u8>)| self.visit(path, relative, narrow);
            // A single directory is not worth handing to another thread.
            let seen: Vec<Visit> = match level.len() {
                1 => level.drain(..).map(look).collect::<Result<_, _>>()?,
                _ => level.par_drain(..).map(look).collect::<Result<_, _>>()?,
            };
            let first = visits.len() + seen.len();
            for mut visit in seen {
                for seen in &mut visit.seen {
                    let child = &visit.listing.children[seen.child];
                    if child.node.is_dir() {
                        seen.visit = Some(first + level.len());
                        let path = join(&visit.path, &child.name);
                        level.push((path, join(&visit.relative, &child.name)));
                    }
                }
                visits.push(visit);
            }
        }
        Ok(in_order(&visits))
    }

    fn visit(
        &self,
        path: Vec<u8>,
        relative: Vec<u8>,
        narrow: &Narrow,
    ) -> Result<Visit, SelectError> {
        let listing = self.listing(&path)?;
        let mut seen = Vec::with_capacity(listing.children.len());
        for (child, entry) in listing.children.iter().enumerate() {
            let narrowed = narrow.presence(&relative, entry);
            let presence = entry.presence.and(narrowed);
            if !matches!(presence, Presence::Hidden(_)) {
                // What the filter says about a directory shows nowhere: the tree is what is left.
                let reason = match narrowed {
                    Presence::Included => Reason::Asked,
                    _ => Reason::OnTheWay,
                };
                seen.push(Seen { child, presence, reason, visit: None });
            }
        }
        Ok(Visit { path, relative, listing, seen })
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

/// Puts what is below each directory behind it, and drops directories that nothing needs.
fn in_order(visits: &[Visit]) -> Vec<Found> {
    let needed = needed(visits);
    let mut found = Vec::with_capacity(visits.iter().map(|visit| visit.seen.len()).sum());
    let mut open = vec![(&visits[0], visits[0].seen.iter())];
    while let Some((visit, rest)) = open.last_mut() {
        let Some(seen) = rest.next() else {
            open.pop();
            continue;
        };
        let child = &visit.listing.children[seen.child];
        if seen.presence != Presence::Included && !seen.visit.is_some_and(|inner| needed[inner]) {
            continue;
        }
        let inner = seen.visit.map(|inner| &visits[inner]);
        let xattrs = inner.map(|inner| inner.listing.xattrs.clone()).unwrap_or_default();
        let path = join(&visit.relative, &child.name);
        found.push(Found { path, node: child.node.clone(), xattrs, reason: seen.reason });
        open.extend(inner.map(|inner| (inner, inner.seen.iter())));
    }
    found
}

/// Which directories hold something that is there. Those below come after those above.
fn needed(visits: &[Visit]) -> Vec<bool> {
    let mut needed = vec![false; visits.len()];
    for (index, visit) in visits.iter().enumerate().rev() {
        needed[index] = visit.seen.iter().any(|seen| {
            seen.presence == Presence::Included || seen.visit.is_some_and(|inner| needed[inner])
        });
    }
    needed
}
