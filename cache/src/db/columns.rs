//! How the types of this crate are written in columns.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use crate::digest::{ContentDigest, Digest};
use crate::id::LayerId;

/// Nanoseconds since 1970, now.
pub(crate) fn now() -> i64 {
    nanoseconds(SystemTime::now())
}

/// Nanoseconds since 1970. What does not fit in is the end of its range.
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The time of a column.
pub(crate) fn time(nanoseconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// A size for a column. SQLite's integers end at 2^63, and so do files.
pub(crate) fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A size or a count from a column. A negative one was never written; it reads as zero.
pub(crate) fn size(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    Ok(u64::try_from(value).unwrap_or(0))
}

impl ToSql for LayerId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for LayerId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<LayerId> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

impl ToSql for Digest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_bytes().as_slice().into())
    }
}

impl FromSql for Digest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Digest> {
        <[u8; 32]>::column_result(value).map(Digest::from_bytes)
    }
}

impl ToSql for ContentDigest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_bytes().as_slice().into())
    }
}

impl FromSql for ContentDigest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<ContentDigest> {
        <[u8; 32]>::column_result(value).map(ContentDigest::from_bytes)
    }
}
