//! Rows about pieces of archives: where each lies compressed, within a blob.

use rusqlite::{OptionalExtension, Row, params};

use super::{Db, DbError, bytes, size};
use crate::digest::{ContentDigest, Digest};

/// Where a compressed piece lies in its blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PiecePlace {
    /// The digest of the piece as it is in the archive.
    pub(crate) plain: ContentDigest,
    /// In bytes from the start of the blob.
    pub(crate) start: u64,
    /// In bytes.
    pub(crate) size: u64,
    /// The digest of its compressed form.
    pub(crate) packed: ContentDigest,
}

impl Db {
    /// The blob and the place in it of a piece that was compressed in this way.
    pub(crate) fn piece(
        &self,
        how: &str,
        plain: &ContentDigest,
    ) -> Result<Option<(Digest, PiecePlace)>, DbError> {
        let sql = "SELECT blob, start, size, packed FROM pieces WHERE how = ? AND plain = ?";
        let place = |row: &Row<'_>| {
            let (start, size) = (size(row, 1)?, size(row, 2)?);
            Ok((row.get(0)?, PiecePlace { plain: *plain, start, size, packed: row.get(3)? }))
        };
        self.read(|c| c.prepare_cached(sql)?.query_row(params![how, plain], place).optional())
    }

    /// Remembers the pieces of a blob, in place of equal ones in another.
    pub(crate) fn put_pieces(
        &self,
        how: &str,
        blob: &Digest,
        places: &[PiecePlace],
    ) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO pieces (how, plain, blob, start, size, packed) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        self.write(|t| {
            let mut insert = t.prepare_cached(sql)?;
            for PiecePlace { plain, start, size, packed } in places {
                insert.execute(params![how, plain, blob, bytes(*start), bytes(*size), packed])?;
            }
            Ok(())
        })
    }
}
