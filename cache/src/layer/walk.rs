//! Reading a layer that is a directory: its entries in order, overlayfs's marks turned into kinds.
//!
//! Sockets are left out: no archive can hold them. A file with several names is a file at the first
//! and a hard link at the others.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::entry::{Entry, Kind, join, shown};
use super::error::ReadError;
use super::marks::{self, Attributes, Rights};
use super::source::Body;
use crate::fs::FsError;

/// What is known while walking one layer.
struct Walk<'a> {
    root: &'a Path,
    rights: Rights,
    /// The first name of every file that has more.
    links: HashMap<(u64, u64), Vec<u8>>,
    visit: &'a mut dyn FnMut(Entry, Option<Body>) -> Result<(), ReadError>,
}

/// Calls `visit` for every entry below `root`, which nobody writes to any more: a layer's directory,
/// or a mounted stack of layers. A file comes with its data.
pub(crate) fn walk(
    root: &Path,
    rights: Rights,
    visit: &mut dyn FnMut(Entry, Option<Body>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let top = open_dir(CWD, root.as_os_str().as_encoded_bytes())
        .map_err(|error| FsError::new("open", root, error))?;
    let mut walk = Walk { root, rights, links: HashMap::new(), visit };
    walk.top(&top)?;
    walk.dir(&top, b"")
}

impl Walk<'_> {
    /// Of the root only its mark is an entry.
    fn top(&mut self, top: &OwnedFd) -> Result<(), ReadError> {
        let found = marks::read(top.as_fd(), b"", self.rights);
        match found.map_err(self.failed("examine", b""))?.opaque {
            true => (self.visit)(Entry::opaque_root(), None),
            false => Ok(()),
        }
    }

    fn dir(&mut self, dir: &OwnedFd, path: &[u8]) -> Result<(), ReadError> {
        for name in names(dir).map_err(self.failed("read", path))? {
            let here = join(path, &name);
            let stat = match rustix::fs::statat(dir, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                // Overlayfs lists a whiteout by name where no lower layer has the directory.
                Err(Errno::NOENT) => continue,
                done => done.map_err(|error| self.failed("examine", &here)(error.into()))?,
            };
            let Some((entry, body)) = self.entry(dir.as_fd(), &name, &here, &stat)? else {
                continue;
            };
            entry.check()?;
            let down = entry.is_dir();
            (self.visit)(entry, body)?;
            if down {
                let inner = open_dir(dir.as_fd(), &name)
                    .map_err(|error| self.failed("open", &here)(error.into()))?;
                self.dir(&inner, &here)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> Result<Option<(Entry, Option<Body>)>, ReadError> {
        let Some(kind) = kind(dir, name, stat).map_err(self.failed("read", path))? else {
            return Ok(None);
        };
        if kind == Kind::Whiteout {
            return Ok(Some((Entry::whiteout(path), None)));
        }
        let found = marks::read(dir, name, self.rights).map_err(self.failed("examine", path))?;
        let kind = match kind {
            Kind::Dir if found.opaque => Kind::OpaqueDir,
            Kind::Dir => Kind::Dir,
            kind => self.first_name(kind, stat, path),
        };
        let body = match kind {
            Kind::File { .. } => Some(open(dir, name).map_err(self.failed("open", path))?),
            _ => None,
        };
        Ok(Some((described(path, kind, stat, found), body)))
    }

    fn first_name(&mut self, kind: Kind, stat: &Stat, path: &[u8]) -> Kind {
        if stat.st_nlink < 2 {
            return kind;
        }
        // In a merged tree two layers may use the same number for different files.
        let file = (stat.st_dev, stat.st_ino);
        if let Some(target) = self.links.get(&file) {
            return Kind::HardLink { target: target.clone() };
        }
        self.links.insert(file, path.to_vec());
        kind
    }

    fn failed(&self, verb: &'static str, path: &[u8]) -> impl Fn(std::io::Error) -> ReadError {
        let path = self.root.join(shown(path));
        move |error| FsError::new(verb, &path, error).into()
    }
}

/// The entry of a file on disk.
pub(super) fn described(path: &[u8], kind: Kind, stat: &Stat, found: Attributes) -> Entry {
    let (uid, gid) = found.owner.unwrap_or((stat.st_uid, stat.st_gid));
    Entry {
        path: path.to_vec(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid,
        gid,
        mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
        xattrs: found.kept,
    }
}

/// What a file on disk is in a layer; nothing for a socket.
fn kind(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> std::io::Result<Option<Kind>> {
    let major = rustix::fs::major(stat.st_rdev);
    let minor = rustix::fs::minor(stat.st_rdev);
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Dir,
        FileType::RegularFile => Kind::File { size: stat.st_size as u64 },
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
            Kind::Symlink { target: target.into_bytes() }
        }
        FileType::CharacterDevice if stat.st_rdev == 0 => Kind::Whiteout,
        FileType::CharacterDevice => Kind::Char { major, minor },
        FileType::BlockDevice => Kind::Block { major, minor },
        FileType::Fifo => Kind::Fifo,
        FileType::Socket | FileType::Unknown => return Ok(None),
    }))
}

fn names(dir: &OwnedFd) -> std::io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for item in rustix::fs::Dir::read_from(dir)? {
        let item = item?;
        let name = item.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn open(dir: BorrowedFd<'_>, name: &[u8]) -> std::io::Result<Body> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?);
    Ok(Body { file: Arc::new(file), offset: 0 })
}

fn open_dir(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}
