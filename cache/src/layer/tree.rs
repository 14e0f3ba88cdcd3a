//! A layer's tree in memory, while it has no directory on disk.
//!
//! It answers to the same entries in the same way as a directory does (`dir`): later entries replace
//! earlier ones, missing parents are made, links of the layer lead on inside it. What a file holds
//! is only a place in the layer's tar.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::entry::{Entry, Kind, join, keeps_xattr, split};

/// The number of an inode.
pub(crate) type Ino = u32;

/// The root's number.
pub(crate) const ROOT: Ino = 0;
/// How many links in a row may be followed: Linux's limit.
const MAX_LINKS: usize = 40;
/// How deep folders may be: as deep as the longest path leads. Through links, few entries could make
/// a tree that no stack is deep enough to walk.
const MAX_DEPTH: usize = 2048;
/// What is made for a parent that no entry describes.
const PARENT_MODE: u32 = 0o755;

/// All inodes of a layer. Some may have no name any more.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    inodes: Vec<Inode>,
}

/// The names in a directory.
pub(crate) type Children = BTreeMap<Box<[u8]>, Ino>;

/// Attributes and substance, whatever its names are.
#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) what: What,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The number of its names.
    pub(crate) names: u32,
}

/// The substance of an inode.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Dir { children: Children, opaque: bool },
    File { size: u64, start: u64 },
    Symlink { target: Vec<u8> },
    Char { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
    Whiteout,
}

