//! Archives as build contexts: unpacked into a folder of the store, plain or compressed with what
//! `sniff` knows.
//!
//! The folder's writer reaches nothing outside of the folder, whatever names and links say. Names
//! that lead out are refused all the same, and what is too large or too much ends early, before
//! the disk is full. Devices and pipes are left out: nobody copies them from a context.

use std::io::{self, Read};

use rbuild_cache::FolderWriter;
use rbuild_cache::layer::{Entry, Kind, WriteError};

use super::limits::{BYTES, Limits};
use super::sniff::Compression;
use crate::worker::copy::unpack::member::{Content, Member};

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is damaged, or holds what it must not.
    #[error("the archive cannot be unpacked: {0}")]
    Unsound(String),
    /// It holds more bytes than anybody wants.
    #[error("the archive has more than {0} bytes; {BYTES} sets the limit")]
    Large(u64),
    /// It holds more files than anybody wants.
    #[error("the archive has more than {0} files")]
    Files(u64),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Writes the members of an archive into a folder.
pub fn unpack(
    from: impl Read,
    folder: &mut FolderWriter,
    limits: &Limits,
) -> Result<(), ArchiveError> {
    let unsound = |error: io::Error| ArchiveError::Unsound(error.to_string());
    let mut from = from;
    let mut start = Vec::new();
    from.by_ref().take(6).read_to_end(&mut start).map_err(unsound)?;
    let all = start.as_slice().chain(from);
    let plain = Compression::of(&start).reader(all).map_err(unsound)?;
    let (mut files, mut bytes) = (0, 0_u64);
    // Headers count too: a long name can be as large as any file.
    let most = limits.bytes.saturating_add(limits.files.saturating_mul(1024));
    let mut archive = tar::Archive::new(plain.take(most));
    for member in archive.entries().map_err(unsound)? {
        let mut member = member.map_err(unsound)?;
        let read = Member::read(&mut member).map_err(ArchiveError::Unsound)?;
        let Some(read) = read else { continue };
        files += 1;
        if let Content::File { size } = read.content {
            bytes = bytes.saturating_add(size);
        }
        if bytes > limits.bytes {
            return Err(ArchiveError::Large(limits.bytes));
        }
        if files > limits.files {
            return Err(ArchiveError::Files(limits.files));
        }
        if let Some(entry) = entry(read) {
            folder.add(&entry, Some(&mut member))?;
        }
    }
    Ok(())
}

fn entry(member: Member) -> Option<Entry> {
    let kind = match member.content {
        Content::Dir => Kind::Dir,
        Content::File { size } => Kind::File { size },
        Content::Symlink { target } => Kind::Symlink { target },
        Content::HardLink { target } => Kind::HardLink { target },
        Content::Char { .. } | Content::Block { .. } | Content::Fifo => return None,
    };
    let mut entry = Entry::new(member.path, kind, member.mode);
    (entry.uid, entry.gid) = (member.owner.uid, member.owner.gid);
    entry.mtime = member.mtime;
    entry.xattrs = member.xattrs;
    Some(entry)
}

#[cfg(test)]
mod tests;
