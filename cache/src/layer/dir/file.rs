//! A regular file of a layer in directory form.
//!
//! Nearly every entry is one, so it takes as few calls as it can: what is there already is noticed
//! by making it, and what a new file has anyway is not set again.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, StatVfs};
use rustix::io::Errno;

use super::super::archive;
use super::super::entry::{Entry, Kind};
use super::super::marks;
use super::{DirWriter, timestamps};

/// A file of so many bytes is not begun if the disk has no room for it; smaller ones are not worth
/// the question.
const LARGE: u64 = 64 << 20;

impl DirWriter {
    /// Makes a file with all that it has. Does nothing, and says so, if something is there or the
    /// entry is no file.
    pub(super) fn new_file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        data: &mut dyn Read,
    ) -> io::Result<bool> {
        let Kind::File { size } = entry.kind else { return Ok(false) };
        room(size, || rustix::fs::fstatvfs(dir))?;
        let Some(mut file) = create(dir, name, entry.mode)? else { return Ok(false) };
        archive::copy_exactly(data, size, &mut file, &mut self.buffer)?;
        let new = rustix::fs::fstat(&file)?;
        if (new.st_uid, new.st_gid) != (entry.uid, entry.gid) {
            self.chown(dir, name, entry.uid, entry.gid)?;
        }
        // After the owner, since that clears set-id bits; a new file has none.
        if new.st_mode & 0o7777 != entry.mode & 0o7777 {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode & 0o7777))?;
        }
        marks::write(dir, name, &entry.xattrs)?;
        rustix::fs::futimens(&file, &timestamps(entry.mtime))?;
        Ok(true)
    }
}

/// An empty file; none if something is there.
fn create(dir: BorrowedFd<'_>, name: &[u8], mode: u32) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(mode & 0o777)) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::EXIST) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a file that the disk has no room for before it fills the disk: what an archive says of a
/// file is not what it holds. The disk is only asked for a large one.
pub(crate) fn room(
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
