//! The file system that a copy goes onto: the base image, and what was put on it so far.
//!
//! Nothing is written here. Links are followed by hand, inside a root that is the image's or, for
//! an archive, the directory that it is unpacked in.

use std::cell::RefCell;
use std::path::Path;

use rbuild_cache::layer::{Entry, Kind};
use rbuild_cache::tree::{NodeKind, OpenError, Owners, Status, Tree};

use super::CopyError;
use super::plan::{Made, Plan};

/// As many as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// The base and what lies on it. Paths are relative to the image's root, and clean.
pub struct Target<'a> {
    /// What lies on the base.
    pub plan: Plan<'a>,
    base: Option<Tree>,
    /// Where layers below `base` were not fetched: what is taken to be absent there.
    absent: Option<RefCell<Vec<Vec<u8>>>>,
}

/// What is known of the image that a copy goes onto.
#[derive(Debug, Clone, Copy)]
pub enum Below<'a> {
    /// All of it; none for an empty one.
    Seen(Option<&'a Path>),
    /// Its upper layers, if there are any. Those below were not fetched: that they have nothing at
    /// a path is a guess.
    Unseen(Option<&'a Path>),
}

/// What is in most images, so that guessing that it is not there makes no sense.
const USUAL: [&str; 23] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt",
    "proc", "root", "run", "sbin", "selinux", "snap", "srv", "sys", "tmp", "usr", "var",
];

/// What is at a path.
#[derive(Debug)]
pub enum There {
    /// It was put there.
    Made(Made),
    /// The base has it.
    Base(Status),
}

/// What a directory gets that has to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewDir {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
}

impl<'a> Target<'a> {
    /// The base as it is.
    pub fn new(below: Below<'_>) -> Result<Target<'a>, OpenError> {
        let (path, absent) = match below {
            Below::Seen(path) => (path, None),
            Below::Unseen(path) => (path, Some(RefCell::default())),
        };
        let base = path.map(|base| Tree::open(base, Owners::Kept, None)).transpose()?;
        Ok(Target { plan: Plan::default(), base, absent })
    }

    /// What was taken to be absent, each path once and none that is below another one.
    pub fn guessed(self) -> Vec<Vec<u8>> {
        self.absent.map(RefCell::into_inner).unwrap_or_default()
    }

    /// The base image, if there is one.
    pub fn base(&self) -> Option<&Tree> {
        self.base.as_ref()
    }

    /// What is at `path`, which leads through no link; nothing if there is nothing.
    pub fn look(&self, path: &[u8]) -> Result<Option<There>, CopyError> {
        if let Some(made) = self.plan.at(path) {
            return Ok(Some(There::Made(made)));
        }
        let nearest = ancestors(path).rev().find_map(|ancestor| self.plan.at(ancestor));
        match (&self.base, nearest) {
            (Some(base), None | Some(Made::Dir)) => match base.look(path)? {
                Some(found) => Ok(Some(There::Base(found))),
                None => self.guess(path).map(|()| None),
            },
            (None, None) if path.is_empty() => Ok(Some(There::Made(Made::NewDir))),
            (None, None | Some(Made::Dir)) => self.guess(path).map(|()| None),
            _ => Ok(None),
        }
    }

    /// Nothing that was seen has something at `path`.
    fn guess(&self, path: &[u8]) -> Result<(), CopyError> {
        let Some(absent) = &self.absent else { return Ok(()) };
        let first = path.split(|byte| *byte == b'/').next().unwrap_or_default();
        if USUAL.iter().any(|usual| usual.as_bytes() == first) {
            return Err(CopyError::Unseen(absolute(path)));
        }
        let mut absent = absent.borrow_mut();
        if !absent.iter().any(|known| path == known || is_below(path, known)) {
            absent.push(path.to_vec());
        }
        Ok(())
    }

    /// Follows the links of `path`, the last one too. `root` is what `/` and `..` lead to at most.
    /// What is not there is taken as written.
    pub fn resolve(&self, root: &[u8], path: &[u8]) -> Result<Vec<u8>, CopyError> {
        let mut rest = components(path);
        let mut at = root.to_vec();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == b".." {
                at.truncate(parent_length(&at).max(root.len()));
                continue;
            }
            let next = join(&at, &name);
            let there = self.look(&next)?;
            match there.as_ref().and_then(There::link) {
                Some(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(CopyError::Loop(absolute(path)));
                    }
                    if target.starts_with(b"/") {
                        at = root.to_vec();
                    }
                    rest.extend(components(target));
                }
                None if there.as_ref().is_some_and(|there| !there.is_dir()) && !rest.is_empty() => {
                    return Err(CopyError::NotADirectory(absolute(&next)));
                }
                None => at = next,
            }
        }
        Ok(at)
    }

    /// The entries for the directories above `path` that have none yet: those of the base as they
    /// are, the others as `new` says. They are to be written at once, or planned.
    pub fn parents(&mut self, path: &[u8], new: NewDir) -> Result<Vec<Entry>, CopyError> {
        let parent = &path[..parent_length(path)];
        if matches!(self.plan.at(parent), Some(Made::Dir | Made::NewDir)) {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for ancestor in ancestors(path).filter(|ancestor| !ancestor.is_empty()) {
            entries.extend(self.directory(ancestor, new)?);
        }
        Ok(entries)
    }

    /// The entry for the directory `path`, if it has none yet, as [`Target::parents`] gives them.
    pub fn directory(&mut self, path: &[u8], new: NewDir) -> Result<Option<Entry>, CopyError> {
        let (entry, made) = match self.look(path)? {
            Some(There::Made(Made::Dir | Made::NewDir)) => return Ok(None),
            Some(There::Base(found)) if found.node.is_dir() => (existing(path, found), Made::Dir),
            Some(_) => return Err(CopyError::NotADirectory(absolute(path))),
            None => (new.entry(path), Made::NewDir),
        };
        self.plan.put(path, made);
        Ok(Some(entry))
    }

    /// Whether there has to be made a directory at `path`; an error if something else is there.
    pub fn is_missing(&self, path: &[u8]) -> Result<bool, CopyError> {
        match self.look(path)? {
            None => Ok(true),
            Some(there) if there.is_dir() => Ok(false),
            Some(_) => Err(CopyError::NotADirectory(absolute(path))),
        }
    }
}

