//! Volumes: directories that steps write to and that stay from build to build, in no layer.
//!
//! ```text
//! volumes/<digest>[-<n>]/lock         who uses it
//!                        about.json   how people know it
//!                        data/        what steps see; there once it is complete
//! ```
//!
//! A volume is named by a digest of whatever its users call it, so no name is ever a path. Numbers
//! tell apart those that were made because the first one was in use. Removing one is `gc`'s
//! business, which excludes everybody: while a store is open, a volume in use cannot go.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::fs::{self, FsError};
use crate::layer::{Entry, Layers, WriteError};
use crate::lock::{FileLock, Mode};
use crate::root::Root;
use crate::scratch::{FolderWriter, Scratch};

#[cfg(test)]
mod tests;

/// The volumes of a store.
#[derive(Debug, Clone)]
pub struct Volumes {
    root: Arc<Root>,
    layers: Layers,
}

/// What a volume is found by. All of it is any text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VolumeName {
    /// Sets volumes of one user apart from those of others.
    pub namespace: String,
    /// What its users call it.
    pub id: String,
    /// What a new one begins with, if that is not nothing.
    pub base: String,
}

/// Who may use a volume at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// Everybody.
    Shared,
    /// Nobody else; who comes while it is in use gets another one.
    Private,
    /// Nobody else; who comes while it is in use waits.
    Locked,
}

/// A volume that is there, or one that has to be filled first.
#[derive(Debug)]
pub enum Taken {
    /// It is there.
    Ready(Volume),
    /// It is new.
    New(NewVolume),
}

/// A volume in use, until it is dropped.
#[derive(Debug)]
pub struct Volume {
    folder: PathBuf,
    lock: FileLock,
}

/// A volume that is being made. Nobody sees it before [`NewVolume::finish`].
#[derive(Debug)]
pub struct NewVolume {
    volume: Volume,
    writer: FolderWriter,
    _scratch: Scratch,
    sharing: Sharing,
}

/// Why there is no volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The caller gave up waiting.
    #[error("cancelled while another step was using the same cache mount")]
    Cancelled,
    /// Its first files could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// One volume, for people.
#[derive(Debug, Clone)]
pub struct VolumeUsage {
    /// What it is found by.
    pub name: VolumeName,
    /// Allocated blocks, in bytes.
    pub size: u64,
    /// When it was last used.
    pub used: SystemTime,
    pub(crate) folder: PathBuf,
}

/// The longest pause between two looks at a lock that someone else holds.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

impl Volumes {
    pub(crate) fn new(root: Arc<Root>, layers: Layers) -> Volumes {
        Volumes { root, layers }
    }

