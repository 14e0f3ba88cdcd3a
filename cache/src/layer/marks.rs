//! The marks that files on disk carry: overlayfs's own, and rbuild's for owners it cannot set.
//!
//! Everything here works on a name in an open directory and never follows a link.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::entry::keeps_xattr;

/// Where a file's real `uid:gid` is kept when the process may not give it away.
const OWNER: &str = "user.rbuild.owner";

/// Whether this process can make files belong to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Root of the host: every owner, devices, `trusted.*` marks.
    Host,
    /// Root of a user namespace: the ids that are mapped, no devices, `user.*` marks.
    Namespace,
}

impl Rights {
    /// The rights of this process, from the shape of its id map.
    pub(crate) fn detect() -> Rights {
        let whole = |map: String| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
        match std::fs::read_to_string("/proc/self/uid_map").map(whole) {
            Ok(false) => Rights::Namespace,
            // Without the file there are no user namespaces.
            Ok(true) | Err(_) => Rights::Host,
        }
    }

    /// The attribute by which overlayfs knows an opaque directory. In a user namespace it must be
    /// mounted with `userxattr`.
    pub(crate) fn opaque_mark(self) -> &'static str {
        match self {
            Rights::Host => "trusted.overlay.opaque",
            Rights::Namespace => "user.overlay.opaque",
        }
    }
}

/// What the attributes of one file say.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    /// Those that belong to the image, sorted by name.
    pub(crate) kept: Vec<(Vec<u8>, Vec<u8>)>,
    /// The directory hides what is below it.
    pub(crate) opaque: bool,
    /// The owner to report instead of the one on disk.
    pub(crate) owner: Option<(u32, u32)>,
}

/// The attributes of `name` in `dir`.
pub(crate) fn read(dir: BorrowedFd<'_>, name: &[u8], rights: Rights) -> io::Result<Attributes> {
    let path = proc_path(dir, name)?;
    let mut found = Attributes::default();
    for name in list(&path)?.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        if keeps_xattr(name) {
            found.kept.push((name.to_vec(), value(&path, name)?));
        } else if name == rights.opaque_mark().as_bytes() {
            found.opaque = value(&path, name)? == b"y";
        } else if name == OWNER.as_bytes() && rights == Rights::Namespace {
            found.owner = parse_owner(&value(&path, name)?);
        }
    }
    found.kept.sort();
    Ok(found)
}

/// Sets the attributes that a layer keeps. One that the disk or the namespace does not take is left
/// out, as container engines do: an image must not fail on a host without it.
pub(crate) fn write(
    dir: BorrowedFd<'_>,
    name: &[u8],
    xattrs: &[(Vec<u8>, Vec<u8>)],
) -> io::Result<()> {
    if xattrs.is_empty() {
        return Ok(());
    }
    let path = proc_path(dir, name)?;
    for (key, value) in xattrs.iter().filter(|(key, _)| keeps_xattr(key)) {
        match rustix::fs::lsetxattr(&path, key.as_slice(), value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Marks the directory `name` in `dir` as opaque.
pub(crate) fn set_opaque(dir: BorrowedFd<'_>, name: &[u8], rights: Rights) -> io::Result<()> {
    let path = proc_path(dir, name)?;
    Ok(rustix::fs::lsetxattr(&path, rights.opaque_mark(), b"y", XattrFlags::empty())?)
}

/// Notes the owner that could not be given. Linux allows that on files and directories only: on
/// anything else the owner is lost.
pub(crate) fn note_owner(dir: BorrowedFd<'_>, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    let path = proc_path(dir, name)?;
    let text = format!("{uid}:{gid}");
    match rustix::fs::lsetxattr(&path, OWNER, text.as_bytes(), XattrFlags::empty()) {
        Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Linux has no calls for attributes of a name in a directory; this path is one. The last part is
/// not followed by the `l` calls, and a `.` stands for the directory itself.
fn proc_path(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<CString> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
    CString::new(path).map_err(io::Error::other)
}

fn list(path: &CString) -> io::Result<Vec<u8>> {
    grow(|buffer| rustix::fs::llistxattr(path, buffer))
}

fn value(path: &CString, name: &[u8]) -> io::Result<Vec<u8>> {
    grow(|buffer| rustix::fs::lgetxattr(path, name, buffer))
}

/// Calls with a larger buffer until the answer fits; the kernel's own limit is 64 KiB.
fn grow(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut small = [0; 256];
    match call(&mut small) {
        Ok(length) => return Ok(small[..length].to_vec()),
        Err(Errno::OPNOTSUPP | Errno::NODATA) => return Ok(Vec::new()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error.into()),
    }
    let mut large = vec![0; 64 * 1024];
    let length = call(&mut large)?;
    large.truncate(length);
    Ok(large)
}

fn parse_owner(text: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}