impl There {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        match self {
            There::Made(made) => matches!(made, Made::Dir | Made::NewDir),
            There::Base(found) => found.node.is_dir(),
        }
    }

    fn link(&self) -> Option<&[u8]> {
        match self {
            There::Made(Made::Symlink(target)) => Some(target),
            There::Base(Status { node, .. }) => match &node.kind {
                NodeKind::Symlink { target } => Some(target),
                _ => None,
            },
            There::Made(_) => None,
        }
    }
}

impl NewDir {
    /// The same under the usual umask, 022: so BuildKit makes a destination that is a directory.
    pub fn masked(self) -> NewDir {
        NewDir { mode: self.mode & !0o022, ..self }
    }

    /// The entry of such a directory.
    pub fn entry(&self, path: &[u8]) -> Entry {
        let mut entry = Entry::new(path, Kind::Dir, self.mode);
        (entry.uid, entry.gid, entry.mtime) = (self.uid, self.gid, self.mtime);
        entry
    }
}

/// A directory of the base as it is.
fn existing(path: &[u8], Status { node, xattrs }: Status) -> Entry {
    let mut entry = Entry::new(path, Kind::Dir, node.mode);
    (entry.uid, entry.gid) = (node.uid, node.gid);
    entry.mtime = (node.mtime.seconds, node.mtime.nanos);
    Entry { xattrs, ..entry }
}

/// `directory/name`, where the root is the empty path.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory.is_empty(), name.is_empty()) {
        (true, _) => name.to_vec(),
        (false, true) => directory.to_vec(),
        (false, false) => [directory, b"/", name].concat(),
    }
}

/// Whether `path` is in `directory`, or in one in it; neither is the root.
pub fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.starts_with(directory) && path.get(directory.len()) == Some(&b'/')
}

/// The directory and the name in it.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let length = parent_length(path);
    (&path[..length], path[length..].strip_prefix(b"/").unwrap_or(&path[length..]))
}

/// The path for people.
pub fn absolute(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path).trim_start_matches('/'))
}

/// The root and every directory above `path`, from the top.
fn ancestors(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let slashes = (0..path.len()).filter(|&at| path[at] == b'/').map(|at| &path[..at]);
    (!path.is_empty()).then_some(&path[..0]).into_iter().chain(slashes)
}

/// The components, the first one last, without empty ones and `.`.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .rev()
        .collect()
}

fn parent_length(path: &[u8]) -> usize {
    path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)
}
