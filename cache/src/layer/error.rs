//! What can go wrong with layers: one enum per thing that a caller asks for.

use std::io;

use super::entry::BadEntry;
use crate::archive::BadMember;
use crate::blob::{BlobReadError, BlobWriteError};
use crate::db::DbError;
use crate::digest::Digest;
use crate::fs::FsError;
use crate::id::LayerId;
use crate::root::PlaceError;

/// What overlayfs takes at most; one is left for the view's own empty layer.
pub(super) const MOST_LAYERS: usize = 499;

/// Why a layer could not be written from entries, or an active snapshot not be committed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The entry cannot be in any layer.
    #[error(transparent)]
    Entry(#[from] BadEntry),
    /// This one could not be written.
    #[error("cannot write `{path}` into the layer: {cause}")]
    Add {
        /// The entry's path.
        path: String,
        /// What the system, or the reader of the data, said.
        cause: io::Error,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
    /// The finished layer could not be kept.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Why an archive could not become a layer.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The archive is not one that a layer can be.
    #[error(transparent)]
    Member(#[from] BadMember),
    /// The bytes are not the announced ones.
    #[error("the layer's bytes are `{actual}`, but `{expected}` was announced")]
    Mismatch {
        /// The diffID from the image's config.
        expected: Digest,
        /// What was read.
        actual: Digest,
    },
    /// The layer could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a layer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The layers could not be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The store has no such layer any more.
    #[error("layer `{0}` is not in the store")]
    Missing(LayerId),
    /// A step made something that no archive can say.
    #[error(transparent)]
    Entry(#[from] BadEntry),
    /// The layer's own tar is damaged.
    #[error("layer `{layer}`: {cause}")]
    Damaged {
        /// The layer.
        layer: LayerId,
        /// What is wrong with its tar.
        cause: BadMember,
    },
    /// The layer was unpacked when it was pulled, and its archive not kept.
    #[error("the archive `{diff_id}` of layer `{layer}` is not in the store")]
    NotKept {
        /// The layer.
        layer: LayerId,
        /// What its image calls it.
        diff_id: Digest,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
    /// The blob could not be written.
    #[error(transparent)]
    WriteBlob(#[from] BlobWriteError),
    /// The blob could not be read.
    #[error(transparent)]
    ReadBlob(#[from] BlobReadError),
    /// The record index refused.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Why an archive could not be compressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// The format has no such level.
    #[error("there is no compression `{0}`: gzip has levels 0 to 12, zstd 1 to 22")]
    Level(String),
    /// It could not be read, or the result not be kept.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be read to its end, or its compressed form not be written.
    #[error("cannot compress the archive `{diff_id}`: {cause}")]
    Failed {
        /// The archive.
        diff_id: Digest,
        /// The system's answer.
        cause: io::Error,
    },
}

/// Why a snapshot could not be made visible.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The store has no such layer any more.
    #[error("layer `{0}` is not in the store")]
    Missing(LayerId),
    /// More layers than the kernel lays over each other.
    #[error(
        "{0} layers are more than the kernel lays over each other, which is {MOST_LAYERS}: let \
         fewer steps change files, or copy the result into a stage of its own"
    )]
    TooDeep(usize),
    /// The layer has to be fetched first.
    #[error("layer `{0}` was not fetched")]
    NotHere(LayerId),
    /// The kernel did not mount it.
    #[error("cannot mount {what}: {cause}")]
    Mount {
        /// The layer or stack.
        what: String,
        /// The system's answer.
        cause: io::Error,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
    /// The record index refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
