//! The one door to the disk: whatever changes the store does it here.
//!
//! Two reasons. Every failure names what was tried and on which path. And tests can make the
//! N-th change fail, or everything from the N-th on as if the process had died there, and then
//! lose what was never synced (`fault`), so that every point of a crash is tried.
//!
//! What is synced, and when, is decided by the callers. The rules are in `store`.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[cfg(test)]
pub(crate) mod fault;
mod measure;
#[cfg(test)]
mod tests;

pub(crate) use measure::{Measure, measure, own_blocks};

/// Something that the disk refused: what was tried, on which path, and why not.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{}`: {cause}", path.display())]
pub struct FsError {
    /// What was tried: `open`, `write`, `rename`, ..
    pub verb: &'static str,
    /// What it was tried on.
    pub path: PathBuf,
    /// The system's answer.
    pub cause: io::Error,
}

impl FsError {
    pub(crate) fn new(verb: &'static str, path: &Path, cause: impl Into<io::Error>) -> FsError {
        FsError { verb, path: path.to_owned(), cause: cause.into() }
    }

    /// Whether the path is simply not there.
    pub fn is_absent(&self) -> bool {
        self.cause.kind() == io::ErrorKind::NotFound
    }

    /// Whether there is no room left: a full disk or a used-up quota.
    pub fn is_full(&self) -> bool {
        matches!(self.cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Makes a directory that only its owner can enter. One that is there already is left as it is.
pub(crate) fn create_dir(path: &Path) -> Result<(), FsError> {
    door("create", path)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(FsError::new("create", path, cause))
        }
        _ => Ok(()),
    }
}

/// Makes a directory and those above it, for their owner only.
pub(crate) fn create_dir_all(path: &Path) -> Result<(), FsError> {
    door("create", path)?;
    let made = DirBuilder::new().mode(0o700).recursive(true).create(path);
    made.map_err(|cause| FsError::new("create", path, cause))
}

/// A new file, to be written and read back. It must not be there yet.
pub(crate) fn create_file(path: &Path) -> Result<File, FsError> {
    door("create", path)?;
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|cause| FsError::new("create", path, cause))
}

/// A file that is only there to be locked; made if it is not.
pub(crate) fn open_lock(path: &Path) -> Result<File, FsError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|cause| FsError::new("open", path, cause))
}

/// A file to add lines to; made if it is not there.
pub(crate) fn open_append(path: &Path) -> Result<File, FsError> {
    door("open", path)?;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    file.map_err(|cause| FsError::new("open", path, cause))
}

/// A file to read.
pub(crate) fn open(path: &Path) -> Result<File, FsError> {
    File::open(path).map_err(|cause| FsError::new("open", path, cause))
}

/// All bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    std::fs::read(path).map_err(|cause| FsError::new("read", path, cause))
}

/// The length of a regular file in bytes; none if there is none.
pub(crate) fn file_size(path: &Path) -> Result<Option<u64>, FsError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) => Ok(meta.is_file().then_some(meta.len())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(FsError::new("stat", path, cause)),
    }
}

/// How long ago a file was last written; nothing if there is none.
pub(crate) fn age(path: &Path) -> Result<Duration, FsError> {
    match std::fs::symlink_metadata(path).and_then(|meta| meta.modified()) {
        Ok(written) => Ok(written.elapsed().unwrap_or_default()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Duration::ZERO),
        Err(cause) => Err(FsError::new("stat", path, cause)),
    }
}

/// Gives a directory a mode and an owner.
pub(crate) fn set_owner(path: &Path, mode: u32, (uid, gid): (u32, u32)) -> Result<(), FsError> {
    door("chown", path)?;
    chown(path, Some(uid), Some(gid)).map_err(|cause| FsError::new("chown", path, cause))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|cause| FsError::new("chmod", path, cause))
}

/// Sets the time of a file to now.
pub(crate) fn touch(path: &Path) -> Result<(), FsError> {
    let touched = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    touched.map_err(|cause| FsError::new("touch", path, cause))
}

/// Whether `path` still names the very file that `file` is.
pub(crate) fn is_same_file(file: &File, path: &Path) -> Result<bool, FsError> {
    let open = file.metadata().map_err(|cause| FsError::new("stat", path, cause))?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(FsError::new("stat", path, cause)),
    }
}

