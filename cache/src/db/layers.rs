//! Rows about layers: what is known of each, and of the tars made from it.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::{Db, DbError, bytes, now, size};
use crate::digest::{ContentDigest, Digest};
use crate::fs::Measure;
use crate::id::LayerId;

/// How a layer lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `fs/`: a tree of files, as overlayfs takes it.
    Directory,
    /// `layer.tar` and `layer.erofs`: the bytes, and an EROFS index over them.
    Erofs,
}

/// What is known of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerRow {
    /// Its name, and its folder's.
    pub(crate) id: LayerId,
    /// How it lies on the disk; none if it is known what it is, and its bytes are elsewhere.
    pub(crate) form: Option<Form>,
    /// The digest of its tar, where one was read or made that describes it.
    pub(crate) diff_id: Option<Digest>,
    /// What a step sees of it, once somebody asked.
    pub(crate) content: Option<ContentDigest>,
    /// The extent of its folder when it was complete.
    pub(crate) measure: Measure,
    /// The boot it was written under, as long as it was not synced.
    pub(crate) boot: Option<String>,
    /// When it was made, in nanoseconds since 1970.
    pub(crate) created: i64,
    /// When it was last of use, give or take an hour.
    pub(crate) used: i64,
}

pub(super) fn form_name(form: Option<Form>) -> &'static str {
    match form {
        Some(Form::Directory) => "directory",
        Some(Form::Erofs) => "erofs",
        None => "remote",
    }
}

fn form_named(name: &str) -> Option<Form> {
    match name {
        "erofs" => Some(Form::Erofs),
        "remote" => None,
        _ => Some(Form::Directory),
    }
}

const COLUMNS: &str = "id, form, diff_id, content, allocated, bytes, entries, boot, created, used";

impl Db {
    /// Adds a layer whose folder is complete and in its place.
    pub(crate) fn insert_layer(&self, row: &LayerRow) -> Result<(), DbError> {
        self.write(|t| row.insert(t))
    }

    pub(crate) fn layer(&self, id: &LayerId) -> Result<Option<LayerRow>, DbError> {
        self.read(|c| select(c, "WHERE id = ?", &[id])).map(|mut rows| rows.pop())
    }

    /// Layers that were pulled with this diffID, or whose archive has it: those that are here
    /// first, and the oldest first.
    pub(crate) fn layers_by_diff_id(&self, diff_id: &Digest) -> Result<Vec<LayerRow>, DbError> {
        let which = "WHERE diff_id = ?1 OR id IN (SELECT layer FROM tars WHERE diff_id = ?1) \
                     ORDER BY form = 'remote', created, id";
        self.read(|c| select(c, which, &[diff_id]))
    }

    pub(crate) fn all_layers(&self) -> Result<Vec<LayerRow>, DbError> {
        self.read(|c| select(c, "ORDER BY id", &[]))
    }

    pub(crate) fn set_content(&self, id: &LayerId, content: &ContentDigest) -> Result<(), DbError> {
        self.change_layer("UPDATE layers SET content = ? WHERE id = ?", &[content, id])
    }

    /// Notes that this layer's bytes survive a power cut.
    pub(crate) fn settle_layer(&self, id: &LayerId) -> Result<(), DbError> {
        self.change_layer("UPDATE layers SET boot = NULL WHERE id = ?", &[id])
    }

    /// Notes the same of all layers of one boot that were made until `until`.
    pub(crate) fn settle_layers(&self, boot: &str, until: i64) -> Result<(), DbError> {
        let sql = "UPDATE layers SET boot = NULL WHERE boot = ? AND created <= ?";
        self.change_layer(sql, &[&boot, &until])
    }

    pub(crate) fn has_unsettled(&self, boot: &str) -> Result<bool, DbError> {
        self.read(|c| {
            c.prepare_cached("SELECT 1 FROM layers WHERE boot = ? LIMIT 1")?.exists([boot])
        })
    }

