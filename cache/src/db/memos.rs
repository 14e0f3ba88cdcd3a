//! Bytes kept to save time: losing them costs a little work, never a result.

use rusqlite::{OptionalExtension, params};

use super::{Db, DbError, now};

/// What a memo is about. Each kind has its own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memo {
    /// The files that a slot saw, by slot: to tell which one changed.
    Files,
    /// What `stat` said of the files below a directory and which content they had, by directory.
    Stat,
}

impl Memo {
    fn name(self) -> &'static str {
        match self {
            Memo::Files => "files",
            Memo::Stat => "stat",
        }
    }
}

impl Db {
    pub(crate) fn memo(&self, kind: Memo, name: &str) -> Result<Option<Vec<u8>>, DbError> {
        let sql = "SELECT bytes FROM memos WHERE kind = ? AND name = ?";
        let names = [kind.name(), name];
        self.read(|c| c.prepare_cached(sql)?.query_row(names, |row| row.get(0)).optional())
    }

    pub(crate) fn put_memo(&self, kind: Memo, name: &str, bytes: &[u8]) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO memos (kind, name, bytes, used) VALUES (?, ?, ?, ?)";
        self.write(|t| {
            t.prepare_cached(sql)?.execute(params![kind.name(), name, bytes, now()])?;
            Ok(())
        })
    }

    /// Forgets all that were written before `before`, in nanoseconds since 1970.
    pub(crate) fn delete_memos(&self, before: i64) -> Result<(), DbError> {
        self.write(|t| {
            t.prepare_cached("DELETE FROM memos WHERE used < ?")?.execute([before])?;
            Ok(())
        })
    }
}
