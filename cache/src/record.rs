//! Records: which result a cache key has, and what else earlier builds found out.
//!
//! A record is the last thing written of a result, and read with care: one whose layers are not
//! all there is none. An index that cannot be read is a warning and an empty cache; only writing
//! reports its errors, and callers may go on without.
//!
//! What keys are made of is not known here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde::{Deserialize, Serialize};

use crate::db::{self, BlobSource, DbError};
use crate::digest::{ContentDigest, Digest};
use crate::id::LayerId;
use crate::root::{Root, USED_PRECISION, guard};
use crate::tree::Selector;

#[cfg(test)]
mod tests;

/// The records of a store.
#[derive(Debug)]
pub struct Records {
    root: Arc<Root>,
}

/// One result and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The cache key.
    pub key: [u8; 32],
    /// The digest of the op alone, without inputs.
    pub op: [u8; 32],
    /// Which step of which build this is: what a miss is compared with.
    pub slot: String,
    /// The result: a stack of layers, bottom first.
    pub layers: Vec<LayerId>,
    /// What it was made from, in the order of the op's inputs.
    pub inputs: Vec<RecordedInput>,
    /// What the key was made of, in the solver's words.
    pub parts: serde_json::Value,
    /// What the user is to be told of the result, whenever it is used: one line each.
    pub warnings: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// The most memory that it used at once, in bytes, if that is known.
    pub memory: Option<u64>,
    /// When it was recorded.
    pub created: SystemTime,
}

/// One input of a recorded result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedInput {
    /// The stack of layers it was, if it was one.
    pub layers: Option<Vec<LayerId>>,
    /// The digest of what the selector picked, if it was computed.
    pub content: Option<ContentDigest>,
    /// Which part of it the op saw.
    pub selector: Selector,
}

/// What a reference was found to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// The manifest for the platform that was asked for.
    pub manifest: Digest,
    /// When the registry said so.
    pub resolved: SystemTime,
}

const COLUMNS: &str = "key, op, slot, layers, inputs, parts, warnings, took, memory, created";

impl Records {
    pub(crate) fn new(root: Arc<Root>) -> Records {
        Records { root }
    }

    /// The result recorded under a key, if all its layers are there.
    pub fn get(&self, key: &[u8; 32]) -> Option<Record> {
        let record = self.first("WHERE key = ?", &[key])?;
        self.is_whole(&record).then_some(record)
    }

    /// Results of equal ops on whatever inputs, the newest first, at most `limit`.
    pub fn by_op(&self, op: &[u8; 32], limit: u32) -> Vec<Record> {
        let which = "WHERE op = ? ORDER BY created DESC, rowid DESC LIMIT ?";
        let mut records = self.select(which, &[op, &limit]);
        records.retain(|record| self.is_whole(record));
        records
    }

    /// What the user is to be told of the result recorded under a key.
    pub fn warnings(&self, key: &[u8; 32]) -> Vec<String> {
        let sql = "SELECT warnings FROM records WHERE key = ?";
        let found = self
            .root
            .db
            .read(|c| c.prepare_cached(sql)?.query_row([key], |row| from_json(row, 0)).optional());
        self.root.or_warn(found).flatten().unwrap_or_default()
    }

    /// The newest record of a slot. Its layers may be gone: it is there to be compared with.
    pub fn last_in_slot(&self, slot: &str) -> Option<Record> {
        self.first("WHERE slot = ? ORDER BY created DESC, rowid DESC LIMIT 1", &[&slot])
    }