/// How the tree took an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// At its own path, with its parents there before it.
    Plainly,
    /// Parents had to be made, or a link led elsewhere.
    Otherwise,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree { inodes: vec![Inode::dir(PARENT_MODE)] }
    }

    /// Adds one checked entry whose data begins at `start`. Gives the inode that is now at the path;
    /// none if nothing changed.
    pub(crate) fn add(&mut self, entry: &Entry, start: u64) -> io::Result<(Taken, Option<Ino>)> {
        if entry.path.is_empty() {
            self.inode_mut(ROOT).dress(entry);
            if entry.kind == Kind::OpaqueDir {
                self.inode_mut(ROOT).set_opaque();
            }
            return Ok((Taken::Plainly, Some(ROOT)));
        }
        let (parent, name) = split(&entry.path);
        let (dir, taken) = self.parent(parent)?;
        Ok((taken, self.place(dir, name, entry, start)?))
    }

    /// One of the inodes.
    pub(crate) fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[ino as usize]
    }

    /// How many inodes there are.
    pub(crate) fn len(&self) -> usize {
        self.inodes.len()
    }

    /// What is at `path`, no link followed.
    pub(crate) fn at(&self, path: &[u8]) -> Option<Ino> {
        path.split(|b| *b == b'/').try_fold(ROOT, |dir, name| self.child(dir, name))
    }

    /// Notes where the data of a file begins, once it is known.
    pub(crate) fn set_start(&mut self, ino: Ino, at: u64) {
        if let What::File { start, .. } = &mut self.inode_mut(ino).what {
            *start = at;
        }
    }

    /// Makes the directory at `path` hide what lower layers have there.
    pub(crate) fn opaque(&mut self, path: &[u8]) -> io::Result<()> {
        let (dir, _) = self.parent(path)?;
        self.inode_mut(dir).set_opaque();
        Ok(())
    }

    /// The parents of `path` that are not there and would be made, as entries.
    pub(crate) fn missing_parents(&self, path: &[u8]) -> Vec<Entry> {
        let (mut dir, mut missing) = (Some(ROOT), Vec::new());
        for (slash, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
            let (parent, name) = split(&path[..slash]);
            match dir.map(|dir| self.child(dir, name)) {
                Some(Some(ino)) if self.inode(ino).is_dir() => dir = Some(ino),
                // A link or a whiteout: not for archives.
                Some(Some(_)) => return Vec::new(),
                Some(None) | None => {
                    dir = None;
                    missing.push(Entry::new(join(parent, name), Kind::Dir, PARENT_MODE));
                }
            }
        }
        missing
    }

    /// Calls `visit` for every name, in order, with its inode; the root only if it is opaque.
    pub(crate) fn each<E>(
        &self,
        visit: &mut dyn FnMut(Entry, Ino) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut first_names = HashMap::new();
        if matches!(self.inode(ROOT).what, What::Dir { opaque: true, .. }) {
            visit(Entry::opaque_root(), ROOT)?;
        }
        self.each_in(ROOT, b"", &mut first_names, visit)
    }

    pub(crate) fn child(&self, dir: Ino, name: &[u8]) -> Option<Ino> {
        self.children(dir).and_then(|children| children.get(name)).copied()
    }

    pub(crate) fn children(&self, dir: Ino) -> Option<&Children> {
        match &self.inode(dir).what {
            What::Dir { children, .. } => Some(children),
            _ => None,
        }
    }

    fn each_in<E>(
        &self,
        dir: Ino,
        path: &[u8],
        first_names: &mut HashMap<Ino, Vec<u8>>,
        visit: &mut dyn FnMut(Entry, Ino) -> Result<(), E>,
    ) -> Result<(), E> {
        for (name, ino) in self.children(dir).into_iter().flatten() {
            let here = join(path, name);
            let inode = self.inode(*ino);
            let mut entry = inode.entry(here.clone());
            if inode.names > 1 {
                match first_names.get(ino) {
                    Some(target) => entry.kind = Kind::HardLink { target: target.clone() },
                    None => drop(first_names.insert(*ino, here.clone())),
                }
            }
            visit(entry, *ino)?;
            self.each_in(*ino, &here, first_names, visit)?;
        }
        Ok(())
    }

    fn place(
        &mut self,
        dir: Ino,
        name: &[u8],
        entry: &Entry,
        start: u64,
    ) -> io::Result<Option<Ino>> {
        let present = self.child(dir, name);
        let mut hides = entry.kind == Kind::OpaqueDir;
        if let Some(ino) = present {
            match (&self.inode(ino).what, &entry.kind) {
                (What::Dir { .. }, Kind::Whiteout) => {
                    self.inode_mut(ino).set_opaque();
                    return Ok(Some(ino));
                }
                // The file in this layer hides what the whiteout would have deleted.
                (_, Kind::Whiteout) => return Ok(None),
                (What::Dir { .. }, Kind::Dir | Kind::OpaqueDir) => {
                    self.inode_mut(ino).dress(entry);
                    if hides {
                        self.inode_mut(ino).set_opaque();
                    }
                    return Ok(Some(ino));
                }
                (What::Whiteout, _) => hides |= entry.is_dir(),
                _ => {}
            }
            self.unlink(dir, name);
        }
        let ino = match &entry.kind {
            Kind::HardLink { target } => self.linked(target)?,
            kind => self.insert(Inode::new(What::of(kind, start), entry))?,
        };
        if hides {
            self.inode_mut(ino).set_opaque();
        }
        self.link(dir, name, ino);
        Ok(Some(ino))
    }

    fn linked(&self, target: &[u8]) -> io::Result<Ino> {
        let (parent, name) = split(target);
        let mut dirs = vec![ROOT];
        self.follow(&mut dirs, parent, &mut 0)?;
        let found = dirs.last().and_then(|dir| self.child(*dir, name));
        match found.map(|ino| (ino, &self.inode(ino).what)) {
            None | Some((_, What::Whiteout)) => Err(io::ErrorKind::NotFound.into()),
            Some((_, What::Dir { .. })) => Err(io::ErrorKind::IsADirectory.into()),
            Some((ino, _)) => Ok(ino),
        }
    }

    /// The directory at `path`, made with all its parents where nothing is yet.
    fn parent(&mut self, path: &[u8]) -> io::Result<(Ino, Taken)> {
        let (mut dirs, mut taken) = (vec![ROOT], Taken::Plainly);
        for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            let here = dirs.last().copied().unwrap_or(ROOT);
            let found = self.child(here, name);
            let what = found.map(|ino| &self.inode(ino).what);
            if let (Some(ino), Some(What::Dir { .. })) = (found, what) {
                dirs.push(ino);
                continue;
            }
            taken = Taken::Otherwise;
            match what {
                None | Some(What::Whiteout) => {
                    self.place(here, name, &Entry::new(name, Kind::Dir, PARENT_MODE), 0)?;
                    dirs.extend(self.child(here, name));
                }
                Some(What::Symlink { .. }) => self.follow(&mut dirs, name, &mut 0)?,
                Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        if dirs.len() > MAX_DEPTH {
            return Err(io::Error::other("too many folders in each other"));
        }
        Ok((dirs.last().copied().unwrap_or(ROOT), taken))
    }

    /// Walks `path` from the last of `dirs`, which then leads from the root to where it ended.
    /// `..` stays inside the root, as with a changed root.
    fn follow(&self, dirs: &mut Vec<Ino>, path: &[u8], links: &mut usize) -> io::Result<()> {
        for name in path.split(|b| *b == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => {
                    dirs.truncate((dirs.len() - 1).max(1));
                    continue;
                }
                _ => {}
            }
            let here = dirs.last().copied().unwrap_or(ROOT);
            let ino = self.child(here, name).ok_or(io::ErrorKind::NotADirectory)?;
            match &self.inode(ino).what {
                What::Dir { .. } => dirs.push(ino),
                What::Symlink { target } => {
                    *links += 1;
                    if *links > MAX_LINKS {
                        return Err(io::Error::other("too many levels of symbolic links"));
                    }
                    if target.starts_with(b"/") {
                        dirs.truncate(1);
                    }
                    self.follow(dirs, target, links)?;
                }
                _ => return Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        Ok(())
    }

    fn inode_mut(&mut self, ino: Ino) -> &mut Inode {
        &mut self.inodes[ino as usize]
    }

    fn insert(&mut self, inode: Inode) -> io::Result<Ino> {
        let ino = Ino::try_from(self.inodes.len()).map_err(io::Error::other)?;
        self.inodes.push(inode);
        Ok(ino)
    }

    fn link(&mut self, dir: Ino, name: &[u8], ino: Ino) {
        self.inode_mut(ino).names += 1;
        if let What::Dir { children, .. } = &mut self.inode_mut(dir).what {
            children.insert(name.into(), ino);
        }
    }

    /// Takes a name away, and with a directory all below it.
    fn unlink(&mut self, dir: Ino, name: &[u8]) {
        let What::Dir { children, .. } = &mut self.inode_mut(dir).what else { return };
        let Some(ino) = children.remove(name) else { return };
        self.inode_mut(ino).names -= 1;
        let below: Vec<Box<[u8]>> =
            self.children(ino).into_iter().flatten().map(|(n, _)| n.clone()).collect();
        for name in below {
            self.unlink(ino, &name);
        }
    }
}

impl Inode {
    fn dir(mode: u32) -> Inode {
        Inode::new(What::of(&Kind::Dir, 0), &Entry::new("", Kind::Dir, mode))
    }

    fn new(what: What, entry: &Entry) -> Inode {
        let (mode, xattrs) = (0, Vec::new());
        let mut inode = Inode { what, mode, uid: 0, gid: 0, mtime: (0, 0), xattrs, names: 0 };
        if entry.kind != Kind::Whiteout {
            inode.dress(entry);
        }
        inode
    }

    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.what, What::Dir { .. })
    }

    /// Takes over an entry's attributes. Those of an earlier entry for the same directory which
    /// this one does not have stay, as they do on disk.
    fn dress(&mut self, entry: &Entry) {
        self.mode = entry.mode & 0o7777;
        (self.uid, self.gid, self.mtime) = (entry.uid, entry.gid, entry.mtime);
        let mut xattrs: BTreeMap<_, _> = self.xattrs.drain(..).collect();
        let kept = entry.xattrs.iter().filter(|(name, _)| keeps_xattr(name));
        xattrs.extend(kept.cloned());
        self.xattrs = xattrs.into_iter().collect();
        if matches!(self.what, What::Symlink { .. }) {
            self.mode = 0o777;
        }
    }

    fn set_opaque(&mut self) {
        if let What::Dir { opaque, .. } = &mut self.what {
            *opaque = true;
        }
    }

    /// The inode as an entry at `path`.
    pub(crate) fn entry(&self, path: Vec<u8>) -> Entry {
        let kind = match &self.what {
            What::Dir { opaque: false, .. } => Kind::Dir,
            What::Dir { opaque: true, .. } => Kind::OpaqueDir,
            What::File { size, .. } => Kind::File { size: *size },
            What::Symlink { target } => Kind::Symlink { target: target.clone() },
            What::Char { major, minor } => Kind::Char { major: *major, minor: *minor },
            What::Block { major, minor } => Kind::Block { major: *major, minor: *minor },
            What::Fifo => Kind::Fifo,
            What::Whiteout => Kind::Whiteout,
        };
        let (mode, uid, gid, mtime) = (self.mode, self.uid, self.gid, self.mtime);
        Entry { path, kind, mode, uid, gid, mtime, xattrs: self.xattrs.clone() }
    }
}

impl What {
    /// A hard link has no substance of its own and does not come here.
    fn of(kind: &Kind, start: u64) -> What {
        match kind {
            Kind::Dir | Kind::OpaqueDir => What::Dir { children: BTreeMap::new(), opaque: false },
            Kind::File { size } => What::File { size: *size, start },
            Kind::Symlink { target } => What::Symlink { target: target.clone() },
            Kind::Char { major, minor } => What::Char { major: *major, minor: *minor },
            Kind::Block { major, minor } => What::Block { major: *major, minor: *minor },
            Kind::Fifo => What::Fifo,
            Kind::Whiteout | Kind::HardLink { .. } => What::Whiteout,
        }
    }
}
