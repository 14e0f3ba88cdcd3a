//! What is in the store, how much of the disk it takes, and what it would cost to have again.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use super::UsageError;
use super::held::Held;
use crate::blob::Blobs;
use crate::db::{self, Form, RecordRow};
use crate::digest::Digest;
use crate::fs;
use crate::id::LayerId;
use crate::images::Images;
use crate::root::Root;
use crate::volume::{self, VolumeUsage};

/// Everything in a store. Sizes are allocated blocks in bytes: what removing gives back.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Results of steps, the oldest first.
    pub records: Vec<RecordUsage>,
    /// File trees.
    pub layers: Vec<LayerUsage>,
    /// Manifests, configs, tars, plain and compressed.
    pub blobs: Vec<BlobUsage>,
    /// What steps share from build to build.
    pub volumes: Vec<VolumeUsage>,
    /// The record index, logs, and what has no name in the index.
    pub other: u64,
}

/// One record.
#[derive(Debug, Clone)]
pub struct RecordUsage {
    /// Its cache key.
    pub key: [u8; 32],
    /// Which step of which build it is.
    pub slot: String,
    /// Its result, bottom first.
    pub layers: Vec<LayerId>,
    /// The size of those layers that no other record and no image has.
    pub size: u64,
    /// How long it took to make.
    pub took: Duration,
    /// When it was last of use, give or take an hour.
    pub used: SystemTime,
    /// Whether all its layers are part of a tagged image.
    pub held: bool,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct LayerUsage {
    /// Its name.
    pub id: LayerId,
    /// How it lies on the disk; none if it was not fetched.
    pub form: Option<Form>,
    /// In bytes.
    pub size: u64,
    /// When it was last of use, give or take an hour.
    pub used: SystemTime,
    /// Whether it is part of a tagged image.
    pub held: bool,
    /// Whether it came from elsewhere or can be named by its diffID.
    pub has_diff_id: bool,
}

/// One blob.
#[derive(Debug, Clone)]
pub struct BlobUsage {
    /// Its name.
    pub digest: Digest,
    /// In bytes; none if it is the tar of a layer, whose size has them.
    pub size: u64,
    /// When it came.
    pub added: SystemTime,
    /// Whether it is part of a tagged image.
    pub held: bool,
    /// Whether it is the tar of a layer, which can be made again.
    pub is_tar: bool,
}

impl Usage {
    /// In bytes.
    pub fn total(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(|layer| layer.size).sum();
        let blobs: u64 = self.blobs.iter().map(|blob| blob.size).sum();
        let volumes: u64 = self.volumes.iter().map(|volume| volume.size).sum();
        layers + blobs + volumes + self.other
    }

    pub(super) fn of(root: &Root, blobs: &Blobs, images: &Images) -> Result<Usage, UsageError> {
        let tops = images.descriptors()?.into_iter().map(|descriptor| descriptor.digest);
        let held = Held::by(tops, blobs, &root.db)?;
        let rows = root.db.all_records()?;
        let mut usage = Usage {
            layers: layers(root, &held)?,
            blobs: blob_files(root, blobs, &held)?,
            volumes: volume::usage(root)?,
            other: other(root)?,
            records: Vec::new(),
        };
        usage.add_records(rows);
        Ok(usage)
    }

    fn add_records(&mut self, rows: Vec<RecordRow>) {
        let mut owners: HashMap<LayerId, u32> = HashMap::new();
        for id in rows.iter().flat_map(distinct) {
            *owners.entry(id).or_default() += 1;
        }
        let mut layers: HashMap<LayerId, &mut LayerUsage> =
            self.layers.iter_mut().map(|layer| (layer.id, layer)).collect();
        for row in rows {
            let own = |id: &LayerId| {
                layers
                    .get(id)
                    .filter(|layer| !layer.held && owners[id] == 1)
                    .map(|layer| layer.size)
            };
            let size = distinct(&row).iter().filter_map(own).sum();
            let stack = row.layers.clone().unwrap_or_default();
            let is_held = |id: &LayerId| layers.get(id).is_some_and(|layer| layer.held);
            let held = !stack.is_empty() && stack.iter().all(is_held);
            let used = db::time(row.used);
            for id in &stack {
                if let Some(layer) = layers.get_mut(id) {
                    layer.used = layer.used.max(used);
                }
            }
            let (key, slot, took) = (row.key, row.slot, row.took);
            self.records.push(RecordUsage { key, slot, layers: stack, size, took, used, held });
        }
    }
}

/// A stack's layers, each once: a base image can have the same layer twice.
fn distinct(row: &RecordRow) -> HashSet<LayerId> {
    row.layers.iter().flatten().copied().collect()
}

fn layers(root: &Root, held: &Held) -> Result<Vec<LayerUsage>, UsageError> {
    let rows = root.db.all_layers()?;
    Ok(rows
        .into_iter()
        .map(|row| LayerUsage {
            id: row.id,
            form: row.form,
            size: row.measure.allocated,
            used: db::time(row.used),
            held: held.layers.contains(&row.id),
            has_diff_id: row.diff_id.is_some(),
        })
        .collect())
}

fn blob_files(root: &Root, blobs: &Blobs, held: &Held) -> Result<Vec<BlobUsage>, UsageError> {
    let added: HashMap<Digest, i64> = root.db.all_blobs()?.into_iter().collect();
    let tars: HashSet<Digest> = root.db.all_tars()?.into_iter().collect();
    blobs
        .files()?
        .into_iter()
        .map(|digest| {
            Ok(BlobUsage {
                digest,
                size: fs::own_blocks(&blobs.path(&digest))?,
                added: db::time(added.get(&digest).copied().unwrap_or_default()),
                held: held.blobs.contains(&digest),
                is_tar: tars.contains(&digest),
            })
        })
        .collect()
}

/// Everything in the store's folder that is neither a blob nor a layer of the index.
fn other(root: &Root) -> Result<u64, UsageError> {
    let mut size = 0;
    for name in fs::list(&root.path)? {
        // Mounts are no bytes of the store, and blobs and layers are counted by themselves.
        if !["mounts", "blobs", "layers", "volumes"].contains(&name.as_str()) {
            size += fs::measure(&root.path.join(name))?.allocated;
        }
    }
    for stray in super::stray_layers(root)? {
        size += fs::measure(&stray)?.allocated;
    }
    Ok(size)
}
