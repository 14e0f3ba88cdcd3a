//! rbuild's store: bytes on disk, and nothing about graphs or Dockerfiles.
#![forbid(unsafe_code)]

pub mod archive;
mod blob;
mod check;
mod db;
pub mod digest;
mod erofs;
#[cfg(test)]
mod fixture;
mod fs;
mod gc;
mod id;
mod images;
pub mod layer;
mod lock;
pub mod pattern;
mod record;
mod root;
mod scratch;
pub mod stat;
mod store;
pub mod tree;
mod volume;

pub use blob::{BlobReadError, BlobWriteError, BlobWriter, Blobs};
pub use check::{Damage, Report};
pub use db::{BlobSource, DbError, Form};
pub use digest::{ContentDigest, Digest};
pub use fs::FsError;
pub use gc::{BlobUsage, LayerUsage, Prune, PruneError, Pruned, RecordUsage, Usage, UsageError};
pub use id::{BadLayerId, LayerId};
pub use images::{Descriptor, Image, ImageError, Images};
pub use layer::{Active, Draft, LayerWriter, Layers, Snapshot, View};
pub use lock::{ClaimError, KeyLock};
pub use record::{Record, RecordedInput, Records, Resolution};
pub use root::PlaceError;
pub use scratch::{FolderWriter, Scratch};
pub use store::{LogError, OpenError, SettleError, Store};
pub use volume::{
    NewVolume, Sharing, Taken, Volume, VolumeError, VolumeName, VolumeUsage, Volumes,
};
