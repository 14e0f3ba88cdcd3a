//! Rows about layers that are known and not here, and about what was guessed of them.

use rusqlite::{OptionalExtension, Row, params};

use super::layers::{LayerRow, form_name};
use super::{Db, DbError, bytes};
use crate::digest::{ContentDigest, Digest};
use crate::fs::Measure;
use crate::id::LayerId;
use crate::layer::Guess;

/// The name of the form in which a layer came, among its compressed forms.
const AS_PULLED: &str = "as pulled";

impl Db {
    /// Notes which blob the layer with this diffID comes as. The layer is `known`, or one that is
    /// not here.
    pub(crate) fn announce_layer(
        &self,
        known: Option<LayerId>,
        diff_id: &Digest,
        content: &ContentDigest,
        (blob, length): (&Digest, u64),
    ) -> Result<LayerId, DbError> {
        let new = LayerRow {
            diff_id: Some(*diff_id),
            content: Some(*content),
            ..LayerRow::new(LayerId::random(), None, Measure::default(), None)
        };
        let came = "INSERT OR REPLACE INTO compressed (diff_id, how, digest, size) \
                    VALUES (?, ?, ?, ?)";
        // Another process may have announced it since we looked.
        let announced = "SELECT id FROM layers WHERE diff_id = ? AND form = 'remote'";
        self.write(|t| {
            t.prepare_cached(came)?.execute(params![diff_id, AS_PULLED, blob, bytes(length)])?;
            let announced = t.prepare_cached(announced)?.query_row([diff_id], |row| row.get(0));
            match known.map_or_else(|| announced.optional(), |known| Ok(Some(known)))? {
                Some(layer) => Ok(layer),
                None => new.insert(t).map(|()| new.id),
            }
        })
    }

    /// The blob that a layer of this diffID comes as, and its length.
    pub(crate) fn blob_as_pulled(
        &self,
        diff_id: &Digest,
    ) -> Result<Option<(Digest, u64)>, DbError> {
        self.compressed(diff_id, AS_PULLED)
    }

    /// Notes that a layer is here now.
    pub(crate) fn fill_layer(&self, row: &LayerRow) -> Result<(), DbError> {
        let sql = "UPDATE layers SET form = ?, allocated = ?, bytes = ?, entries = ?, boot = ?, \
                   used = ? WHERE id = ?";
        let Measure { allocated, bytes: sum, entries } = row.measure;
        self.write(|t| {
            t.prepare_cached(sql)?.execute(params![
                form_name(row.form),
                bytes(allocated),
                bytes(sum),
                bytes(entries),
                row.boot,
                row.used,
                row.id,
            ])?;
            Ok(())
        })
    }

    pub(crate) fn put_guess(&self, guess: &Guess) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO guesses (layer, below, absent) VALUES (?, ?, ?)";
        self.write(|t| {
            let (below, absent) = (json(&guess.below)?, json(&guess.absent)?);
            t.prepare_cached(sql)?.execute(params![guess.layer, below, absent])?;
            Ok(())
        })
    }

    /// What was guessed for a layer, if it was and nobody looked since.
    pub(crate) fn guess(&self, layer: &LayerId) -> Result<Option<Guess>, DbError> {
        let sql = "SELECT layer, below, absent FROM guesses WHERE layer = ?";
        let guess = |row: &Row<'_>| {
            Ok(Guess { layer: row.get(0)?, below: parsed(row, 1)?, absent: parsed(row, 2)? })
        };
        self.read(|c| c.prepare_cached(sql)?.query_row([layer], guess).optional())
    }

    pub(crate) fn delete_guess(&self, layer: &LayerId) -> Result<(), DbError> {
        self.write(|t| t.execute("DELETE FROM guesses WHERE layer = ?", [layer]).map(|_| ()))
    }
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(cause.into()))
}

fn parsed<T: for<'de> serde::Deserialize<'de>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|cause| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, cause.into())
    })
}