    /// Finds a volume, or begins a new one. Waits for others as `sharing` says, and asks
    /// `cancelled` about every 20 ms meanwhile.
    ///
    /// Who takes several takes them in the order of their names: two that wait for each other
    /// would wait for ever.
    pub fn take(
        &self,
        name: &VolumeName,
        sharing: Sharing,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Taken, VolumeError> {
        let digest = name.digest();
        match sharing {
            Sharing::Shared | Sharing::Locked => loop {
                if let Some(taken) = self.enter(&digest, name, sharing, cancelled)? {
                    return Ok(taken);
                }
            },
            Sharing::Private => loop {
                for number in 0..=self.count(&digest)? {
                    if let Some(taken) = self.try_enter(&numbered(&digest, number), name)? {
                        return Ok(taken);
                    }
                }
            },
        }
    }

    /// Removes a volume's files, for a new beginning. Waits until nobody uses it.
    pub fn renew(
        &self,
        name: &VolumeName,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), VolumeError> {
        let folder = self.folder(&name.digest())?;
        let _alone = wait(&folder, Mode::Exclusive, cancelled)?;
        let old = self.root.temporary()?;
        if folder.join("data").exists() {
            fs::rename(&folder.join("data"), &old)?;
            fs::remove_tree(&old)?;
        }
        Ok(())
    }

    /// None if it went away meanwhile.
    fn enter(
        &self,
        digest: &str,
        name: &VolumeName,
        sharing: Sharing,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Taken>, VolumeError> {
        let folder = self.folder(digest)?;
        if folder.join("data").exists() {
            let lock = wait(&folder, sharing.mode(), cancelled)?;
            let there = folder.join("data").exists();
            return Ok(there.then_some(Taken::Ready(Volume { folder, lock })));
        }
        let lock = wait(&folder, Mode::Exclusive, cancelled)?;
        if folder.join("data").exists() {
            return Ok(None);
        }
        self.begin(folder, lock, name, sharing).map(Some)
    }

    /// None if somebody uses it.
    fn try_enter(&self, digest: &str, name: &VolumeName) -> Result<Option<Taken>, VolumeError> {
        let folder = self.folder(digest)?;
        let Some(lock) = FileLock::try_lock(&folder.join("lock"), Mode::Exclusive)? else {
            return Ok(None);
        };
        if folder.join("data").exists() {
            return Ok(Some(Taken::Ready(Volume { folder, lock })));
        }
        self.begin(folder, lock, name, Sharing::Private).map(Some)
    }

    fn begin(
        &self,
        folder: PathBuf,
        lock: FileLock,
        name: &VolumeName,
        sharing: Sharing,
    ) -> Result<Taken, VolumeError> {
        let about = serde_json::to_vec(name).unwrap_or_default();
        fs::replace(&folder.join("about.json"), &self.root.temporary()?, &about)?;
        let scratch = Scratch::new(&self.root)?;
        let writer = FolderWriter::new(&scratch, "data", &self.layers)?;
        let volume = Volume { folder, lock };
        Ok(Taken::New(NewVolume { volume, writer, _scratch: scratch, sharing }))
    }

    fn folder(&self, digest: &str) -> Result<PathBuf, FsError> {
        let volumes = self.root.volumes();
        let folder = volumes.join(digest);
        fs::create_dir(&volumes)?;
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    fn count(&self, digest: &str) -> Result<usize, FsError> {
        let names = fs::list(&self.root.volumes())?;
        Ok(names.iter().filter(|name| name.starts_with(digest)).count())
    }
}

impl Sharing {
    fn mode(self) -> Mode {
        match self {
            Sharing::Shared => Mode::Shared,
            Sharing::Private | Sharing::Locked => Mode::Exclusive,
        }
    }
}

impl VolumeName {
    fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [&self.namespace, &self.id, &self.base] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

impl Volume {
    /// The directory that steps see.
    pub fn path(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Its lock's time says when it was last used. A wrong one only makes it go earlier.
        let _ = fs::touch(&self.folder.join("lock"));
    }
}

impl NewVolume {
    /// Adds a file or directory that it begins with.
    pub fn add(&mut self, entry: &Entry, data: Option<&mut dyn Read>) -> Result<(), WriteError> {
        self.writer.add(entry, data)
    }

    /// Makes it a volume, with this mode and owner of its top directory.
    pub fn finish(self, mode: u32, owner: (u32, u32)) -> Result<Volume, VolumeError> {
        let NewVolume { volume, writer, _scratch, sharing } = self;
        let top = writer.finish()?;
        fs::set_owner(&top, mode, owner)?;
        fs::rename(&top, &volume.path())?;
        volume.lock.change(sharing.mode())?;
        Ok(volume)
    }
}

/// The volumes that there are.
pub(crate) fn usage(root: &Root) -> Result<Vec<VolumeUsage>, FsError> {
    let mut volumes = Vec::new();
    for name in fs::list(&root.volumes())? {
        let folder = root.volumes().join(name);
        let about = fs::read(&folder.join("about.json")).unwrap_or_default();
        let unknown =
            VolumeName { namespace: String::new(), id: String::new(), base: String::new() };
        volumes.push(VolumeUsage {
            name: serde_json::from_slice(&about).unwrap_or(unknown),
            size: fs::measure(&folder)?.allocated,
            used: SystemTime::now() - fs::age(&folder.join("lock"))?,
            folder,
        });
    }
    Ok(volumes)
}

fn numbered(digest: &str, number: usize) -> String {
    match number {
        0 => digest.to_owned(),
        number => format!("{digest}-{number}"),
    }
}

fn wait(folder: &Path, mode: Mode, cancelled: &dyn Fn() -> bool) -> Result<FileLock, VolumeError> {
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(lock) = FileLock::try_lock(&folder.join("lock"), mode)? {
            return Ok(lock);
        }
        if cancelled() {
            return Err(VolumeError::Cancelled);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
