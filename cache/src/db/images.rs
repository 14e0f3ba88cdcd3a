//! Rows about tagged images: a copy of `index.json`, for the day when it cannot be read.

use super::{Db, DbError};

impl Db {
    /// Puts `images` (name, descriptor as JSON) in place of all that were there.
    pub(crate) fn replace_images(&self, images: &[(String, String)]) -> Result<(), DbError> {
        self.write(|t| {
            t.execute("DELETE FROM images", [])?;
            let mut insert =
                t.prepare_cached("INSERT OR REPLACE INTO images (name, descriptor) VALUES (?, ?)")?;
            for (name, descriptor) in images {
                insert.execute([name, descriptor])?;
            }
            Ok(())
        })
    }

    /// The descriptors as JSON, by name.
    pub(crate) fn images(&self) -> Result<Vec<String>, DbError> {
        self.read(|c| {
            c.prepare("SELECT descriptor FROM images ORDER BY name")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }
}
