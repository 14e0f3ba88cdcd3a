//! Writing a layer as a plain directory that overlayfs takes as it is.
//!
//! Every path is resolved by the kernel inside the layer's root (`openat2` with `RESOLVE_IN_ROOT`),
//! so that no entry, link or order of entries reaches anything outside. A link that the layer itself
//! made may be a parent of a later entry: it leads to where it would lead in the image.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, StatVfs, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;

use super::archive;
use super::entry::{Entry, Kind, join, split};
use super::marks::{self, Rights};
use crate::fs::{self, FsError};

/// What is made for a parent that no entry describes.
const PARENT_MODE: u32 = 0o755;

/// A file of so many bytes is not begun if the disk has no room for it; smaller ones are not worth
/// the question.
const LARGE: u64 = 64 << 20;

/// Writes entries below one directory.
#[derive(Debug)]
pub(crate) struct DirWriter {
    root: OwnedFd,
    rights: Rights,
    /// The directory of the last entry: its neighbours usually follow.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Times of directories by inode, set at the end because writing into a directory changes them.
    /// The path is how to get there without a link, unless something else has come there since.
    times: HashMap<u64, (Vec<u8>, (i64, u32))>,
    /// Whether paths may lead through links.
    linked: bool,
    buffer: Vec<u8>,
}

/// What an entry finds at its path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Present {
    Nothing,
    Whiteout,
    Dir,
    Other,
}

/// What an entry did to those before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placed {
    /// Nothing.
    Beside,
    /// It replaced one, which may have been on the way to a remembered directory.
    Instead,
}

impl DirWriter {
    /// Writes below a new directory `root`.
    pub(crate) fn create(root: &Path, rights: Rights) -> Result<DirWriter, FsError> {
        fs::create_dir(root)?;
        DirWriter::open(root, rights).map_err(|cause| FsError::new("open", root, cause))
    }