    /// diffID and size of the tar that was made of a layer with its times clamped to `clamp`.
    pub(crate) fn tar(
        &self,
        id: &LayerId,
        clamp: Option<i64>,
    ) -> Result<Option<(Digest, u64)>, DbError> {
        let sql = "SELECT diff_id, size FROM tars WHERE layer = ? AND clamp = ?";
        self.digest_and_size(sql, &[id, &clamp_name(clamp)])
    }

    /// The layers of which this tar was made, each with the clamp of its times.
    pub(crate) fn layers_of_tar(
        &self,
        diff_id: &Digest,
    ) -> Result<Vec<(LayerId, Option<i64>)>, DbError> {
        let sql = "SELECT layer, clamp FROM tars WHERE diff_id = ? ORDER BY layer, clamp";
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get_ref(1)?.as_str()?.parse().ok()));
        self.read(|c| c.prepare_cached(sql)?.query_map([diff_id], pair)?.collect())
    }

    pub(crate) fn put_tar(
        &self,
        id: &LayerId,
        clamp: Option<i64>,
        diff_id: &Digest,
        size: u64,
    ) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO tars (layer, clamp, diff_id, size) VALUES (?, ?, ?, ?)";
        self.change_layer(sql, &[id, &clamp_name(clamp), diff_id, &bytes(size)])
    }

    /// Digest and size of the compressed form of a tar, by algorithm and level (`gzip-6`).
    pub(crate) fn compressed(
        &self,
        diff_id: &Digest,
        how: &str,
    ) -> Result<Option<(Digest, u64)>, DbError> {
        let sql = "SELECT digest, size FROM compressed WHERE diff_id = ? AND how = ?";
        self.digest_and_size(sql, &[diff_id, &how])
    }

    pub(crate) fn put_compressed(
        &self,
        diff_id: &Digest,
        how: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO compressed (diff_id, how, digest, size) \
                   VALUES (?, ?, ?, ?)";
        self.change_layer(sql, &[diff_id, &how, digest, &bytes(size)])
    }

    fn change_layer(&self, sql: &str, values: &[&dyn ToSql]) -> Result<(), DbError> {
        self.write(|t| t.prepare_cached(sql)?.execute(values).map(|_| ()))
    }

    fn digest_and_size(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
    ) -> Result<Option<(Digest, u64)>, DbError> {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, size(row, 1)?));
        self.read(|c| c.prepare_cached(sql)?.query_row(values, pair).optional())
    }
}

impl LayerRow {
    /// A layer just made, of which only this is known.
    pub(crate) fn new(
        id: LayerId,
        form: Option<Form>,
        measure: Measure,
        boot: Option<String>,
    ) -> LayerRow {
        let created = now();
        LayerRow { id, form, diff_id: None, content: None, measure, boot, created, used: created }
    }

    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = format!("INSERT INTO layers ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        connection.prepare_cached(&sql)?.execute(params![
            self.id,
            form_name(self.form),
            self.diff_id,
            self.content,
            bytes(self.measure.allocated),
            bytes(self.measure.bytes),
            bytes(self.measure.entries),
            self.boot,
            self.created,
            self.used,
        ])?;
        Ok(())
    }
}

fn clamp_name(clamp: Option<i64>) -> String {
    clamp.map_or_else(|| "none".to_owned(), |seconds| seconds.to_string())
}

fn select(
    connection: &Connection,
    which: &str,
    values: &[&dyn ToSql],
) -> rusqlite::Result<Vec<LayerRow>> {
    let sql = format!("SELECT {COLUMNS} FROM layers {which}");
    connection.prepare_cached(&sql)?.query_map(values, layer_row)?.collect()
}

fn layer_row(row: &Row<'_>) -> rusqlite::Result<LayerRow> {
    Ok(LayerRow {
        id: row.get(0)?,
        form: form_named(row.get_ref(1)?.as_str()?),
        diff_id: row.get(2)?,
        content: row.get(3)?,
        measure: Measure { allocated: size(row, 4)?, bytes: size(row, 5)?, entries: size(row, 6)? },
        boot: row.get(7)?,
        created: row.get(8)?,
        used: row.get(9)?,
    })
}
