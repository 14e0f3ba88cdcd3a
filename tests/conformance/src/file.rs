//! Files that a case describes in lines: what git cannot hold, and what is shorter that way.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use serde::Deserialize;

use crate::archive;

/// The time of every file in an archive: 2020-02-02 02:02:02 UTC.
pub const TIME: i64 = 1_580_608_922;

/// One file. Without anything but a path it is empty; a path that ends in `/` is a folder. In
/// `path`, `link`, `hardlink` and the values of `xattrs` a byte can be given as `\xNN`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where, relative to the context (or to the archive's root; there it may be anything).
    pub path: String,
    /// Its text.
    pub text: Option<String>,
    /// Its size, where it is a hole from end to end.
    pub hole: Option<u64>,
    /// It is a symbolic link to this.
    pub link: Option<String>,
    /// It is another name of this file, which stands before it.
    pub hardlink: Option<String>,
    /// It is a `socket`, a `fifo` or a `char` device (null's numbers).
    pub kind: Option<String>,
    /// It is an archive of these.
    pub tar: Option<Vec<File>>,
    /// The archive, or the text, is compressed: `gzip`, `bzip2`, `xz` or `zstd`.
    pub compress: Option<String>,
    /// Permission bits in octal; 0644 and 0755 if not given.
    pub mode: Option<String>,
    /// Owner; 0 if not given.
    #[serde(default)]
    pub uid: u32,
    /// Group; 0 if not given.
    #[serde(default)]
    pub gid: u32,
    /// Extended attributes.
    #[serde(default)]
    pub xattrs: BTreeMap<String, String>,
}

impl File {
    /// Its permission bits.
    pub fn mode(&self) -> u32 {
        let default = if self.is_dir() { "755" } else { "644" };
        u32::from_str_radix(self.mode.as_deref().unwrap_or(default), 8).unwrap()
    }

    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        self.path.ends_with('/')
    }

    /// Its bytes, if it is a regular file that is no hole.
    pub fn bytes(&self) -> Vec<u8> {
        let plain = match (&self.tar, &self.text) {
            (Some(files), _) => archive::tar(files),
            (None, text) => text.clone().unwrap_or_default().into_bytes(),
        };
        match self.compress.as_deref() {
            Some(how) => archive::compress(how, &plain),
            None => plain,
        }
    }
}

/// Text in which `\xNN` stands for a byte.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        out.extend(before.as_bytes());
        out.push(u8::from_str_radix(&after[..2], 16).unwrap());
        rest = &after[2..];
    }
    out.extend(rest.as_bytes());
    out
}

fn path_of(text: &str) -> PathBuf {
    OsString::from_vec(bytes(text)).into()
}

/// Makes these files in a folder.
pub fn lay(files: &[File], root: &Path) {
    for file in files {
        let path = root.join(path_of(&file.path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        make(file, &path, root);
        for (name, value) in &file.xattrs {
            let path = path.as_path();
            rustix::fs::lsetxattr(path, name.as_str(), &bytes(value), XattrFlags::empty())
                .unwrap_or_else(|error| panic!("cannot set `{name}` on {path:?}: {error}"));
        }
        std::os::unix::fs::lchown(&path, Some(file.uid), Some(file.gid)).unwrap();
        if file.link.is_none() {
            set_mode(&path, file.mode());
        }
    }
}

fn make(file: &File, path: &Path, root: &Path) {
    if let Some(target) = &file.link {
        std::os::unix::fs::symlink(path_of(target), path).unwrap();
    } else if let Some(other) = &file.hardlink {
        fs::hard_link(root.join(path_of(other)), path).unwrap();
    } else if let Some(kind) = &file.kind {
        let (kind, device) = match kind.as_str() {
            "socket" => (FileType::Socket, 0),
            "fifo" => (FileType::Fifo, 0),
            "char" => (FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
            other => panic!("`{other}` is no kind of file"),
        };
        rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o644), device).unwrap();
    } else if file.is_dir() {
        fs::create_dir_all(path).unwrap();
    } else if let Some(size) = file.hole {
        fs::File::create(path).unwrap().set_len(size).unwrap();
    } else {
        fs::write(path, file.bytes()).unwrap();
    }
}

/// Sets permission bits, whatever the umask is.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Gives everything below and at a path one time.
pub fn set_times(path: &Path, time: i64) {
    if path.symlink_metadata().unwrap().is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| set_times(&entry.unwrap().path(), time));
    }
    let time = Timespec { tv_sec: time, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
