//! The record index: one SQLite file, written by several processes at once.
//!
//! WAL with `synchronous=NORMAL`: a commit costs microseconds and survives the death of the
//! process; a power cut may undo the last commits, never break the file. That is enough: a lost
//! row is a cache miss. Rows are written after the bytes they speak of, so that no row promises
//! what is not there.
//!
//! Here is the file itself: opening it, its tables, what is done when it is damaged. The
//! statements are with the things they speak of: `layers`, `blobs` and `files` below, records in
//! `record`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::fs::{self, FsError};

mod blobs;
mod columns;
mod files;
mod images;
mod layers;
mod lazy;
mod pieces;
mod records;
mod used;

pub use blobs::BlobSource;
pub(crate) use columns::{bytes, nanoseconds, now, size, time};
pub use layers::Form;
pub(crate) use layers::LayerRow;
pub(crate) use pieces::PiecePlace;
pub(crate) use records::{Doomed, RecordRow};

/// Why the record index did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite refused.
    #[error("cannot {verb} `{}`: {cause}", path.display())]
    Sqlite {
        /// What was tried.
        verb: &'static str,
        /// The index.
        path: PathBuf,
        /// SQLite's answer.
        cause: rusqlite::Error,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

impl DbError {
    /// Whether the file is no sound database. Anything else may pass: a lock, a full disk.
    pub fn is_damage(&self) -> bool {
        let DbError::Sqlite { cause, .. } = self else { return false };
        matches!(
            cause.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    }
}

/// The open index.
#[derive(Debug)]
pub(crate) struct Db {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// The tables, made once. A change here is a new [`FORMAT`] and a new file.
const TABLES: &str = include_str!("db/tables.sql");

/// Kept in SQLite's `user_version`.
const FORMAT: i64 = 4;

/// How long to wait for another process's transaction. They take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// In pages of 4 KiB. Folding the log into the file syncs; opening the file reads the log.
/// A megabyte keeps both rare and short.
const LOG_PAGES: i64 = 256;

impl Db {
    /// Opens the index, and makes it if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Db, DbError> {
        let connection = connect(path).map_err(|cause| error("open", path, cause))?;
        let db = Db { path: path.to_owned(), connection: Mutex::new(connection) };
        let format = db.read(|c| c.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        match format {
            FORMAT => {}
            0 => db.create()?,
            _ => return Err(error("read", path, unknown_format(format))),
        }
        Ok(db)
    }

    fn create(&self) -> Result<(), DbError> {
        let wal = |c: &Connection| c.pragma_update(None, "journal_mode", "WAL");
        self.read(wal)?;
        self.write(|t| {
            // Another process may have been here since we looked.
            let format: i64 = t.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            if format == FORMAT {
                return Ok(());
            }
            t.execute_batch(TABLES)?;
            t.pragma_update(None, "user_version", FORMAT)
        })
    }

    /// Asks something.
    pub(crate) fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DbError> {
        self.report(ask(&self.connection()), "read")
    }

    /// Changes something: all of it or nothing.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, DbError> {
        fs::door("write", &self.path)?;
        let mut connection = self.connection();
        let changed = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let value = change(&transaction)?;
                transaction.commit()?;
                Ok(value)
            });
        self.report(changed, "write")
    }

    /// Reads the whole index and lists what is wrong with it.
    pub(crate) fn check(&self) -> Result<Vec<String>, DbError> {
        let lines: Vec<String> = self.read(|c| {
            c.prepare("PRAGMA integrity_check")?.query_map([], |row| row.get(0))?.collect()
        })?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    fn report<T>(&self, answer: rusqlite::Result<T>, verb: &'static str) -> Result<T, DbError> {
        let answer = answer.map_err(|cause| error(verb, &self.path, cause));
        if answer.as_ref().is_err_and(DbError::is_damage) {
            self.mark();
        }
        answer
    }

    /// Has the next process that opens the index put it aside: not every damage shows at once.
    pub(crate) fn mark(&self) {
        // If it cannot be made now, or is there already, the damage is met again.
        let _ = fs::create_file(&mark(&self.path));
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic in the middle of a transaction rolled it back; the connection is as before.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // The last one to close would fold the log into the file and wait for the disk, at the end of
    // every build.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The files of an index: itself, its log, and the index of the log.
fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Puts a damaged index aside, with its log, and tells where it is.
pub(crate) fn put_aside(path: &Path) -> Result<PathBuf, FsError> {
    let aside = fs::aside(path);
    for (from, to) in files(path).iter().zip(files(&aside)) {
        if from.exists() {
            fs::rename(from, &to)?;
        }
    }
    fs::remove_file(&mark(path))?;
    Ok(aside)
}

/// Whether an earlier process met damage inside an index that opens well.
pub(crate) fn is_marked(path: &Path) -> bool {
    mark(path).exists()
}

fn mark(path: &Path) -> PathBuf {
    path.with_extension("db.damaged")
}

fn error(verb: &'static str, path: &Path, cause: rusqlite::Error) -> DbError {
    DbError::Sqlite { verb, path: path.to_owned(), cause }
}

fn unknown_format(format: i64) -> rusqlite::Error {
    // Reported as damage: the index is made anew, and the old one kept beside.
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB);
    rusqlite::Error::SqliteFailure(code, Some(format!("format {format} is not known")))
}
