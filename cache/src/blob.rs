//! Blobs: immutable bytes by their digest, in `blobs/sha256` as the OCI image layout has it.
//!
//! A blob is written under a temporary name, digested on the way, and only then named by its
//! digest: what has the final name was complete once. The index knows each blob's size. A file of
//! another size is a damaged blob and counts as none.
//!
//! Documents ([`Blobs::put`]) are synced before they are named: nothing else has them. Layers are
//! not: they can be made or fetched again, and a power cut that took bytes of one shows in its
//! size, since file systems set the length of a file after its bytes. The directory is not synced
//! for each blob; a name that a power cut takes back is a blob that is not there, which is looked
//! for anyway, and `images` syncs the directory before it names blobs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::fs::{self, FsError};
use crate::root::Root;

#[cfg(test)]
mod tests;

/// The blobs of a store.
#[derive(Debug)]
pub struct Blobs {
    root: Arc<Root>,
}

/// A blob being written. Dropped before `finish`, it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    root: Arc<Root>,
    file: File,
    path: PathBuf,
    hasher: Sha256,
    size: u64,
    buffer: Vec<u8>,
}

/// Why a blob could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BlobWriteError {
    /// The bytes are not the expected ones.
    #[error("the bytes have the digest `{found}`, expected `{expected}`")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What the bytes have.
        found: Digest,
    },
    /// The disk refused; it may be full.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// Why a blob could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BlobReadError {
    /// It is not in the store.
    #[error("the store has no blob `{digest}`")]
    Absent {
        /// What was asked for.
        digest: Digest,
    },
    /// Its bytes are not what its name says. It was removed.
    #[error("blob `{digest}` was damaged and has been removed from the store")]
    Damaged {
        /// What was asked for.
        digest: Digest,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// Small writes are put together up to this size.
const BUFFER: usize = 128 << 10;

impl Blobs {
    pub(crate) fn new(root: Arc<Root>) -> Blobs {
        Blobs { root }
    }

    /// Where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.blobs().join(digest.hex())
    }

    /// Whether the blob is there in its full size.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.size(digest).is_some()
    }

    /// The size in bytes of a blob that is there and complete.
    ///
    /// A file that the index does not know (the index was lost, or another tool put it there) is
    /// digested once.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        let found = fs::file_size(&self.path(digest)).ok().flatten()?;
        match self.recorded_size(digest) {
            Some(size) => (size == found).then_some(size),
            None => self.adopt(digest),
        }
    }

    /// Opens a blob for reading. Its bytes are as they were when it was written, unless the disk
    /// changed them: whoever passes them on verifies them.
    pub fn open(&self, digest: &Digest) -> Result<File, BlobReadError> {
        if !self.contains(digest) {
            return Err(BlobReadError::Absent { digest: *digest });
        }
        Ok(fs::open(&self.path(digest))?)
    }

    /// All bytes of a blob, verified. For manifests and configs: it must fit into memory.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, BlobReadError> {
        let bytes = match fs::read(&self.path(digest)) {
            Err(error) if error.is_absent() => Err(BlobReadError::Absent { digest: *digest }),
            other => Ok(other?),
        }?;
        if Digest::of(&bytes) != *digest {
            self.remove(digest)?;
            return Err(BlobReadError::Damaged { digest: *digest });
        }
        Ok(bytes)
    }

    /// Adds a blob that survives a power cut once it is named, and gives its digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobWriteError> {
        let digest = Digest::of(bytes);
        if self.is_recorded(&digest, bytes.len() as u64) {
            return Ok(digest);
        }
        let mut writer = self.writer()?;
        writer.append(bytes)?;
        writer.flush_buffer()?;
        fs::sync_file(&writer.file, &writer.path)?;
        Ok(writer.finish(Some(&digest))?.0)
    }

    /// Adds a file of this file system whose digest is known to be `digest`, without copying it.
    /// Nobody may write to it any more. Gives its size in bytes.
    pub(crate) fn link(&self, file: &Path, digest: &Digest) -> Result<u64, BlobWriteError> {
        // Another build may do so right now: a rename takes the place of what is there at once.
        let temporary = self.root.temporary()?;
        fs::hard_link(file, &temporary)?;
        fs::rename(&temporary, &self.path(digest))?;
        // It does nothing where both are names of one file already.
        fs::remove_file(&temporary)?;
        let size = fs::file_size(file)?.unwrap_or_default();
        self.root.or_warn(self.root.db.put_blob(digest, size));
        Ok(size)
    }

    /// Begins a blob whose bytes come piece by piece.
    pub fn writer(&self) -> Result<BlobWriter, BlobWriteError> {
        let path = self.root.temporary()?;
        Ok(BlobWriter {
            root: self.root.clone(),
            file: fs::create_file(&path)?,
            path,
            hasher: Sha256::new(),
            size: 0,
            buffer: Vec::new(),
        })
    }

    /// Removes a blob. One that is not there is fine.
    pub fn remove(&self, digest: &Digest) -> Result<(), FsError> {
        // The row first: a file without a row is digested before it is believed.
        self.root.or_warn(self.root.db.delete_blob(digest));
        fs::remove_file(&self.path(digest))
    }

    /// All files that have a blob's name.
    pub(crate) fn files(&self) -> Result<Vec<Digest>, FsError> {
        let names = fs::list(&self.root.blobs())?;
        Ok(names.iter().filter_map(|name| format!("sha256:{name}").parse().ok()).collect())
    }

    fn recorded_size(&self, digest: &Digest) -> Option<u64> {
        self.root.or_warn(self.root.db.blob_size(digest)).flatten()
    }

    fn is_recorded(&self, digest: &Digest, size: u64) -> bool {
        self.recorded_size(digest) == Some(size)
            && matches!(fs::file_size(&self.path(digest)), Ok(Some(found)) if found == size)
    }

    fn adopt(&self, digest: &Digest) -> Option<u64> {
        let path = self.path(digest);
        let (found, size) = self.root.or_warn(digest_of(&path))?;
        if found != *digest {
            return None;
        }
        self.root.or_warn(self.root.db.put_blob(digest, size));
        Some(size)
    }
}

