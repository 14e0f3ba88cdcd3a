//! The only system calls of the tree: all of them on paths beneath one descriptor.
//!
//! Paths that come in here have no links in them, which the kernel checks again: a directory that
//! is swapped for a link while we look gives an error, never a file from elsewhere.

use std::ffi::OsStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

use super::node::{Node, Xattrs};
use crate::layer::keeps_xattr;

/// The directory that everything is beneath.
pub(super) struct Root {
    pub(super) path: PathBuf,
    directory: OwnedFd,
}

/// The names in a directory, sorted.
pub(super) struct Names {
    /// All of them behind each other, in any order.
    pub(super) text: Vec<u8>,
    pub(super) each: Vec<Name>,
}

/// A name in a directory, and what the directory says of its type.
pub(super) struct Name {
    pub(super) span: Span,
    pub(super) file_type: FileType,
}

/// Where a name is in the text of a directory's names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    length: u16,
}

/// A directory that is open for reading.
pub(super) struct OpenDir(OwnedFd);

impl Root {
    pub(super) fn open(path: &Path) -> Result<Root, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::open(path, flags, Mode::empty())?;
        Ok(Root { path: path.to_owned(), directory })
    }

    /// Opens a directory; the empty path is the root itself.
    pub(super) fn directory(&self, path: &[u8]) -> Result<OpenDir, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        self.beneath(path, OFlags::RDONLY | OFlags::DIRECTORY).map(OpenDir)
    }

    /// Opens anything, but not for reading; the empty path is the root itself.
    pub(super) fn handle(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.beneath(if path.is_empty() { b"." } else { path }, OFlags::PATH)
    }

    /// Opens a regular file. What turned into something else meanwhile is never waited for.
    pub(super) fn file(&self, path: &[u8]) -> Result<File, Errno> {
        self.beneath(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map(File::from)
    }

    /// What is at `path`; nothing if there is nothing.
    pub(super) fn node(&self, path: &[u8]) -> Result<Option<Node>, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let found = self.beneath(path, OFlags::PATH | OFlags::NOFOLLOW).and_then(|fd| {
            let target = || fs::readlinkat(&fd, c"", Vec::new()).map(|text| text.into_bytes());
            Node::new(&fs::fstat(&fd)?, target)
        });
        absent_is_none(found)
    }

    /// The path for people.
    pub(super) fn absolute(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    fn beneath(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            match fs::openat2(&self.directory, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return done,
            }
        }
    }
}

impl Span {
    /// That of `name`, once it is added to `text`.
    fn next(text: &[u8], name: &[u8]) -> Result<Span, Errno> {
        let start = u32::try_from(text.len()).map_err(|_| Errno::OVERFLOW)?;
        let length = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
        Ok(Span { start, length })
    }

    /// The name in `text`.
    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..][..usize::from(self.length)]
    }
}

impl OpenDir {
    /// All names without `.` and `..`.
    pub(super) fn names(&self) -> Result<Names, Errno> {
        let mut buffer = Vec::with_capacity(32 * 1024);
        let space: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
        let mut entries = RawDir::new(&self.0, space);
        let (mut text, mut each) = (Vec::new(), Vec::new());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let span = Span::next(&text, name)?;
                text.extend(name);
                each.push(Name { span, file_type: entry.file_type() });
            }
        }
        each.sort_unstable_by(|a: &Name, b| a.span.of(&text).cmp(b.span.of(&text)));
        Ok(Names { text, each })
    }

    /// What `name` is; nothing if it vanished.
    pub(super) fn node(&self, name: &[u8]) -> Result<Option<Node>, Errno> {
        let found = fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).and_then(|stat| {
            Node::new(&stat, || {
                fs::readlinkat(&self.0, name, Vec::new()).map(|text| text.into_bytes())
            })
        });
        absent_is_none(found)
    }

    pub(super) fn xattrs(&self) -> Result<Xattrs, Errno> {
        xattrs(&self.0)
    }
}

/// The extended attributes that a layer keeps. The others belong to the machine.
pub(super) fn xattrs(file: impl AsFd) -> Result<Xattrs, Errno> {
    let names = match sized(|space| fs::flistxattr(&file, space)) {
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Xattrs::new()),
        names => names?,
    };
    let mut found = Xattrs::new();
    for name in names.split(|byte| *byte == 0).filter(|name| keeps_xattr(name)) {
        match sized(|space| fs::fgetxattr(&file, name, space)) {
            Err(Errno::NODATA) => {}
            value => found.push((name.to_vec(), value?)),
        }
    }
    found.sort();
    Ok(found)
}

/// Calls until the answer fits; most answers are empty or short.
fn sized(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut space = vec![0; 256];
    loop {
        match read(&mut space) {
            Ok(length) => {
                space.truncate(length);
                return Ok(space);
            }
            Err(Errno::RANGE) if space.len() < 1 << 17 => space.resize(space.len() * 8, 0),
            Err(error) => return Err(error),
        }
    }
}

fn absent_is_none(found: Result<Node, Errno>) -> Result<Option<Node>, Errno> {
    match found {
        Ok(node) => Ok(Some(node)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}
