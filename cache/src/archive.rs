//! Archives that others wrote: how they are compressed, and what their members are.
//!
//! One reader serves the layers of a registry, `ADD`, build contexts and saved images, so that a
//! hostile archive meets the same limits everywhere. Nothing here touches the disk but `unpack`,
//! through the writer of a folder. What a layer makes of a member (deletions are names in it) is
//! `layer::unpack`'s business, and writing an archive is `layer::archive`'s.

mod compression;
mod member;
mod reader;
mod unpack;

use std::io::Read;

pub use compression::{Compression, fill, is_archive};
pub use member::BadMember;
pub(crate) use member::entry;
pub(crate) use reader::{BLOCK, Found, Input, Stream, TarReader};
pub use unpack::{ArchiveError, Count, Limits, unpack};

use crate::layer::Entry;

/// The members of an uncompressed archive, one after the other.
pub struct Members<R> {
    reader: TarReader<Stream<R>>,
    last: Option<Found>,
}

impl<R: Read> Members<R> {
    /// Reads from the archive's beginning.
    pub fn new(archive: R) -> Members<R> {
        Members { reader: TarReader::new(Stream(archive)), last: None }
    }

    /// The next member; none at the end. Its path is clean, and empty for the root itself. A
    /// character device 0:0 is one: only in a layer it means a deletion.
    ///
    /// # Errors
    /// The archive is damaged, goes beyond the limits of [`Members`]' reader, or has a member that
    /// leads out or cannot be unpacked.
    #[expect(clippy::should_implement_trait, reason = "the data of the last member is lent out")]
    pub fn next(&mut self) -> Result<Option<Entry>, BadMember> {
        while let Some(found) = self.reader.next().map_err(BadMember::Archive)? {
            let entry = entry(&found)?;
            self.last = Some(found);
            if entry.is_some() {
                return Ok(entry);
            }
        }
        self.last = None;
        Ok(None)
    }

    /// The bytes of the member that came last: none at the archive's end.
    pub fn data(&mut self) -> Box<dyn Read + '_> {
        match &self.last {
            Some(found) => Box::new(self.reader.data(found)),
            None => Box::new(std::io::empty()),
        }
    }
}
