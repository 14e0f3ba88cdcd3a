//! The stat cache: which file content an inode had, so that a warm build reads no file.
//!
//! A digest is trusted while device, inode, size, mode, mtime and ctime are what they were. The
//! ctime catches changes that keep size and restore the mtime: no program can set it. What was
//! changed so shortly before it was read that a later change could carry the same ctime is not
//! remembered at all.
//!
//! On disk it is one file for each build context, read whole: a header, and one record of
//! `RECORD` bytes for each inode, sorted, numbers big-endian so that bytes sort as numbers do.
//! A damaged file is an empty cache. Two processes may use one file: the last one to save wins
//! where they disagree, which costs the other a few reads next time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ContentDigest;
use crate::fs::{self, FsError};
use crate::tree::{Node, Time};

/// Digests of file contents by inode. Shared by all threads of a build.
#[derive(Debug, Default)]
pub struct StatCache {
    place: Option<Place>,
    saved: Saved,
    fresh: Mutex<BTreeMap<Inode, Rest>>,
}

/// What is in a file that is whole; nothing of another one.
#[derive(Debug, Default)]
struct Saved(Vec<u8>);

/// Where a cache is kept.
#[derive(Debug)]
struct Place {
    file: PathBuf,
    /// A name that nobody else uses, for the file that will replace it.
    temporary: PathBuf,
}

/// Device and inode.
type Inode = [u8; 16];

/// What has to be equal, and the digest.
type Rest = [u8; 68];

/// The bytes of a record: [`Inode`] and [`Rest`].
const RECORD: usize = 84;

/// How many of the bytes of [`Rest`] describe the file; the digest follows.
const DESCRIPTION: usize = 36;

/// The first bytes of the file; the BLAKE3 digest of the records follows.
const MAGIC: &[u8; 16] = b"rbuild stat 1\n\0\0";

const HEADER: usize = MAGIC.len() + 32;

/// More than this many inodes, and only those of the running build are kept.
const MAX_RECORDS: usize = 500_000;

/// Clocks of file systems stand still for one tick of the kernel, at most 10 ms.
const FINE: Duration = Duration::from_millis(20);

/// Where a time has no fraction, the file system may only keep whole (FAT: even) seconds.
const COARSE: Duration = Duration::from_secs(2);

impl StatCache {
    /// Knows nothing, and is never saved: for trees that are read once.
    pub fn none() -> StatCache {
        StatCache::default()
    }

    /// The cache in the folder `caches` for the build context at `context`. What cannot be read
    /// is empty. `temporary` is a name for [`StatCache::save`] alone, on the same file system.
    pub(crate) fn open(caches: &Path, temporary: PathBuf, context: &Path) -> StatCache {
        let name = ContentDigest::of(context.as_os_str().as_encoded_bytes()).hex();
        let file = caches.join(&name[..32]);
        let saved = Saved::load(&file);
        StatCache { place: Some(Place { file, temporary }), saved, fresh: Mutex::default() }
    }

    /// The digest of the file's content, if it is known to be unchanged.
    pub fn get(&self, node: &Node) -> Option<ContentDigest> {
        let (inode, description) = (inode(node), describe(node));
        let fresh = self.fresh().get(&inode).copied();
        let rest = fresh.or_else(|| self.saved.find(&inode))?;
        let digest: [u8; 32] = rest[DESCRIPTION..].try_into().ok()?;
        (rest[..DESCRIPTION] == description).then(|| ContentDigest::from_bytes(digest))
    }

    /// Remembers a digest. `looked` is the time just before the file was opened; `node` what it
    /// was then, and still is.
    pub fn put(&self, node: &Node, digest: ContentDigest, looked: Time) {
        if settled(node.ctime, looked) {
            let mut rest = [0; RECORD - 16];
            rest[..DESCRIPTION].copy_from_slice(&describe(node));
            rest[DESCRIPTION..].copy_from_slice(digest.as_bytes());
            self.fresh().insert(inode(node), rest);
        }
    }