/// The names in a directory; none if it is not there.
pub(crate) fn list(path: &Path) -> Result<Vec<String>, FsError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(FsError::new("list", path, cause)),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: io::Result<Vec<String>> = names.collect();
    names.map_err(|cause| FsError::new("list", path, cause))
}

/// Writes all of `bytes` to `file`, whose name is `path`.
pub(crate) fn write_all(mut file: &File, path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    #[cfg(test)]
    fault::wrote(file);
    if let Err(error) = door("write", path) {
        // What a full disk or a crash leaves: a part of it.
        let _ = file.write_all(&bytes[..bytes.len() / 2]);
        return Err(error);
    }
    file.write_all(bytes).map_err(|cause| FsError::new("write", path, cause))
}

/// Waits until the bytes of `file` are on the disk.
pub(crate) fn sync_file(file: &File, path: &Path) -> Result<(), FsError> {
    door("sync", path)?;
    file.sync_data().map_err(|cause| FsError::new("sync", path, cause))?;
    #[cfg(test)]
    fault::synced(file);
    Ok(())
}

/// Waits until the names in a directory are on the disk.
pub(crate) fn sync_dir(path: &Path) -> Result<(), FsError> {
    door("sync", path)?;
    open(path)?.sync_all().map_err(|cause| FsError::new("sync", path, cause))?;
    #[cfg(test)]
    fault::synced_dir(path);
    Ok(())
}

/// Waits until everything on the file system that `path` is on is on the disk.
pub(crate) fn sync_all(path: &Path) -> Result<(), FsError> {
    door("sync", path)?;
    rustix::fs::syncfs(open(path)?).map_err(|cause| FsError::new("sync", path, cause))?;
    #[cfg(test)]
    fault::synced_everything();
    Ok(())
}

/// Gives `from` the name `to`, in place of what had it.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), FsError> {
    door("rename", from)?;
    #[cfg(test)]
    fault::renamed(from, to);
    std::fs::rename(from, to).map_err(|cause| FsError::new("rename", from, cause))
}

/// Gives the file `from` the name `to` as well, which must be free.
pub(crate) fn hard_link(from: &Path, to: &Path) -> Result<(), FsError> {
    door("link", from)?;
    std::fs::hard_link(from, to).map_err(|cause| FsError::new("link", from, cause))
}

/// Replaces a small file at once and for good: written beside as `tmp`, synced, renamed, and the
/// directory synced.
pub(crate) fn replace(path: &Path, tmp: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let written = create_file(tmp).and_then(|file| {
        write_all(&file, tmp, bytes)?;
        sync_file(&file, tmp)
    });
    if let Err(error) = written.and_then(|()| rename(tmp, path)) {
        let _ = remove_file(tmp);
        return Err(error);
    }
    sync_dir(path.parent().unwrap_or(path))
}

/// A free name beside `path`, for a file that is damaged.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        PathBuf::from(name)
    };
    (1..).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(0))
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove_file(path: &Path) -> Result<(), FsError> {
    door("remove", path)?;
    absent_is_fine(path, std::fs::remove_file(path))
}

/// Removes a file or a directory with all in it, and follows no link; what is not there is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<(), FsError> {
    door("remove", path)?;
    let removed = match std::fs::remove_dir_all(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => std::fs::remove_file(path),
        other => other,
    };
    absent_is_fine(path, removed)
}

fn absent_is_fine(path: &Path, removed: io::Result<()>) -> Result<(), FsError> {
    match removed {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(FsError::new("remove", path, cause))
        }
        _ => Ok(()),
    }
}

/// What every change passes first. Tests fail it here.
#[cfg(test)]
pub(crate) fn door(verb: &'static str, path: &Path) -> Result<(), FsError> {
    fault::point().map_err(|errno| FsError::new(verb, path, errno))
}

/// What every change passes first. Tests fail it here.
#[cfg(not(test))]
#[inline]
pub(crate) fn door(_: &'static str, _: &Path) -> Result<(), FsError> {
    Ok(())
}

impl From<FsError> for io::Error {
    fn from(error: FsError) -> io::Error {
        io::Error::new(error.cause.kind(), error)
    }
}
