//! What lies below a directory: the walk, and its result.
//!
//! The result holds places in the listings of the directories and nothing of its own for a path but
//! these: a path is put together when somebody asks for it.

use std::num::NonZeroU32;
use std::sync::Arc;

use rayon::prelude::*;

use super::listing::{Listing, Presence};
use super::narrow::Narrow;
use super::select::{Found, Reason, SelectError};
use super::{Tree, join};

/// Everything that was selected below a directory, parents first, each directory's in the order of
/// names.
#[derive(Debug, Clone, Default)]
pub struct Below {
    visits: Vec<Visit>,
    places: Vec<Place>,
}

/// One path.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The directory that it is in.
    visit: u32,
    /// Its position in the directory's listing.
    child: u32,
    /// Of a directory: its own visit, which is never the first.
    inner: Option<NonZeroU32>,
}

/// One directory of a walk.
#[derive(Debug, Clone)]
struct Visit {
    /// Relative to where the walk began.
    relative: Vec<u8>,
    listing: Arc<Listing>,
    reason: Reason,
    /// What is in it and not hidden; empty once everything is in order.
    seen: Vec<Seen>,
}

/// A child that is not hidden.
#[derive(Debug, Clone)]
struct Seen {
    child: u32,
    inner: Option<NonZeroU32>,
    needed: Needed,
}

/// Whether a path is there for its own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    Always,
    /// A directory that is only there if something below it is.
    ForOthers,
}

/// A directory that is about to be visited.
struct Ahead {
    path: Vec<u8>,
    relative: Vec<u8>,
    reason: Reason,
}

impl Below {
    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Every path in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Found<'_>> {
        self.places.iter().map(|place| self.found(place))
    }

    /// The path at a position.
    pub fn get(&self, position: usize) -> Option<Found<'_>> {
        self.places.get(position).map(|place| self.found(place))
    }

    fn found(&self, place: &Place) -> Found<'_> {
        let visit = &self.visits[place.visit as usize];
        let child = &visit.listing.children[place.child as usize];
        let inner = place.inner.map(|inner| &self.visits[inner.get() as usize]);
        Found {
            path: join(&visit.relative, visit.listing.name(child)),
            node: &child.node,
            xattrs: inner.map_or(&[], |inner| &inner.listing.xattrs),
            reason: inner.map_or(Reason::Asked, |inner| inner.reason),
        }
    }
}

impl Tree {
    /// Everything below the directory `path`. Paths are relative to it, which is also what the
    /// patterns of `narrow` are relative to.
    ///
    /// The walk goes level by level, all directories of one at once: an endless line of nested
    /// directories costs no stack.
    pub(super) fn below(&self, path: &[u8], narrow: &Narrow) -> Result<Below, SelectError> {
        let top = Ahead { path: path.to_vec(), relative: Vec::new(), reason: Reason::Asked };
        let (mut visits, mut level, mut count) = (Vec::new(), vec![top], 1);
        while !level.is_empty() {
            let look = |ahead: Ahead| self.visit(ahead, narrow);
            // A single directory is not worth handing to another thread.
            let seen: Vec<(Visit, Vec<Ahead>)> = match level.len() {
                1 => level.drain(..).map(look).collect::<Result<_, _>>()?,
                _ => level.par_drain(..).map(look).collect::<Result<_, _>>()?,
            };
            for (mut visit, inner) in seen {
                let children = &visit.listing.children;
                let is_dir = |seen: &&mut Seen| children[seen.child as usize].node.is_dir();
                for seen in visit.seen.iter_mut().filter(is_dir) {
                    seen.inner = NonZeroU32::new(count);
                    count += 1;
                }
                visits.push(visit);
                level.extend(inner);
            }
        }
        Ok(in_order(visits))
    }

    /// Looks at one directory; also gives those in it, in their order.
    fn visit(&self, ahead: Ahead, narrow: &Narrow) -> Result<(Visit, Vec<Ahead>), SelectError> {
        let Ahead { path, relative, reason } = ahead;
        let listing = self.listing(&path)?;
        let mut seen = Vec::with_capacity(listing.children.len());
        let mut inner = Vec::new();
        for ((name, child), position) in listing.named().zip(0..) {
            let narrowed = narrow.presence(&relative, name, child);
            let needed = match child.presence.and(narrowed) {
                Presence::Hidden(_) => continue,
                Presence::IfNeeded(_) => Needed::ForOthers,
                Presence::Included => Needed::Always,
            };
            if child.node.is_dir() {
                // What the filter says about a directory shows nowhere: the tree is what is left.
                let reason = match narrowed {
                    Presence::Included => Reason::Asked,
                    _ => Reason::OnTheWay,
                };
                let (path, relative) = (join(&path, name), join(&relative, name));
                inner.push(Ahead { path, relative, reason });
            }
            seen.push(Seen { child: position, inner: None, needed });
        }
        Ok((Visit { relative, listing, reason, seen }, inner))
    }
}

/// Puts what is below each directory behind it, and drops directories that nothing needs.
fn in_order(mut visits: Vec<Visit>) -> Below {
    let holding = holding(&visits);
    let is_there = |seen: &Seen| seen.needed == Needed::Always || holds(&holding, seen);
    let mut places = Vec::with_capacity(visits.iter().map(|visit| visit.seen.len()).sum());
    let mut open = vec![(0, visits[0].seen.iter())];
    while let Some((visit, rest)) = open.last_mut() {
        let Some(seen) = rest.next() else {
            open.pop();
            continue;
        };
        if is_there(seen) {
            places.push(Place { visit: *visit, child: seen.child, inner: seen.inner });
            open.extend(seen.inner.map(|at| (at.get(), visits[at.get() as usize].seen.iter())));
        }
    }
    drop(open);
    visits.iter_mut().for_each(|visit| visit.seen = Vec::new());
    Below { visits, places }
}

/// Which directories hold something that is there. Those below come after those above.
fn holding(visits: &[Visit]) -> Vec<bool> {
    let mut holding = vec![false; visits.len()];
    for (index, visit) in visits.iter().enumerate().rev() {
        holding[index] =
            visit.seen.iter().any(|seen| seen.needed == Needed::Always || holds(&holding, seen));
    }
    holding
}

fn holds(holding: &[bool], seen: &Seen) -> bool {
    seen.inner.is_some_and(|inner| holding[inner.get() as usize])
}
