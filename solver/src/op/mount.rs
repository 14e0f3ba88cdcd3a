//! What a process sees besides its root: mounts, secrets and devices, as plain data.
//!
//! The value of a secret, the socket of an agent and the folder of a cache are the worker's: here
//! are only the names by which it finds them. What decides the result and what does not is said by
//! which fields are serialised.

use serde::Serialize;

/// A tree or file that is there for one process and leaves no trace in the layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where, absolute inside the root.
    pub target: String,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MountKind {
    /// A file with these bytes, read-only: a heredoc that is a script.
    File {
        /// The bytes.
        data: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// A file or directory of an input. What is written to it is gone afterwards.
    Bind {
        /// Which; none for an empty directory.
        source: Option<Source>,
        /// Whether the process can write to what it sees.
        access: Access,
    },
    /// A directory that stays from build to build and belongs to no layer.
    Cache(CacheMount),
    /// An empty directory in memory.
    Tmpfs {
        /// How much fits in, in bytes; none for the kernel's default.
        size: Option<u64>,
    },
    /// A file with a secret.
    Secret(SecretMount),
    /// The socket of an SSH agent of the user's.
    Ssh(SshMount),
}

/// A path of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Which input. The selector on that edge picks what is at the path.
    pub input: usize,
    /// Relative to the root of the input and clean; empty for the root. What is there decides, and
    /// not where it is.
    #[serde(skip)]
    pub path: String,
}

/// What a process can do with a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Access {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// A directory that stays from build to build.
///
/// Which one it is decides no result: a cache may be empty at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CacheMount {
    /// Sets the caches of one project apart from those of others; empty for the common ones.
    #[serde(skip)]
    pub namespace: String,
    /// Its name: any text.
    #[serde(skip)]
    pub id: String,
    /// Who may use it at the same time.
    #[serde(skip)]
    pub sharing: Sharing,
    /// What a new one begins with; none for nothing.
    pub seed: Option<Source>,
    /// Whether the process can write to it.
    pub access: Access,
    /// Owner and mode of a new one; none for what the seed says, or 0755 and root.
    pub owner: Option<FileOwner>,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody.
    Shared,
    /// Nobody else; who comes while it is in use gets another one.
    Private,
    /// Nobody else; who comes while it is in use waits.
    Locked,
}

/// To whom a mounted file or directory belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FileOwner {
    /// Permission bits.
    pub mode: u32,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// A file with a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretMount {
    /// The name that the user gives it by.
    pub id: String,
    /// Owner and mode of the file.
    pub owner: FileOwner,
    /// What happens if the user gives none.
    pub need: Need,
}

/// A variable with a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretVariable {
    /// The variable.
    pub name: String,
    /// The name that the user gives the secret by.
    pub id: String,
    /// What happens if the user gives none: a variable that may be missing is set, and empty.
    pub need: Need,
}

/// The socket of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshMount {
    /// The name that the user gives it by.
    pub id: String,
    /// Owner and mode of the socket.
    pub owner: FileOwner,
    /// What happens if the user gives none.
    pub need: Need,
}

/// A device of this machine, by its CDI name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `vendor.com/class=name`
    pub name: String,
    /// What happens if this machine has none.
    pub need: Need,
}

/// Whether a step can do without something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Need {
    /// It runs without it.
    Optional,
    /// It fails without it.
    Required,
}
