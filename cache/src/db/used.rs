//! When rows were last of use, which decides what is pruned.

use std::collections::HashSet;

use rusqlite::params;

use super::{Db, DbError, now};
use crate::id::LayerId;

impl Db {
    /// Notes that these records and layers were of use just now.
    pub(crate) fn touch(
        &self,
        records: &HashSet<[u8; 32]>,
        layers: &HashSet<LayerId>,
    ) -> Result<(), DbError> {
        self.write(|t| {
            let mut update = t.prepare_cached("UPDATE records SET used = ? WHERE key = ?")?;
            for key in records {
                update.execute(params![now(), key])?;
            }
            let mut update = t.prepare_cached("UPDATE layers SET used = ? WHERE id = ?")?;
            for id in layers {
                update.execute(params![now(), id])?;
            }
            Ok(())
        })
    }
}
