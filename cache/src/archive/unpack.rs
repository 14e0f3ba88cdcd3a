//! An archive as a folder, plain or compressed: what a build context is made of.
//!
//! The folder's writer reaches nothing outside of the folder, whatever names and links say. Names
//! that lead out are refused all the same, and what is too large or too much ends early, before
//! the disk is full. Devices and pipes are left out: nobody copies them from a context.

use std::io::{self, Read};

use super::{BadMember, Compression, Members};
use crate::layer::{Entry, Kind, WriteError};
use crate::scratch::FolderWriter;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of all files.
    pub bytes: u64,
    /// The number of members.
    pub files: u64,
}

impl Limits {
    /// How long the archive itself may be. Headers count too: a long name can be as large as any
    /// file.
    pub fn stream(&self) -> u64 {
        self.bytes.saturating_add(self.files.saturating_mul(1024))
    }
}

/// What an archive held so far.
#[derive(Debug)]
pub struct Count {
    held: Limits,
    limits: Limits,
}

impl Count {
    /// Nothing yet.
    pub fn up_to(limits: Limits) -> Count {
        Count { held: Limits { bytes: 0, files: 0 }, limits }
    }

    /// One more member.
    ///
    /// # Errors
    /// It is one too many, or too large.
    pub fn add(&mut self, member: &Entry) -> Result<(), ArchiveError> {
        self.held.files += 1;
        if let Kind::File { size } = member.kind {
            self.held.bytes = self.held.bytes.saturating_add(size);
        }
        match self.limits {
            Limits { bytes, .. } if self.held.bytes > bytes => Err(ArchiveError::Large(bytes)),
            Limits { files, .. } if self.held.files > files => Err(ArchiveError::Files(files)),
            _ => Ok(()),
        }
    }
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
    let mut count = Count::up_to(limits);
    let mut members = Members::new(plain.take(limits.stream()));
    while let Some(member) = members.next()? {
        count.add(&member)?;
        let left_out = matches!(member.kind, Kind::Char { .. } | Kind::Block { .. } | Kind::Fifo);
        if !left_out && !member.path.is_empty() {
            folder.add(&member, Some(&mut members.data()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