    /// Writes below a directory that is there, and makes it look as a new one.
    pub(super) fn open(root: &Path, rights: Rights) -> io::Result<DirWriter> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        let mut writer = DirWriter {
            root,
            rights,
            parent: None,
            times: HashMap::new(),
            linked: false,
            buffer: Vec::new(),
        };
        writer.root_attributes(&Entry::new("", Kind::Dir, PARENT_MODE))?;
        Ok(writer)
    }

    /// Adds one checked entry; it replaces what an earlier one left at its path.
    pub(crate) fn add(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        if entry.path.is_empty() {
            return self.root_attributes(entry);
        }
        let (parent, name) = split(&entry.path);
        let dir = self.parent(parent)?;
        let parent = (parent.to_vec(), dir);
        if self.place(parent.1.as_fd(), name, entry, data)? == Placed::Beside {
            self.parent = Some(parent);
        }
        Ok(())
    }

    /// Gives the file `name` in `dir`, of whatever kind, a second name `path`.
    pub(super) fn adopt(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> io::Result<()> {
        let (parent, new_name) = split(path);
        let to = self.parent(parent)?;
        rustix::fs::linkat(dir, name, &to, new_name, AtFlags::empty())?;
        self.parent = Some((parent.to_vec(), to));
        Ok(())
    }

    /// Makes the directory at `path` hide what lower layers have there.
    pub(crate) fn opaque(&mut self, path: &[u8]) -> io::Result<()> {
        let dir = self.parent(path)?;
        marks::set_opaque(dir.as_fd(), b"", self.rights)
    }

    /// Sets the directories' times.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        for (ino, (path, mtime)) in std::mem::take(&mut self.times) {
            let dir = match self.open_dir(&path) {
                // A later entry took the directory away.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                done => done?,
            };
            if rustix::fs::fstat(&dir)?.st_ino == ino {
                rustix::fs::futimens(dir, &timestamps(mtime))?;
            }
        }
        Ok(())
    }

    fn root_attributes(&mut self, entry: &Entry) -> io::Result<()> {
        let root = self.root.try_clone()?;
        self.attributes(root.as_fd(), b"", entry)?;
        if entry.kind == Kind::OpaqueDir {
            self.opaque(b"")?;
        }
        Ok(())
    }

    fn place(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        data: &mut dyn Read,
    ) -> io::Result<Placed> {
        let (present, mut placed) = (present(dir, name)?, Placed::Beside);
        let mut hides = entry.kind == Kind::OpaqueDir;
        match (&entry.kind, present) {
            // The file in this layer hides what the whiteout would have deleted.
            (Kind::Whiteout, Present::Other | Present::Whiteout) => return Ok(placed),
            (Kind::Whiteout, Present::Dir) => {
                marks::set_opaque(dir, name, self.rights)?;
                return Ok(placed);
            }
            (Kind::Dir | Kind::OpaqueDir, Present::Dir) => {}
            (_, Present::Nothing) => self.make(dir, name, entry, data)?,
            (_, present) => {
                hides |= present == Present::Whiteout && entry.is_dir();
                self.remove(dir, name, present)?;
                self.make(dir, name, entry, data)?;
                placed = Placed::Instead;
            }
        }
        self.attributes(dir, name, entry)?;
        if hides {
            marks::set_opaque(dir, name, self.rights)?;
        }
        Ok(placed)
    }

    fn make(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        data: &mut dyn Read,
    ) -> io::Result<()> {
        match &entry.kind {
            Kind::Dir | Kind::OpaqueDir => rustix::fs::mkdirat(dir, name, Mode::RWXU)?,
            Kind::File { size } => self.write_file(dir, name, *size, data)?,
            Kind::Symlink { target } => {
                self.linked = true;
                rustix::fs::symlinkat(target.as_slice(), dir, name)?;
            }
            Kind::HardLink { target } => self.link(dir, name, target)?,
            Kind::Char { major, minor } => {
                self.device(dir, name, FileType::CharacterDevice, *major, *minor)?;
            }
            Kind::Block { major, minor } => {
                self.device(dir, name, FileType::BlockDevice, *major, *minor)?;
            }
            Kind::Fifo => rustix::fs::mknodat(dir, name, FileType::Fifo, Mode::RUSR, 0)?,
            Kind::Whiteout => self.device(dir, name, FileType::CharacterDevice, 0, 0)?,
        }
        Ok(())
    }

    fn write_file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        size: u64,
        data: &mut dyn Read,
    ) -> io::Result<()> {
        room(size, || rustix::fs::fstatvfs(dir))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(dir, name, flags, mode)?);
        archive::copy_exactly(data, size, &mut file, &mut self.buffer)
    }

    /// A device of the host cannot be made in a user namespace, and a step there could not use it:
    /// it is left out. Device 0:0 is overlayfs's whiteout and allowed to everybody.
    fn device(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        kind: FileType,
        major: u32,
        minor: u32,
    ) -> io::Result<()> {
        let device = rustix::fs::makedev(major, minor);
        match rustix::fs::mknodat(dir, name, kind, Mode::empty(), device) {
            Err(Errno::PERM) if self.rights == Rights::Namespace => Ok(()),
            done => Ok(done?),
        }
    }

    fn link(&mut self, dir: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> io::Result<()> {
        let (parent, last) = split(target);
        let from = self.open_dir(parent)?;
        match present(from.as_fd(), last)? {
            Present::Nothing | Present::Whiteout => Err(io::ErrorKind::NotFound.into()),
            Present::Dir => Err(io::ErrorKind::IsADirectory.into()),
            Present::Other => Ok(rustix::fs::linkat(from, last, dir, name, AtFlags::empty())?),
        }
    }

    /// Owner, mode, attributes, time: in this order, since a change of owner clears set-id bits and
    /// capabilities. A hard link shares its target's, a whiteout has none.
    fn attributes(&mut self, dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> io::Result<()> {
        match entry.kind {
            Kind::HardLink { .. } | Kind::Whiteout => return Ok(()),
            Kind::Char { .. } | Kind::Block { .. } if present(dir, name)? == Present::Nothing => {
                return Ok(());
            }
            _ => {}
        }
        self.chown(dir, name, entry.uid, entry.gid)?;
        if !matches!(entry.kind, Kind::Symlink { .. }) {
            let name = if name.is_empty() { b"." } else { name };
            let mode = Mode::from_raw_mode(entry.mode & 0o7777);
            rustix::fs::chmodat(dir, name, mode, AtFlags::empty())?;
        }
        marks::write(dir, name, &entry.xattrs)?;
        if entry.is_dir() {
            let stat =
                rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)?;
            let path = if self.linked { self.real_path(dir, name)? } else { entry.path.clone() };
            self.times.insert(stat.st_ino, (path, entry.mtime));
            return Ok(());
        }
        let times = timestamps(entry.mtime);
        Ok(rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The path of `name` in `dir` from the root, as the kernel knows it.
    fn real_path(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
        let [root, dir] = [self.root.as_fd(), dir].map(|dir| {
            rustix::fs::readlink(format!("/proc/self/fd/{}", dir.as_raw_fd()), Vec::new())
        });
        let (root, dir) = (root?.into_bytes(), dir?.into_bytes());
        let below = dir.strip_prefix(root.as_slice()).unwrap_or_default();
        Ok(join(below.strip_prefix(b"/").unwrap_or_default(), name))
    }

    fn chown(&self, dir: BorrowedFd<'_>, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        let ids = (Uid::from_raw(uid), Gid::from_raw(gid));
        match rustix::fs::chownat(dir, name, Some(ids.0), Some(ids.1), flags) {
            Err(Errno::INVAL | Errno::PERM) if self.rights == Rights::Namespace => {
                marks::note_owner(dir, name, uid, gid)
            }
            done => Ok(done?),
        }
    }

    /// The directory at `path`, made with all its parents where nothing is yet. The cached one is
    /// taken out; `add` puts it back.
    fn parent(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        if let Some((cached, dir)) = self.parent.take()
            && cached == path
        {
            return Ok(dir);
        }
        match self.open_dir(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_dirs(path),
            done => Ok(done?),
        }
    }

    fn make_dirs(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut here = Vec::new();
        let mut dir = self.root.try_clone()?;
        for name in path.split(|b| *b == b'/') {
            here = join(&here, name);
            dir = match self.open_dir(&here) {
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    self.make_dir(dir.as_fd(), name, &here)?;
                    self.open_dir(&here)?
                }
                done => done?,
            };
        }
        Ok(dir)
    }

    /// A parent that nothing describes. Over a whiteout it hides what the whiteout deleted.
    fn make_dir(&mut self, dir: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> io::Result<()> {
        let over_whiteout = present(dir, name)? == Present::Whiteout;
        if over_whiteout {
            rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
        }
        rustix::fs::mkdirat(dir, name, Mode::RWXU).map_err(|error| match error {
            // A file, or a link that leads nowhere.
            Errno::EXIST => Errno::NOTDIR,
            error => error,
        })?;
        self.attributes(dir, name, &Entry::new(path, Kind::Dir, PARENT_MODE))?;
        if over_whiteout { marks::set_opaque(dir, name, self.rights) } else { Ok(()) }
    }

    fn open_dir(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path: &[u8] = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    /// Takes away what a later entry replaces.
    fn remove(&mut self, dir: BorrowedFd<'_>, name: &[u8], present: Present) -> io::Result<()> {
        if present == Present::Dir {
            remove_tree(dir, name)
        } else {
            Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
        }
    }
}

/// Refuses a file that the disk has no room for before it fills the disk: what an archive says of a
/// file is not what it holds. The disk is only asked for a large one.
pub(super) fn room(
    size: u64,
    disk: impl FnOnce() -> rustix::io::Result<StatVfs>,
) -> io::Result<()> {
    if size < LARGE {
        return Ok(());
    }
    let disk = disk()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if size <= free {
        return Ok(());
    }
    let message = format!("it has {size} bytes, and the disk has room for {free}");
    Err(io::Error::new(io::ErrorKind::StorageFull, message))
}

fn present(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Present> {
    let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(Present::Nothing),
        done => done?,
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Present::Dir,
        FileType::CharacterDevice if stat.st_rdev == 0 => Present::Whiteout,
        _ => Present::Other,
    })
}

/// Removes a directory with everything in it, link by link, never through one.
fn remove_tree(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    for item in rustix::fs::Dir::read_from(&inner)? {
        let item = item?;
        let name = item.file_name().to_bytes();
        match name {
            b"." | b".." => {}
            name if present(inner.as_fd(), name)? == Present::Dir => {
                remove_tree(inner.as_fd(), name)?;
            }
            name => rustix::fs::unlinkat(&inner, name, AtFlags::empty())?,
        }
    }
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

fn timestamps((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
    Timestamps { last_access: time, last_modification: time }
}
