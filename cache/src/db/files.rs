//! The files that each slot saw the last time, so that a miss can name the one that changed.
//! Losing a list costs an explanation, never a result.

use rusqlite::{OptionalExtension, params};

use super::{Db, DbError, now};

impl Db {
    pub(crate) fn file_list(&self, slot: &str) -> Result<Option<Vec<u8>>, DbError> {
        let sql = "SELECT bytes FROM file_lists WHERE slot = ?";
        self.read(|c| c.prepare_cached(sql)?.query_row([slot], |row| row.get(0)).optional())
    }

    pub(crate) fn put_file_list(&self, slot: &str, bytes: &[u8]) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO file_lists (slot, bytes, written) VALUES (?, ?, ?)";
        self.write(|t| {
            t.prepare_cached(sql)?.execute(params![slot, bytes, now()])?;
            Ok(())
        })
    }

    /// Forgets all that were written before `before`, in nanoseconds since 1970.
    pub(crate) fn delete_file_lists(&self, before: i64) -> Result<(), DbError> {
        self.write(|t| {
            t.prepare_cached("DELETE FROM file_lists WHERE written < ?")?.execute([before])?;
            Ok(())
        })
    }
}
