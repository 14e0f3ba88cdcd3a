//! Rows about records as far as pruning and checking need them: what each holds and what it cost.

use std::path::PathBuf;

use std::time::Duration;

use rusqlite::{Row, Transaction};

use super::{Db, DbError, size};
use crate::digest::Digest;
use crate::id::LayerId;

/// A record without the parts of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordRow {
    pub(crate) key: [u8; 32],
    pub(crate) slot: String,
    /// Bottom first; none if the row cannot be read.
    pub(crate) layers: Option<Vec<LayerId>>,
    /// How long it took to make.
    pub(crate) took: Duration,
    /// In nanoseconds since 1970.
    pub(crate) used: i64,
}

/// Rows to be removed together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Doomed {
    pub(crate) records: Vec<[u8; 32]>,
    pub(crate) layers: Vec<LayerId>,
    pub(crate) blobs: Vec<Digest>,
    /// Their folders: they have no rows.
    pub(crate) volumes: Vec<PathBuf>,
}

impl Db {
    pub(crate) fn all_records(&self) -> Result<Vec<RecordRow>, DbError> {
        let sql = "SELECT key, slot, layers, took, used FROM records ORDER BY created, rowid";
        self.read(|c| c.prepare(sql)?.query_map([], record_row)?.collect())
    }

    /// Digests of the tars that the index knows of, plain or compressed.
    pub(crate) fn all_tars(&self) -> Result<Vec<Digest>, DbError> {
        let sql = "SELECT diff_id FROM tars UNION SELECT digest FROM compressed";
        self.read(|c| c.prepare(sql)?.query_map([], |row| row.get(0))?.collect())
    }

    /// Layer and diffID of each tar that was made of a layer.
    pub(crate) fn tars_of_layers(&self) -> Result<Vec<(LayerId, Digest)>, DbError> {
        let sql = "SELECT layer, diff_id FROM tars";
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.read(|c| c.prepare(sql)?.query_map([], pair)?.collect())
    }

    /// Forgets all of these, or none.
    pub(crate) fn forget(&self, doomed: &Doomed) -> Result<(), DbError> {
        self.write(|t| {
            each(t, "DELETE FROM records WHERE key = ?", &doomed.records)?;
            each(t, "DELETE FROM tars WHERE layer = ?", &doomed.layers)?;
            each(t, "DELETE FROM guesses WHERE layer = ?", &doomed.layers)?;
            each(t, "DELETE FROM layers WHERE id = ?", &doomed.layers)?;
            each(t, "DELETE FROM blobs WHERE digest = ?", &doomed.blobs)?;
            // What is known of a compressed tar is of use as long as the tar can come back.
            t.execute(
                "DELETE FROM compressed WHERE diff_id NOT IN \
                 (SELECT diff_id FROM tars UNION \
                  SELECT diff_id FROM layers WHERE diff_id IS NOT NULL)",
                [],
            )?;
            t.execute("DELETE FROM pieces WHERE blob NOT IN (SELECT digest FROM blobs)", [])?;
            Ok(())
        })
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) -> Result<(), DbError> {
        self.write(|t| {
            t.execute_batch(
                "DELETE FROM records; DELETE FROM tars; DELETE FROM guesses; DELETE FROM layers; DELETE FROM blobs; \
                 DELETE FROM compressed; DELETE FROM pieces; DELETE FROM blob_sources; DELETE FROM resolutions; \
                 DELETE FROM images; DELETE FROM file_lists;",
            )
        })
    }

    /// Gives the space of removed rows back.
    pub(crate) fn shrink(&self) -> Result<(), DbError> {
        self.read(|c| {
            c.execute_batch("VACUUM")?;
            c.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })
    }
}

fn each<T: rusqlite::ToSql>(t: &Transaction<'_>, sql: &str, values: &[T]) -> rusqlite::Result<()> {
    let mut statement = t.prepare_cached(sql)?;
    values.iter().try_for_each(|value| statement.execute([value]).map(|_| ()))
}

fn record_row(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    Ok(RecordRow {
        key: row.get(0)?,
        slot: row.get(1)?,
        layers: serde_json::from_str(row.get_ref(2)?.as_str()?).ok(),
        took: Duration::from_micros(size(row, 3)?),
        used: row.get(4)?,
    })
}
