//! What a copy puts into its layer: each path once, in the layer's order, files not read yet.
//!
//! There can be very many files, so a file is no more here than its path and where it comes from.
//! Whatever else there is to say of it is worked out when it is written.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use rbuild_cache::layer::{Entry, order};

use super::target::is_below;

/// What was put at each path so far.
#[derive(Default)]
pub struct Plan<'a> {
    placed: BTreeMap<Place, Placed<'a>>,
}

/// What was put at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// A directory, with what the base has in it.
    Dir,
    /// A directory, and nothing of the base shows in it.
    NewDir,
    /// A regular file.
    File,
    /// A symbolic link to this target.
    Symlink(Arc<Vec<u8>>),
    /// A pipe or device.
    Other,
}

/// A file of a source: the source's position among all, and the path's position in its match.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Of the source.
    pub source: u32,
    /// Of the path: the match itself is the first.
    pub position: u32,
}

/// What will be written at a path.
pub enum Planned<'p> {
    /// As it is, with these bytes if it is a file.
    Entry(&'p Entry, &'p [u8]),
    /// A file that has to be read.
    File(Origin),
}

/// A path, in the order of layers.
#[derive(Debug, PartialEq, Eq)]
struct Place(Box<[u8]>);

enum Placed<'a> {
    /// Nothing is left to be done.
    Written(Made),
    File(Origin),
    Entry(Box<Later<'a>>),
}

/// An entry that is not written yet.
struct Later<'a> {
    entry: Entry,
    data: &'a [u8],
    made: Made,
}

impl<'a> Plan<'a> {
    /// What is at a path, written or not.
    pub fn at(&self, path: &[u8]) -> Option<Made> {
        self.placed.get(&Place::new(path)).map(Placed::made)
    }

    /// Notes what is at a path, and is in the layer or about to be written to it.
    pub fn put(&mut self, path: &[u8], made: Made) {
        self.placed.insert(Place::new(path), Placed::Written(made));
    }

    /// As [`Plan::put`] where a directory was: nothing is below it any more.
    pub fn put_in_place(&mut self, path: &[u8], made: Made) {
        let place = Place::new(path);
        while let Some((next, _)) = self.placed.range((Excluded(&place), Unbounded)).next()
            && is_below(&next.0, path)
        {
            let gone = Place(next.0.clone());
            self.placed.remove(&gone);
        }
        self.placed.insert(place, Placed::Written(made));
    }

    /// Plans an entry whose bytes, if it is a file, are known.
    pub fn entry(&mut self, entry: Entry, data: &'a [u8], made: Made) {
        let place = Place::new(&entry.path);
        self.placed.insert(place, Placed::Entry(Box::new(Later { entry, data, made })));
    }

    /// Plans a file of a source.
    pub fn file(&mut self, path: &[u8], origin: Origin) {
        self.placed.insert(Place::new(path), Placed::File(origin));
    }

    /// Gives the entry that is planned for a path another time.
    pub fn set_time(&mut self, path: &[u8], mtime: (i64, u32)) {
        if let Some(Placed::Entry(later)) = self.placed.get_mut(&Place::new(path)) {
            later.entry.mtime = mtime;
        }
    }

    /// The entry that is planned for a path.
    pub fn planned(&self, path: &[u8]) -> Option<&Entry> {
        match self.placed.get(&Place::new(path)) {
            Some(Placed::Entry(later)) => Some(&later.entry),
            _ => None,
        }
    }

    /// All that is to be written, parents first.
    pub fn all(&self) -> impl Iterator<Item = (&[u8], Planned<'_>)> {
        self.placed.iter().filter_map(|(place, placed)| match placed {
            Placed::Written(_) => None,
            Placed::File(origin) => Some((&*place.0, Planned::File(*origin))),
            Placed::Entry(later) => Some((&*place.0, Planned::Entry(&later.entry, later.data))),
        })
    }

    /// Notes that all is written.
    pub fn settle(&mut self) {
        self.placed.values_mut().for_each(|placed| *placed = Placed::Written(placed.made()));
    }
}

impl Placed<'_> {
    fn made(&self) -> Made {
        match self {
            Placed::Written(made) => made.clone(),
            Placed::File(_) => Made::File,
            Placed::Entry(later) => later.made.clone(),
        }
    }
}

impl Made {
    /// A symbolic link.
    pub fn symlink(target: &[u8]) -> Made {
        Made::Symlink(Arc::new(target.to_vec()))
    }
}

impl Place {
    fn new(path: &[u8]) -> Place {
        Place(path.into())
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Place) -> Ordering {
        order(&self.0, &other.0)
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Place) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
