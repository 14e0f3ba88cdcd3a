//! One path as the file system has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat};

/// Seconds and nanoseconds since 1970. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanos: u32,
}

/// Extended attributes that an image carries, in the order of their names.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What the file system says about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// The permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The length in bytes.
    pub size: u64,
    /// When the bytes changed.
    pub mtime: Time,
    /// When anything about it changed. Nobody can set this one.
    pub ctime: Time,
    /// Device and inode: equal for two names of one file.
    pub identity: (u64, u64),
    /// How many names it has.
    pub links: u32,
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink {
        /// Where it points, as it is stored.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket. Images have none: it is copied as an empty file.
    Socket,
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Time {
    /// By the clock that file systems use too.
    pub fn now() -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: since.subsec_nanos(),
        }
    }

    /// Whether it is at least `margin` before `other`.
    pub fn is_before(self, other: Time, margin: Duration) -> bool {
        self.total() + i128::try_from(margin.as_nanos()).unwrap_or(i128::MAX / 2) <= other.total()
    }

    fn total(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }
}

impl Node {
    /// A node from what `stat` says; `target` is asked for if it is a symbolic link.
    #[allow(clippy::unnecessary_cast)] // the fields' widths differ between architectures
    pub(super) fn new<E>(
        stat: &Stat,
        target: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Node, E> {
        let device = stat.st_rdev as u64;
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => NodeKind::Dir,
            FileType::Symlink => NodeKind::Symlink { target: target()? },
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            FileType::CharacterDevice => NodeKind::Char { major, minor },
            FileType::BlockDevice => NodeKind::Block { major, minor },
            FileType::RegularFile | FileType::Unknown => NodeKind::File,
        };
        let time =
            |seconds, nanos: u64| Time { seconds, nanos: u32::try_from(nanos).unwrap_or_default() };
        Ok(Node {
            kind,
            mode: stat.st_mode as u32 & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mtime: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            ctime: time(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
            identity: (stat.st_dev as u64, stat.st_ino as u64),
            links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        })
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == NodeKind::Dir
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == NodeKind::File
    }
}