/// Digest and size of a file.
pub(crate) fn digest_of(path: &Path) -> Result<(Digest, u64), FsError> {
    let mut file = fs::open(path)?;
    let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER]);
    loop {
        let read = match file.read(&mut buffer) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(|cause| FsError::new("read", path, cause))?,
        };
        if read == 0 {
            return Ok((Digest::from_hasher(hasher), size));
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}

impl BlobWriter {
    /// Names the blob by its digest, and gives digest and size. Bytes that do not have the
    /// `expected` digest are thrown away.
    pub fn finish(mut self, expected: Option<&Digest>) -> Result<(Digest, u64), BlobWriteError> {
        self.flush_buffer()?;
        let digest = Digest::from_hasher(std::mem::take(&mut self.hasher));
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(BlobWriteError::Mismatch { expected: *expected, found: digest });
        }
        let blobs = Blobs::new(self.root.clone());
        if !blobs.is_recorded(&digest, self.size) {
            fs::rename(&self.path, &blobs.path(&digest))?;
            // Without its row the blob is digested when it is next asked for.
            self.root.or_warn(self.root.db.put_blob(&digest, self.size));
        }
        Ok((digest, self.size))
    }

    /// Writes more of it.
    ///
    /// # Errors
    /// The disk refuses; it may be full.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush_buffer()?;
        }
        if bytes.len() >= BUFFER {
            return self.write_out(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush_buffer(&mut self) -> Result<(), FsError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.write_out(&buffer)?;
        }
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    fn write_out(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        fs::write_all(&self.file, &self.path, bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.flush_buffer()?)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // After `finish` the name is gone, and this does nothing. If it fails, the next process
        // sweeps.
        let _ = fs::remove_file(&self.path);
    }
}
