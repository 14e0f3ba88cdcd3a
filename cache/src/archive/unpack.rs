//! An archive as a folder, plain or compressed: what a build context is made of.
//!
//! The folder's writer reaches nothing outside of the folder, whatever names and links say. Names
//! that lead out are refused all the same, and what is too large or too much ends early, before
//! the disk is full. Devices and pipes are left out: nobody copies them from a context.

use std::io::{self, Read};

use super::{BadMember, Compression, Members};
use crate::layer::{Kind, WriteError};
use crate::scratch::FolderWriter;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of all files.
    pub bytes: u64,
    /// The number of members.
    pub files: u64,
}

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is damaged, or holds what it must not.
    #[error("the archive cannot be unpacked: {0}")]
    Unsound(#[from] BadMember),
    /// It holds more bytes than anybody wants.
    #[error("the archive has more than {0} bytes")]
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
    mut from: impl Read,
    folder: &mut FolderWriter,
    limits: Limits,
) -> Result<(), ArchiveError> {
    let unsound = |error: io::Error| ArchiveError::Unsound(BadMember::Archive(error));
    let mut start = Vec::new();
    from.by_ref().take(6).read_to_end(&mut start).map_err(unsound)?;
    let all = start.as_slice().chain(from);
    let plain = Compression::of(&start).reader(all).map_err(unsound)?;
    let (mut files, mut bytes) = (0, 0_u64);
    // Headers count too: a long name can be as large as any file.
    let most = limits.bytes.saturating_add(limits.files.saturating_mul(1024));
    let mut members = Members::new(plain.take(most));
    while let Some(member) = members.next()? {
        files += 1;
        if let Kind::File { size } = member.kind {
            bytes = bytes.saturating_add(size);
        }
        if bytes > limits.bytes {
            return Err(ArchiveError::Large(limits.bytes));
        }
        if files > limits.files {
            return Err(ArchiveError::Files(limits.files));
        }
        let left_out = matches!(member.kind, Kind::Char { .. } | Kind::Block { .. } | Kind::Fifo);
        if !left_out && !member.path.is_empty() {
            folder.add(&member, Some(&mut members.data()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
