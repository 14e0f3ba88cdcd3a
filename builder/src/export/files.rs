//! The files of images, as an archive or in a folder: `-o type=tar` and `-o type=local`. Of several
//! platforms each has a folder of its own, such as `linux_amd64`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rbuild_cache::layer::{MountError, ReadError};
use rbuild_cache::{Snapshot, Store};
use rbuild_solver::op::Platform;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

use super::sink::{Sink, SinkError};
use crate::options::Dest;
use crate::sandbox::Isolation;

/// Why the files of an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The image could not be made visible.
    #[error("cannot mount the image to read its files")]
    Mount(#[from] MountError),
    /// The image could not be read.
    #[error("cannot read the files of the image")]
    Read(#[from] ReadError),
    /// The archive could not be opened or finished.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the image could not be read.
    #[error("cannot read `{}`", path.display())]
    ReadFile {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes the files as one archive.
pub fn write_tar(
    store: &Store,
    trees: &[(&Platform, &Snapshot)],
    dest: &Dest,
    epoch: Option<i64>,
) -> Result<(), FilesError> {
    let mut sink = Sink::open(dest)?;
    let folders = folders(trees);
    let trees: Vec<(&str, &Snapshot)> =
        folders.iter().zip(trees).map(|(folder, (_, tree))| (folder.as_str(), *tree)).collect();
    store.layers().write_trees(&trees, epoch, &mut sink)?;
    Ok(sink.finish()?)
}

/// Writes the files into a folder, over what is there already.
pub fn write_folder(
    store: &Store,
    trees: &[(&Platform, &Snapshot)],
    dest: &Path,
    isolation: &Isolation,
) -> Result<(), FilesError> {
    for (folder, (_, tree)) in folders(trees).iter().zip(trees) {
        write_tree(store, tree, &dest.join(folder), isolation)?;
    }
    Ok(())
}

/// The folder of each tree; none, which is empty, for the only one.
fn folders(trees: &[(&Platform, &Snapshot)]) -> Vec<String> {
    match trees {
        [_] => vec![String::new()],
        _ => trees.iter().map(|(platform, _)| platform.to_string().replace('/', "_")).collect(),
    }
}

fn write_tree(
    store: &Store,
    snapshot: &Snapshot,
    dest: &Path,
    isolation: &Isolation,
) -> Result<(), FilesError> {
    let view = store.layers().view(snapshot)?;
    let mut copy = Copy {
        owners: if isolation.rootless { Owners::Mine } else { Owners::Kept },
        links: HashMap::new(),
    };
    fs::create_dir_all(dest).map_err(|source| failed(dest, source))?;
    copy.folder(view.path(), dest)
}

/// Who owns what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owners {
    /// The same as in the image.
    Kept,
    /// The user: another one's files could not be removed by them.
    Mine,
}

/// A copy under way.
struct Copy {
    owners: Owners,
    /// Where files with several names were written first.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copy {
    fn folder(&mut self, from: &Path, to: &Path) -> Result<(), FilesError> {
        for name in names(from).map_err(|source| unread(from, source))? {
            let (from, to) = (from.join(&name), to.join(&name));
            self.entry(&from, &to)?;
        }
        Ok(())
    }

    fn entry(&mut self, from: &Path, to: &Path) -> Result<(), FilesError> {
        let found = from.symlink_metadata().map_err(|source| unread(from, source))?;
        make_way(to, &found).map_err(|source| failed(to, source))?;
        if found.is_dir() {
            self.folder(from, to)?;
        } else if found.is_symlink() {
            let target = fs::read_link(from).map_err(|source| unread(from, source))?;
            symlink(target, to).map_err(|source| failed(to, source))?;
        } else if found.is_file() {
            self.file(from, to, &found)?;
        } else {
            // Devices, pipes and sockets mean nothing outside of a container.
            return Ok(());
        }
        self.attributes(to, &found).map_err(|source| failed(to, source))
    }

    fn file(&mut self, from: &Path, to: &Path, found: &fs::Metadata) -> Result<(), FilesError> {
        let failed = |source| failed(to, source);
        if found.nlink() > 1 {
            let first = self.links.entry((found.dev(), found.ino())).or_insert_with(|| to.into());
            if first != to {
                return fs::hard_link(&*first, to).map_err(failed);
            }
        }
        let mut from = File::open(from).map_err(|source| unread(from, source))?;
        io::copy(&mut from, &mut File::create(to).map_err(failed)?).map(drop).map_err(failed)
    }

    fn attributes(&self, to: &Path, found: &fs::Metadata) -> io::Result<()> {
        if self.owners == Owners::Kept {
            lchown(to, Some(found.uid()), Some(found.gid()))?;
        }
        if !found.is_symlink() {
            fs::set_permissions(to, Permissions::from_mode(found.mode() & 0o7777))?;
        }
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: found.mtime(), tv_nsec: found.mtime_nsec() },
        };
        Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// Removes what stands where something of another kind is to be written. A folder stays for a
/// folder; nothing is ever written through a link.
fn make_way(to: &Path, new: &fs::Metadata) -> io::Result<()> {
    match to.symlink_metadata() {
        Ok(old) if old.is_dir() && new.is_dir() => Ok(()),
        Ok(old) if old.is_dir() => fs::remove_dir_all(to),
        Ok(_) => fs::remove_file(to),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }?;
    if new.is_dir() && !to.is_dir() {
        fs::create_dir(to)?;
    }
    Ok(())
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names: Vec<OsString> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort_by(|a: &OsString, b: &OsString| OsStr::cmp(a, b));
    Ok(names)
}

fn failed(path: &Path, source: io::Error) -> FilesError {
    FilesError::Write { path: path.to_owned(), source }
}

fn unread(path: &Path, source: io::Error) -> FilesError {
    FilesError::ReadFile { path: path.to_owned(), source }
}
