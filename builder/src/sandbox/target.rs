//! Paths that an image chose: opened inside its root, and made where a mount needs them.
//!
//! Every such path goes through `openat2` with `RESOLVE_IN_ROOT`: absolute links and `..` stay
//! inside the root and the links of `/proc/*/fd` are refused, also when a process beside swaps
//! a directory for a link meanwhile. What comes out is a descriptor, and mounts are made on it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::error::{Doing, Failure};
use super::wire::{self, Report, Stub};

/// What a mount point has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For a directory.
    Directory,
    /// For anything else.
    File,
}

/// Opens `path` inside `root`. Links are followed, but not out of it.
pub fn open_in(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC;
    // The kernel gives up with EAGAIN when a rename elsewhere happened at the wrong moment.
    for _ in 0..64 {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// The mount point at `path`. Made if it is missing, and then reported for removal.
pub fn mount_point(
    root: BorrowedFd<'_>,
    path: &str,
    kind: Kind,
    report: &OwnedFd,
) -> Result<OwnedFd, Failure> {
    match open_in(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => make(root, path, kind, report),
        found => found.doing(|| format!("open the mount point `{path}`")),
    }
}

/// Walks down from the root and makes what is missing.
fn make(
    root: BorrowedFd<'_>,
    path: &str,
    kind: Kind,
    report: &OwnedFd,
) -> Result<OwnedFd, Failure> {
    let names: Vec<&str> = path.split('/').filter(|n| !n.is_empty() && *n != ".").collect();
    let mut parent = open_in(root, "/", OFlags::RDONLY | OFlags::DIRECTORY)
        .doing(|| "open the root directory")?;
    for (depth, name) in names.iter().enumerate() {
        let so_far = names[..=depth].join("/");
        let last = depth + 1 == names.len();
        let kind = if last { kind } else { Kind::Directory };
        let flags = if last { OFlags::PATH } else { OFlags::RDONLY | OFlags::DIRECTORY };
        let opened = match open_in(root, &so_far, flags) {
            Err(Errno::NOENT) => make_one(parent.as_fd(), name, kind, report).and_then(|made| {
                if made { open_in(root, &so_far, flags) } else { over(&parent, name) }
            }),
            found => found,
        };
        parent = opened.doing(|| format!("make the mount point `/{so_far}`"))?;
    }
    Ok(parent)
}

/// The directory at `path`, made if it is missing, and those above it too. It stays.
pub fn directory(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut so_far = String::new();
    let mut parent = open_in(root, "/", flags)?;
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        so_far.extend(["/", name]);
        parent = match open_in(root, &so_far, flags) {
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                open_in(root, &so_far, flags)?
            }
            found => found?,
        };
    }
    Ok(parent)
}

/// Makes one name. False if there is one that leads nowhere: a dangling link.
fn make_one(
    parent: BorrowedFd<'_>,
    name: &str,
    kind: Kind,
    report: &OwnedFd,
) -> Result<bool, Errno> {
    let before = rustix::fs::fstat(parent)?;
    let made = match kind {
        Kind::Directory => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            rustix::fs::mknodat(parent, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0)
        }
    };
    match made {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(false),
        Err(errno) => return Err(errno),
    }
    let stub = Stub {
        name: name.into(),
        directory: kind == Kind::Directory,
        times: [
            (before.st_atime, before.st_atime_nsec as i64),
            (before.st_mtime, before.st_mtime_nsec as i64),
        ],
    };
    wire::report(report, &Report::Stub(stub), &[parent])?;
    Ok(true)
}

/// A link that leads nowhere is covered itself: `/etc/resolv.conf` of images made for systemd.
fn over(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Removes what [`mount_point`] made, the last first, and gives the parents their times back.
pub fn remove_stubs(stubs: Vec<(Stub, OwnedFd)>) {
    for (stub, parent) in stubs.into_iter().rev() {
        let flags = if stub.directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        // A directory in which the step has put something is the step's now.
        if rustix::fs::unlinkat(&parent, &stub.name, flags).is_err() {
            continue;
        }
        let [access, modification] = stub.times;
        let time = |(tv_sec, tv_nsec)| rustix::fs::Timespec { tv_sec, tv_nsec };
        let times = rustix::fs::Timestamps {
            last_access: time(access),
            last_modification: time(modification),
        };
        let _ = rustix::fs::futimens(parent.as_fd(), &times);
    }
}
