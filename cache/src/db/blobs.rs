//! Rows about blobs: how long each is, and where it can be had.

use rusqlite::{OptionalExtension, Row, params};

use super::{Db, DbError, bytes, now, size};
use crate::digest::Digest;

/// A repository that has a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobSource {
    /// Host and port: `registry-1.docker.io`, `127.0.0.1:5000`.
    pub registry: String,
    /// `library/alpine`
    pub repository: String,
}

impl Db {
    pub(crate) fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, DbError> {
        let sql = "SELECT size FROM blobs WHERE digest = ?";
        self.read(|c| c.prepare_cached(sql)?.query_row([digest], |row| size(row, 0)).optional())
    }

    pub(crate) fn put_blob(&self, digest: &Digest, size: u64) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO blobs (digest, size, added) VALUES (?, ?, ?)";
        self.write(|t| {
            t.prepare_cached(sql)?.execute(params![digest, bytes(size), now()])?;
            Ok(())
        })
    }

    pub(crate) fn delete_blob(&self, digest: &Digest) -> Result<(), DbError> {
        self.write(|t| {
            t.prepare_cached("DELETE FROM blobs WHERE digest = ?")?.execute([digest])?;
            Ok(())
        })
    }

    /// All blobs, and when they came in nanoseconds since 1970.
    pub(crate) fn all_blobs(&self) -> Result<Vec<(Digest, i64)>, DbError> {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.read(|c| {
            c.prepare("SELECT digest, added FROM blobs ORDER BY digest")?
                .query_map([], pair)?
                .collect()
        })
    }

    pub(crate) fn put_blob_source(
        &self,
        digest: &Digest,
        source: &BlobSource,
    ) -> Result<(), DbError> {
        let sql = "INSERT OR IGNORE INTO blob_sources (digest, registry, repository) \
                   VALUES (?, ?, ?)";
        self.write(|t| {
            let mut insert = t.prepare_cached(sql)?;
            insert.execute(params![digest, source.registry, source.repository])?;
            Ok(())
        })
    }

    pub(crate) fn blob_sources(&self, digest: &Digest) -> Result<Vec<BlobSource>, DbError> {
        let sql = "SELECT registry, repository FROM blob_sources WHERE digest = ? \
                   ORDER BY registry, repository";
        self.read(|c| {
            c.prepare_cached(sql)?
                .query_map([digest], |row| {
                    Ok(BlobSource { registry: row.get(0)?, repository: row.get(1)? })
                })?
                .collect()
        })
    }
}
