//! Layers as far as the store answers for them: putting a finished folder in its place, and telling
//! whether all of it is there. What is in the folder is `layer`'s business.

use std::path::Path;

use super::{Root, USED_PRECISION, guard};
use crate::db::{self, DbError, Doomed, Form, LayerRow};
use crate::digest::{ContentDigest, Digest};
use crate::fs::{self, FsError};
use crate::id::LayerId;

/// Why a finished layer could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The record index cannot be used.
    #[error(transparent)]
    Index(#[from] DbError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

impl Root {
    /// Makes a layer of a folder that is complete, below `tmp/` or `active/`: `fs/` in it, or
    /// `layer.tar` and `layer.erofs`. The folder is moved. Nothing is synced, see `store`.
    pub(crate) fn place_layer(
        &self,
        folder: &Path,
        form: Form,
        diff_id: Option<Digest>,
        content: Option<ContentDigest>,
    ) -> Result<LayerId, PlaceError> {
        let id = LayerId::random();
        let measure = fs::measure(folder)?;
        fs::rename(folder, &self.layer(&id))?;
        let boot = Some(self.boot().to_owned());
        let row = LayerRow::new(id, Some(form), measure, boot);
        self.db.insert_layer(&LayerRow { diff_id, content, ..row })?;
        guard(&self.known).present.insert(id);
        Ok(id)
    }

    /// Makes the folder the bytes of a layer that was announced. If another process was faster, the
    /// folder is left as it is.
    pub(crate) fn fill_layer(
        &self,
        id: LayerId,
        folder: &Path,
        form: Form,
    ) -> Result<LayerId, PlaceError> {
        let measure = fs::measure(folder)?;
        let place = self.layer(&id);
        if place.exists() && self.db.layer(&id)?.is_some_and(|row| row.form.is_some()) {
            return Ok(id);
        }
        // What a process left that died before it wrote the row.
        fs::remove_tree(&place)?;
        fs::rename(folder, &place)?;
        let boot = Some(self.boot().to_owned());
        self.db.fill_layer(&LayerRow::new(id, Some(form), measure, boot))?;
        Ok(id)
    }

    /// Takes a layer out of the index, so that no record counts which needs it. Its bytes may be in
    /// use, and are left to pruning.
    pub(crate) fn forget_layer(&self, id: &LayerId) -> Result<(), DbError> {
        {
            let mut known = guard(&self.known);
            known.present.remove(id);
            known.here.remove(id);
        }
        self.db.forget(&Doomed { layers: vec![*id], ..Doomed::default() })
    }

    /// A layer with this diffID that is known or there with all its bytes.
    pub(crate) fn layer_by_diff_id(&self, diff_id: &Digest) -> Option<LayerId> {
        let rows = self.or_warn(self.db.layers_by_diff_id(diff_id)).unwrap_or_default();
        rows.iter().map(|row| row.id).find(|id| self.has_layer(id))
    }

    /// Whether a layer is there with all its bytes, or known where to have them. Asked once per
    /// process and layer.
    pub(crate) fn has_layer(&self, id: &LayerId) -> bool {
        if guard(&self.known).present.contains(id) {
            return true;
        }
        let Some(Some(row)) = self.or_warn(self.db.layer(id)) else { return false };
        let there = row.form.is_none() || self.layer(id).is_dir() && self.is_complete(&row);
        let mut known = guard(&self.known);
        if there {
            known.present.insert(*id);
        }
        if there && row.used < db::now() - USED_PRECISION {
            known.used_layers.insert(*id);
        }
        there
    }

    /// Whether a layer's bytes survived the last power cut, if there was one since it was written.
    fn is_complete(&self, row: &LayerRow) -> bool {
        let Some(boot) = &row.boot else { return true };
        if boot == self.boot() {
            return true;
        }
        let Some(measured) = self.or_warn(fs::measure(&self.layer(&row.id))) else { return false };
        if !measured.same_tree(&row.measure) {
            self.warn(format_args!(
                "layer `{}` lost bytes when the machine went down; what needs it is built again",
                row.id
            ));
            return false;
        }
        // What was read from the disk just now stays there.
        self.or_warn(self.db.settle_layer(&row.id));
        true
    }
}
