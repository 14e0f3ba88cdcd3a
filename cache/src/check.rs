//! Is everything there that the store promises, byte for byte? And dropping what is not.
//!
//! Builds do not need it: whatever is missing is a miss. It is for people who doubt their disk.
//!
//! Blobs are digested, and so are layers that are a tar. Layers that are directories are measured
//! against what was recorded when they were complete: the number of names and the lengths, not
//! the bytes.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use rayon::prelude::*;

use crate::blob::{Blobs, digest_of};
use crate::db::{Doomed, Form, LayerRow, RecordRow};
use crate::digest::Digest;
use crate::fs;
use crate::gc::{PruneError, UsageError, documents, remove};
use crate::id::LayerId;
use crate::root::Root;
use crate::store::Store;

#[cfg(test)]
mod tests;

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Blobs digested.
    pub blobs: usize,
    /// Layers measured.
    pub layers: usize,
    /// Records looked at.
    pub records: usize,
    /// What is not as it should be.
    pub damage: Vec<Damage>,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The record index contradicts itself.
    Index {
        /// SQLite's words.
        what: String,
    },
    /// A blob's file is gone.
    BlobGone(Digest),
    /// A blob has other bytes than its name says.
    BlobChanged(Digest),
    /// A layer's folder is gone.
    LayerGone(LayerId),
    /// A layer has other files, or files of other lengths, than when it was made.
    LayerChanged(LayerId),
    /// A result cannot be used because a layer of it is damaged or gone.
    Record {
        /// Its cache key.
        key: [u8; 32],
        /// Which step of which build it is.
        slot: String,
    },
    /// A tagged image lacks its manifest or config, or one of those that its index names.
    Image {
        /// Canonical.
        name: String,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Index { what } => write!(f, "the record index is damaged: {what}"),
            Damage::BlobGone(digest) => write!(f, "blob `{digest}` is gone"),
            Damage::BlobChanged(digest) => write!(f, "blob `{digest}` has changed"),
            Damage::LayerGone(id) => write!(f, "layer `{id}` is gone"),
            Damage::LayerChanged(id) => write!(f, "layer `{id}` has changed"),
            Damage::Record { slot, .. } => write!(f, "a result of `{slot}` lacks a layer"),
            Damage::Image { name } => write!(f, "image `{name}` lacks its manifest or config"),
        }
    }
}

impl Store {
    /// Reads everything and tells what is damaged. Changes nothing. Reads all blobs: as fast as
    /// the disk, and on all cores.
    pub fn verify(&self) -> Result<Report, UsageError> {
        let root = self.ground();
        let mut report = Report::default();
        let index = root.db.check()?;
        report.damage.extend(index.into_iter().map(|what| Damage::Index { what }));
        check_blobs(root, self.blobs(), &mut report)?;
        check_layers(root, &mut report)?;
        check_images(self, &mut report)?;
        Ok(report)
    }

    /// Drops what is damaged, and tells what it was: blobs, layers, the records and the names of
    /// images that need them. A damaged index is put aside when the store is next opened. Waits
    /// for other processes as [`Store::prune`] does.
    pub fn repair(&self, give_up: &dyn Fn() -> bool) -> Result<Report, PruneError> {
        self.alone(give_up, || {
            let report = self.verify()?;
            self.drop_damaged(&report.damage)?;
            Ok(report)
        })
    }

    fn drop_damaged(&self, damage: &[Damage]) -> Result<(), PruneError> {
        let mut doomed = Doomed::default();
        for damage in damage {
            match damage {
                Damage::Index { .. } => self.ground().db.mark(),
                Damage::BlobGone(digest) | Damage::BlobChanged(digest) => {
                    doomed.blobs.push(*digest);
                }
                Damage::LayerGone(id) | Damage::LayerChanged(id) => doomed.layers.push(*id),
                Damage::Record { key, .. } => doomed.records.push(*key),
                Damage::Image { name } => {
                    self.images().untag(name).map_err(UsageError::from)?;
                }
            }
        }
        remove(self, &doomed)
    }
}

