//! Where a copy goes, and what becomes of owners and modes on the way.

use rbuild_cache::layer::{Entry, Kind};
use rbuild_cache::tree::{Node, Owners, Tree};

use super::mode::ModeChange;
use super::target::NewDir;
use super::{Copy, CopyError};
use crate::worker::owner::{self, Owner};

/// Where to.
pub struct Destination {
    /// Relative to the image's root, clean, links not followed yet.
    pub path: Vec<u8>,
    /// It is a directory, whether or not it is there.
    pub is_dir: bool,
}

/// What becomes of owners and modes.
pub struct Rules {
    /// `--chown`.
    pub owner: Option<Owner>,
    /// `--chmod`.
    pub mode: Option<ModeChange>,
    /// The time of what no source has.
    pub time: (i64, u32),
}

impl Destination {
    /// Reads what is written, absolute. Dots are resolved before links are.
    pub fn new(dest: &str) -> Destination {
        let last = dest.rsplit('/').next().unwrap_or_default();
        let mut parts: Vec<&str> = Vec::new();
        for part in dest.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        Destination { path: parts.join("/").into(), is_dir: matches!(last, "" | "." | "..") }
    }
}

impl Rules {
    /// The rules of one instruction; names are looked up in the base.
    pub fn new(
        copy: &Copy<'_>,
        base: Option<&Tree>,
        warn: &mut dyn FnMut(String),
    ) -> Result<Rules, CopyError> {
        let op = copy.op;
        let chown = op.chown.as_deref();
        Ok(Rules {
            owner: chown.map(|owner| owner::look_up(owner, base, warn)).transpose()?,
            mode: op.chmod.as_deref().map(ModeChange::parse).transpose()?,
            time: copy.time,
        })
    }

    /// The entry of something that a source has.
    pub fn entry(&self, path: Vec<u8>, kind: Kind, node: &Node, owners: Owners) -> Entry {
        let mode = match (&self.mode, &kind) {
            (None, _) | (_, Kind::Symlink { .. }) => node.mode,
            (Some(change), kind) => change.apply(node.mode, matches!(kind, Kind::Dir)),
        };
        let owner = self.owner.unwrap_or(match owners {
            Owners::Kept => Owner { uid: node.uid, gid: node.gid },
            Owners::Root => Owner::default(),
        });
        let mut entry = Entry::new(path, kind, mode);
        (entry.uid, entry.gid) = (owner.uid, owner.gid);
        entry.mtime = (node.mtime.seconds, node.mtime.nanos);
        entry
    }

    /// A directory that no source has.
    pub fn new_dir(&self) -> NewDir {
        let mode = match self.mode {
            Some(ModeChange::Octal(mode)) => mode & 0o777,
            _ => 0o755,
        };
        let Owner { uid, gid } = self.owner.unwrap_or_default();
        NewDir { mode, uid, gid, mtime: self.time }
    }
}
