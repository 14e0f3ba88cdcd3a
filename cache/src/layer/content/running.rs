//! The content of a layer that is being written, so that nobody has to read it for that afterwards.
//!
//! It is known at the end if all that was written is told again in the same way: plain entries in
//! the order of layers, each once and below a directory that came before it, and for every file the
//! digest of its bytes. A copy of usual files is like that. Anything else is read when somebody asks.

use std::cmp::Ordering;

use blake3::Hasher;

use super::super::entry::{Entry, Kind, order, split};
use super::super::marks::Rights;
use super::record;
use crate::digest::ContentDigest;

/// What was written so far.
#[derive(Debug)]
pub(in crate::layer) struct Running {
    rights: Rights,
    hasher: Hasher,
    state: State,
    last: Vec<u8>,
    /// The lengths of those prefixes of `last` that are directories of the layer.
    dirs: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Known,
    /// But for the digest of the file that came last.
    Awaiting,
    Unknown,
}

impl Running {
    pub(in crate::layer) fn new(rights: Rights) -> Running {
        let (hasher, state) = (Hasher::new(), State::Known);
        Running { rights, hasher, state, last: Vec::new(), dirs: Vec::new() }
    }

    /// Adds an entry that was written. A file is completed by [`Running::file`].
    pub(in crate::layer) fn add(&mut self, entry: &Entry) {
        if self.state != State::Known || (entry.path.is_empty() && entry.kind == Kind::Dir) {
            return;
        }
        self.state = match (self.takes(entry), &entry.kind) {
            (true, Kind::File { .. }) => State::Awaiting,
            (true, _) => {
                record(&mut self.hasher, entry, None);
                State::Known
            }
            (false, _) => State::Unknown,
        };
    }

    /// Says what the bytes of the file are that was added last.
    pub(in crate::layer) fn file(&mut self, entry: &Entry, digest: &ContentDigest) {
        if self.state == State::Awaiting && entry.path == self.last {
            record(&mut self.hasher, entry, Some(digest.as_bytes()));
            self.state = State::Known;
        }
    }

    pub(in crate::layer) fn finish(self) -> Option<ContentDigest> {
        (self.state == State::Known).then(|| ContentDigest::from_hasher(&self.hasher))
    }

    /// Whether the entry will be told as it is, and after those before it.
    fn takes(&mut self, entry: &Entry) -> bool {
        let plain = match entry.kind {
            Kind::Dir | Kind::File { .. } => entry.mode <= 0o7777,
            Kind::Symlink { .. } => entry.mode == 0o777,
            _ => false,
        };
        // In a user namespace a disk may lose owners.
        let owned = self.rights == Rights::Host || (entry.uid, entry.gid) == (0, 0);
        let (path, parent) = (&entry.path, split(&entry.path).0);
        let follows = order(&self.last, path) == Ordering::Less;
        self.dirs
            .retain(|length| *length <= parent.len() && self.last[..*length] == parent[..*length]);
        let below = parent.is_empty() || self.dirs.last() == Some(&parent.len());
        if entry.is_dir() {
            self.dirs.push(path.len());
        }
        self.last.clone_from(path);
        plain && owned && follows && below && entry.xattrs.is_empty()
    }
}