    /// Writes what this build learned, if it learned anything. If that fails, the next build reads
    /// more than it must, no more.
    pub fn save(&self) -> Result<(), FsError> {
        let Some(place) = &self.place else { return Ok(()) };
        let fresh = self.fresh();
        if fresh.is_empty() {
            return Ok(());
        }
        // Another process may have saved since: its inodes are kept.
        place.store(&Saved::load(&place.file), &fresh)
    }

    fn fresh(&self) -> MutexGuard<'_, BTreeMap<Inode, Rest>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Replaces the file at once. It is not synced: what a crash leaves of it fails its digest.
    fn store(&self, saved: &Saved, fresh: &BTreeMap<Inode, Rest>) -> Result<(), FsError> {
        let Place { file, temporary } = self;
        fs::create_dir(file.parent().unwrap_or(file))?;
        fs::remove_file(temporary)?;
        let mut bytes = [MAGIC.as_slice(), &[0; 32]].concat();
        merge(saved, fresh, &mut bytes);
        let digest = blake3::hash(&bytes[HEADER..]);
        bytes[MAGIC.len()..HEADER].copy_from_slice(digest.as_bytes());
        fs::write_all(&fs::create_file(temporary)?, temporary, &bytes)?;
        fs::rename(temporary, file)
    }
}

impl Saved {
    fn load(path: &Path) -> Saved {
        let bytes = fs::read(path).unwrap_or_default();
        let Some((header, records)) = bytes.split_at_checked(HEADER) else {
            return Saved::default();
        };
        let sound = header.starts_with(MAGIC)
            && header[MAGIC.len()..] == *blake3::hash(records).as_bytes()
            && records.len().is_multiple_of(RECORD);
        if sound { Saved(bytes) } else { Saved::default() }
    }

    /// In the order of their inodes.
    fn records(&self) -> &[[u8; RECORD]] {
        self.0.get(HEADER..).unwrap_or_default().as_chunks().0
    }

    fn find(&self, inode: &Inode) -> Option<Rest> {
        let records = self.records();
        let index = records.binary_search_by(|record| record[..16].cmp(inode.as_slice())).ok()?;
        records[index][16..].try_into().ok()
    }
}

/// Whether a change after `looked` is sure to give another ctime.
fn settled(ctime: Time, looked: Time) -> bool {
    let margin = if ctime.nanos.is_multiple_of(1_000_000) { COARSE } else { FINE };
    ctime.is_before(looked, margin)
}

fn inode(node: &Node) -> Inode {
    let mut inode = [0; 16];
    inode[..8].copy_from_slice(&node.identity.0.to_be_bytes());
    inode[8..].copy_from_slice(&node.identity.1.to_be_bytes());
    inode
}

fn describe(node: &Node) -> [u8; DESCRIPTION] {
    let mut text = [0; DESCRIPTION];
    text[..8].copy_from_slice(&node.size.to_be_bytes());
    text[8..16].copy_from_slice(&node.mtime.seconds.to_be_bytes());
    text[16..20].copy_from_slice(&node.mtime.nanos.to_be_bytes());
    text[20..28].copy_from_slice(&node.ctime.seconds.to_be_bytes());
    text[28..32].copy_from_slice(&node.ctime.nanos.to_be_bytes());
    text[32..].copy_from_slice(&node.mode.to_be_bytes());
    text
}

/// Adds all records in order to `out`, those of `fresh` for the inodes that both know.
fn merge(saved: &Saved, fresh: &BTreeMap<Inode, Rest>, out: &mut Vec<u8>) {
    let kept = match saved.records() {
        many if many.len() + fresh.len() > MAX_RECORDS => &[],
        records => records,
    };
    out.reserve_exact((kept.len() + fresh.len()) * RECORD);
    let mut kept = kept.iter().filter(|record| !fresh.contains_key(&record[..16])).peekable();
    for (inode, rest) in fresh {
        while let Some(record) = kept.next_if(|record| record[..16] < inode[..]) {
            out.extend(record);
        }
        out.extend(inode);
        out.extend(rest);
    }
    kept.for_each(|record| out.extend(record));
}

#[cfg(test)]
mod tests;
