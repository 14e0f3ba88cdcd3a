//! Locks between processes: `flock` on files of the store, so that a dead process holds none.
//!
//! The order, for whoever takes more than one; taking them the other way round can deadlock:
//!
//! 1. the store (`lock`): shared while a store is open, exclusive to prune or repair
//! 2. a key (`locks/key-<n>`): one process works on a cache key, others wait for its result;
//!    `locks/claim` is held while one is looked for
//! 3. volumes (`volumes/*/lock`), those of one step in the order of their names: held while the step
//!    runs, which works on one key and takes no other
//! 4. the image index (`locks/index`): around reading, changing and replacing `index.json`
//! 5. the record index: inside SQLite, for the length of one transaction
//!
//! A process works on several keys at once and waits for keys that others hold. That is no
//! deadlock: a key is claimed when the inputs of its step are done, and whoever holds the key of a
//! step waits for no other step. It may wait for the key of a base layer; whoever holds one of
//! those waits for no key at all.
//!
//! `locks/owner-..` is outside the order: it is held from first use to the end and never waited
//! for. Its being free is how others see that the owner of temporary files is gone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::fs::{self, FsError};

/// Whether others may hold the lock too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// With others that share it.
    Shared,
    /// Alone.
    Exclusive,
}

/// A held lock on a file; given back when dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
    path: PathBuf,
    end: End,
}

/// What becomes of the file when its lock is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stays,
    Removed,
}

/// The right to work on one cache key. Others wait until it is dropped.
#[derive(Debug)]
pub struct KeyLock {
    _lock: FileLock,
}

/// Why a key could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The caller gave up waiting.
    #[error("cancelled while another build was working on the same step")]
    Cancelled,
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// The longest pause between two looks at a lock that someone else holds.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

impl FileLock {
    /// Waits for the lock on a file that always stays.
    pub(crate) fn wait(path: &Path, mode: Mode) -> Result<FileLock, FsError> {
        let file = fs::open_lock(path)?;
        let lock = FileLock { file, path: path.to_owned(), end: End::Stays };
        lock.change(mode)?;
        Ok(lock)
    }

    /// Changes the mode and waits for it. For a moment it may be held by neither.
    pub(crate) fn change(&self, mode: Mode) -> Result<(), FsError> {
        let operation = match mode {
            Mode::Shared => FlockOperation::LockShared,
            Mode::Exclusive => FlockOperation::LockExclusive,
        };
        loop {
            match flock(&self.file, operation) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(FsError::new("lock", &self.path, errno)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Changes a shared lock into an exclusive one if nobody else has it. If somebody has, it is
    /// held by neither: two that both kept their share while they wait would wait for each other.
    pub(crate) fn try_exclusive(&self) -> Result<bool, FsError> {
        let locked = try_lock(&self.file, &self.path)?;
        if !locked {
            let unlocked = flock(&self.file, FlockOperation::Unlock);
            unlocked.map_err(|errno| FsError::new("unlock", &self.path, errno))?;
        }
        Ok(locked)
    }

    /// Takes the lock on a file that always stays; none if others are in the way.
    pub(crate) fn try_lock(path: &Path, mode: Mode) -> Result<Option<FileLock>, FsError> {
        let file = fs::open_lock(path)?;
        let operation = match mode {
            Mode::Shared => FlockOperation::NonBlockingLockShared,
            Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match flock(&file, operation) {
            Ok(()) => Ok(Some(FileLock { file, path: path.to_owned(), end: End::Stays })),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(errno) => Err(FsError::new("lock", path, errno)),
        }
    }

    /// Takes the lock on a file that is removed with it; none if somebody has it.
    pub(crate) fn try_transient(path: &Path) -> Result<Option<FileLock>, FsError> {
        let file = fs::open_lock(path)?;
        // Who had it before may have removed the file between the opening and the locking: then
        // this is a lock on a file without a name, which excludes nobody.
        if !try_lock(&file, path)? || !fs::is_same_file(&file, path)? {
            return Ok(None);
        }
        Ok(Some(FileLock { file, path: path.to_owned(), end: End::Removed }))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if self.end == End::Removed {
            // While it is still held. If it cannot be removed, the next holder does it.
            let _ = fs::remove_file(&self.path);
        }
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

fn try_lock(file: &File, path: &Path) -> Result<bool, FsError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(FsError::new("lock", path, errno)),
    }
}

/// Waits for a key, until `cancelled` says so. Its name is digested: it may hold anything.
pub(crate) fn claim(
    locks: &Path,
    key: &str,
    cancelled: &dyn Fn() -> bool,
) -> Result<KeyLock, ClaimError> {
    let name = blake3::hash(key.as_bytes());
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(lock) = try_claim(locks, name.as_bytes())? {
            return Ok(lock);
        }
        if cancelled() {
            return Err(ClaimError::Cancelled);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Takes a free file and writes the key into it, unless one that is held has the key in it.
///
/// Files are used again for other keys: there are as many as there were keys worked on at once,
/// and a claim makes and removes none, which would take longer than all the rest of it.
fn try_claim(locks: &Path, name: &[u8; 32]) -> Result<Option<KeyLock>, FsError> {
    let _one_at_a_time = FileLock::wait(&locks.join("claim"), Mode::Exclusive)?;
    let mut free: Option<FileLock> = None;
    for number in 0.. {
        let path = locks.join(format!("key-{number}"));
        if free.is_some() && !path.exists() {
            break;
        }
        let file = fs::open_lock(&path)?;
        if try_lock(&file, &path)? {
            free.get_or_insert(FileLock { file, path, end: End::Stays });
        } else if holds(&file, name) {
            return Ok(None);
        }
    }
    free.map(|lock| {
        fs::write_all(&lock.file, &lock.path, name)?;
        Ok(KeyLock { _lock: lock })
    })
    .transpose()
}

fn holds(file: &File, name: &[u8; 32]) -> bool {
    let mut held = [0; 32];
    file.read_exact_at(&mut held, 0).is_ok() && held == *name
}
