//! How much of the disk a tree takes, and whether it is still the tree that was once measured.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::FsError;

/// The extent of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measure {
    /// Allocated blocks, in bytes; each inode once. This is what removing the tree gives back.
    pub(crate) allocated: u64,
    /// The lengths of all regular files, each name counted. A file that a power cut robbed of its
    /// end or of all its bytes changes this sum.
    pub(crate) bytes: u64,
    /// The number of names below the top.
    pub(crate) entries: u64,
}

impl Measure {
    /// Whether a tree measured as `self` can be the one measured as `before`. Blocks do not count:
    /// a file system may move and merge them.
    pub(crate) fn same_tree(&self, before: &Measure) -> bool {
        self.bytes == before.bytes && self.entries == before.entries
    }

    fn add(&mut self, meta: &Metadata, seen: &mut HashSet<u64>) {
        if meta.is_file() {
            self.bytes += meta.len();
        }
        if meta.is_dir() || meta.nlink() == 1 || seen.insert(meta.ino()) {
            self.allocated += meta.blocks() * 512;
        }
    }
}

/// The allocated blocks of a file in bytes; none if they are another file's too, under another name.
pub(crate) fn own_blocks(path: &Path) -> Result<u64, FsError> {
    let meta =
        std::fs::symlink_metadata(path).map_err(|cause| FsError::new("stat", path, cause))?;
    Ok(if meta.nlink() > 1 { 0 } else { meta.blocks() * 512 })
}

/// Measures the tree at `top`, following no link and staying on any file system below it.
pub(crate) fn measure(top: &Path) -> Result<Measure, FsError> {
    let meta = std::fs::symlink_metadata(top).map_err(|cause| FsError::new("stat", top, cause))?;
    let (mut total, mut linked) = (Measure::default(), HashSet::new());
    total.add(&meta, &mut linked);
    let mut pending = if meta.is_dir() { vec![top.to_owned()] } else { Vec::new() };
    while let Some(dir) = pending.pop() {
        let at = &dir;
        let failed = |verb| move |cause| FsError::new(verb, at, cause);
        let Some(entries) = unless_gone(std::fs::read_dir(at)).map_err(failed("list"))? else {
            continue;
        };
        for entry in entries {
            let entry = entry.map_err(failed("list"))?;
            let Some(meta) = unless_gone(entry.metadata()).map_err(failed("stat"))? else {
                continue;
            };
            total.entries += 1;
            total.add(&meta, &mut linked);
            if meta.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(total)
}

/// A build may be at work in what is measured: what goes away meanwhile is not there.
fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