fn check_blobs(root: &Root, blobs: &Blobs, report: &mut Report) -> Result<(), UsageError> {
    let mut digests: HashSet<Digest> =
        root.db.all_blobs()?.into_iter().map(|(digest, _)| digest).collect();
    digests.extend(blobs.files()?);
    report.blobs = digests.len();
    let damage: Vec<Option<Damage>> = digests
        .into_par_iter()
        .map(|digest| check_blob(blobs, digest))
        .collect::<Result<_, _>>()?;
    report.damage.extend(damage.into_iter().flatten());
    Ok(())
}

fn check_blob(blobs: &Blobs, digest: Digest) -> Result<Option<Damage>, UsageError> {
    match digest_of(&blobs.path(&digest)) {
        Ok((found, _)) if found == digest => Ok(None),
        Ok(_) => Ok(Some(Damage::BlobChanged(digest))),
        Err(error) if error.is_absent() => Ok(Some(Damage::BlobGone(digest))),
        Err(error) => Err(error.into()),
    }
}

fn check_layers(root: &Root, report: &mut Report) -> Result<(), UsageError> {
    let rows = root.db.all_layers()?;
    let records = root.db.all_records()?;
    (report.layers, report.records) = (rows.len(), records.len());
    let damage: Vec<Option<Damage>> =
        rows.par_iter().map(|row| check_layer(root, row)).collect::<Result<_, _>>()?;
    let good = rows.iter().zip(&damage).filter(|(_, damage)| damage.is_none());
    let good: HashSet<LayerId> = good.map(|(row, _)| row.id).collect();
    report.damage.extend(damage.into_iter().flatten());
    let bad = records.into_iter().filter(|record| !is_whole(record, &good));
    report.damage.extend(bad.map(|row| Damage::Record { key: row.key, slot: row.slot }));
    Ok(())
}

fn check_layer(root: &Root, row: &LayerRow) -> Result<Option<Damage>, UsageError> {
    if row.form.is_none() {
        return Ok(None);
    }
    let folder = root.layer(&row.id);
    match fs::measure(&folder) {
        Ok(measured) if !measured.same_tree(&row.measure) => Ok(Some(Damage::LayerChanged(row.id))),
        Ok(_) => check_tar(&folder, row),
        Err(error) if error.is_absent() => Ok(Some(Damage::LayerGone(row.id))),
        Err(error) => Err(error.into()),
    }
}

/// A layer that is a tar has its digest as diffID.
fn check_tar(folder: &Path, row: &LayerRow) -> Result<Option<Damage>, UsageError> {
    let Some(diff_id) = row.diff_id.filter(|_| row.form == Some(Form::Erofs)) else {
        return Ok(None);
    };
    let (found, _) = digest_of(&folder.join("layer.tar"))?;
    Ok((found != diff_id).then_some(Damage::LayerChanged(row.id)))
}

fn is_whole(record: &RecordRow, good: &HashSet<LayerId>) -> bool {
    record.layers.as_ref().is_some_and(|layers| layers.iter().all(|id| good.contains(id)))
}

fn check_images(store: &Store, report: &mut Report) -> Result<(), UsageError> {
    let bad = |damage: &Damage, digest: &Digest| matches!(damage, Damage::BlobGone(bad) | Damage::BlobChanged(bad) if bad == digest);
    for image in store.images().list()? {
        let mut documents = documents(image.descriptor.digest, store.blobs()).into_iter();
        let is_lost = |digest: &Digest| {
            report.damage.iter().any(|damage| bad(damage, digest))
                || !store.blobs().contains(digest)
        };
        if documents.any(|digest| is_lost(&digest)) {
            report.damage.push(Damage::Image { name: image.name });
        }
    }
    Ok(())
}