    /// Records a result, in place of an earlier one of the same key. Its layers must be in the
    /// store before.
    pub fn put(&self, record: &Record) -> Result<(), DbError> {
        let sql = format!(
            "INSERT OR REPLACE INTO records ({COLUMNS}, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        self.root.db.write(|t| {
            t.prepare_cached(&sql)?.execute(params![
                record.key,
                record.op,
                record.slot,
                json(&record.layers)?,
                json(&record.inputs)?,
                record.parts.to_string(),
                json(&record.warnings)?,
                i64::try_from(record.took.as_micros()).unwrap_or(i64::MAX),
                record.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
                db::nanoseconds(record.created),
                db::now(),
            ])?;
            Ok(())
        })
    }

    /// Which manifest a reference named for a platform (`linux/amd64`) when last asked.
    pub fn resolution(&self, reference: &str, platform: &str) -> Option<Resolution> {
        let sql = "SELECT manifest, resolved FROM resolutions WHERE reference = ? AND platform = ?";
        let found = self.root.db.read(|c| {
            c.prepare_cached(sql)?
                .query_row([reference, platform], |row| {
                    Ok(Resolution { manifest: row.get(0)?, resolved: db::time(row.get(1)?) })
                })
                .optional()
        });
        self.root.or_warn(found).flatten()
    }

    /// Remembers which manifest a reference names, as of now.
    pub fn put_resolution(
        &self,
        reference: &str,
        platform: &str,
        manifest: &Digest,
    ) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO resolutions (reference, platform, manifest, resolved) \
                   VALUES (?, ?, ?, ?)";
        self.root.db.write(|t| {
            t.prepare_cached(sql)?.execute(params![reference, platform, manifest, db::now()])?;
            Ok(())
        })
    }

    /// The repositories that are known to have a blob.
    pub fn blob_sources(&self, digest: &Digest) -> Vec<BlobSource> {
        self.root.or_warn(self.root.db.blob_sources(digest)).unwrap_or_default()
    }

    /// Remembers that a repository has a blob.
    pub fn put_blob_source(&self, digest: &Digest, source: &BlobSource) -> Result<(), DbError> {
        self.root.db.put_blob_source(digest, source)
    }

    /// The list of files that a slot saw the last time, as it was put.
    pub fn file_list(&self, slot: &str) -> Option<Vec<u8>> {
        self.root.or_warn(self.root.db.file_list(slot)).flatten()
    }

    /// Keeps the list of files that a slot saw, in place of an earlier one.
    pub fn put_file_list(&self, slot: &str, bytes: &[u8]) -> Result<(), DbError> {
        self.root.db.put_file_list(slot, bytes)
    }

    /// What a server said about an address the last time, as it was put.
    pub fn memo(&self, address: &str) -> Option<Vec<u8>> {
        self.file_list(&memo_slot(address))
    }

    /// Keeps what a server said about an address, in place of what it said earlier.
    pub fn put_memo(&self, address: &str, bytes: &[u8]) -> Result<(), DbError> {
        self.put_file_list(&memo_slot(address), bytes)
    }

    fn first(&self, which: &str, values: &[&dyn ToSql]) -> Option<Record> {
        self.select(which, values).into_iter().next()
    }

    fn select(&self, which: &str, values: &[&dyn ToSql]) -> Vec<Record> {
        let found = self.root.db.read(|c| select(c, which, values));
        let rows = self.root.or_warn(found).unwrap_or_default();
        self.note_use(&rows);
        rows.into_iter().map(|(record, _)| record).collect()
    }

    fn is_whole(&self, record: &Record) -> bool {
        record.layers.iter().all(|id| self.root.has_layer(id))
    }

    fn note_use(&self, rows: &[(Record, i64)]) {
        let now = db::now();
        for (record, used) in rows {
            if *used < now - USED_PRECISION {
                guard(&self.root.known).used_records.insert(record.key);
            }
        }
    }
}

/// Memos share the table of file lists: both only save time. Addresses can hold passwords.
fn memo_slot(address: &str) -> String {
    format!("memo {}", ContentDigest::of(address.as_bytes()).hex())
}

fn select(
    connection: &Connection,
    which: &str,
    values: &[&dyn ToSql],
) -> rusqlite::Result<Vec<(Record, i64)>> {
    let sql = format!("SELECT {COLUMNS}, used FROM records {which}");
    connection.prepare_cached(&sql)?.query_map(values, record_row)?.collect()
}

fn record_row(row: &Row<'_>) -> rusqlite::Result<(Record, i64)> {
    let record = Record {
        key: row.get(0)?,
        op: row.get(1)?,
        slot: row.get(2)?,
        layers: from_json(row, 3)?,
        inputs: from_json(row, 4)?,
        parts: from_json(row, 5)?,
        warnings: from_json(row, 6)?,
        took: Duration::from_micros(db::size(row, 7)?),
        memory: row.get::<_, Option<i64>>(8)?.and_then(|bytes| bytes.try_into().ok()),
        created: db::time(row.get(9)?),
    };
    Ok((record, row.get(10)?))
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(cause.into()))
}

fn from_json<T: for<'de> Deserialize<'de>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|cause| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, cause.into())
    })
}
