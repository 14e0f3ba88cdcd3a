//! What a vertex does, as plain data.
//!
//! An op names nothing of this machine: no host path, no process, no time. Two ops with equal
//! fields and equal inputs are the same work, which is what makes keys out of them. How an op is
//! carried out is the worker's business.

pub mod mount;

use rbuild_cache::Digest;
use serde::{Deserialize, Serialize};

use mount::{Device, Mount, SecretVariable};

/// A platform as OCI writes it: `linux/arm64/v8` is os, architecture and variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Platform {
    /// `linux`
    pub os: String,
    /// `amd64`, `arm64`, ..
    pub architecture: String,
    /// `v7`; empty when there is none.
    pub variant: String,
}

/// What one vertex does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Op {
    /// The file tree of an image. No inputs.
    Image(ImageOp),
    /// A tree that the user gives: the build context. No inputs, and no key of its own: who reads
    /// from it is keyed by the content of what the edge's selector picks.
    Context(ContextOp),
    /// Run a process on a root file system.
    Exec(ExecOp),
    /// A file behind an address. No inputs.
    Http(HttpOp),
    /// The files of one commit of a git repository. No inputs.
    Git(GitOp),
    /// Copy files from inputs onto a tree: `COPY`, `ADD`.
    Copy(CopyOp),
    /// Make a directory where there is none: `WORKDIR`.
    MakeDir(MakeDirOp),
    /// The inputs laid over each other, the first one at the bottom: a tree and what was made apart
    /// from it, `COPY --link`. Needs the bytes of neither. Without inputs it is the empty tree.
    Stack,
}

impl Op {
    /// Whether there is something to do. A context only has to be named, and a stack is known as
    /// soon as its inputs are.
    pub fn is_work(&self) -> bool {
        !matches!(self, Op::Context(_) | Op::Stack)
    }
}

/// An image that was resolved to a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageOp {
    /// The reference as the build knows it, canonical: `docker.io/library/busybox:latest`.
    pub reference: String,
    /// The digest of the manifest for `platform`.
    pub manifest: Digest,
    /// The diffIDs of its layers, bottom first: the identity of its tree.
    pub diff_ids: Vec<Digest>,
    /// The platform it was resolved for.
    pub platform: Platform,
}

/// A tree that the user gives, by the name it has in this build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContextOp {
    /// [`ContextOp::MAIN`], or the name of `--build-context`.
    pub name: String,
}

impl ContextOp {
    /// The build context itself. No name that a user can give, for they may give `context`.
    pub const MAIN: &str = "";
}

/// A file behind an address: a tree with nothing but this file, root's and with mode 0600.
///
/// Where it comes from takes no part in any key; what it is does. So `found` is set before
/// anything is keyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpOp {
    /// `http://..` or `https://..`
    #[serde(skip)]
    pub url: String,
    /// The file's name in the tree.
    pub name: String,
    /// What is there.
    pub found: Option<HttpFile>,
}

/// What is behind an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpFile {
    /// The digest of the bytes.
    pub digest: Digest,
    /// `Last-Modified`, seconds since 1970. None if nobody asked, because the user named the
    /// digest.
    pub modified: Option<i64>,
}

/// The files of one commit of a git repository, root's, with modes 0644 and 0755.
///
/// As with a file behind an address, `commit` is what counts, and is set before anything is keyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GitOp {
    /// The repository, as `git clone` takes it.
    #[serde(skip)]
    pub remote: String,
    /// A branch, a tag, another ref, or a whole commit id; none for the branch that `HEAD` names.
    #[serde(skip)]
    pub reference: Option<String>,
    /// How the id of the commit has to begin.
    #[serde(skip)]
    pub checksum: Option<String>,
    /// The id of the commit, 40 or 64 hex digits.
    pub commit: Option<String>,
    /// Which directory is the tree: clean and relative, empty for all of it.
    pub subdir: String,
    /// What becomes of `.git`.
    pub git_dir: GitDir,
    /// What becomes of submodules.
    pub submodules: Submodules,
    /// The times of the files.
    pub times: GitTimes,
}

/// What becomes of `.git`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum GitDir {
    /// It is left out.
    Dropped,
    /// It is part of the tree: a repository with one commit. It tells where it comes from, so
    /// that is part of the key.
    Kept {
        /// The repository.
        remote: String,
        /// The ref as asked for.
        reference: Option<String>,
    },
}

/// What becomes of submodules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Submodules {
    /// Their files are part of the tree.
    Included,
    /// They are empty directories.
    LeftOut,
}

/// The times of files that come from git, which knows none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum GitTimes {
    /// When they were fetched.
    Checkout,
    /// When the commit was made.
    Commit,
}

/// A process on a root file system. The root is input 0, or nothing (`FROM scratch`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecOp {
    /// Which input is the root; none for an empty root.
    pub root: Option<usize>,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// The environment, in order, without proxy variables.
    pub env: Vec<(String, String)>,
    /// Variables that the process sees and no key does: proxies.
    #[serde(skip)]
    pub unkeyed_env: Vec<(String, String)>,
    /// The working directory, absolute.
    pub cwd: String,
    /// `USER` as written: empty, `name`, `uid`, `name:group`, ..
    pub user: String,
    /// The host name that the process sees.
    pub hostname: String,
    /// Which network the process sees.
    pub network: Network,
    /// What the process may do.
    pub security: Security,
    /// Further trees and files, mounted for the process only, in the order they are mounted.
    pub mounts: Vec<Mount>,
    /// Variables with secrets.
    pub secrets: Vec<SecretVariable>,
    /// Devices of the machine.
    pub devices: Vec<Device>,
    /// What it can use of the machine.
    pub resources: Resources,
    /// The platform whose binaries these are.
    pub platform: Platform,
}

/// Which network a process sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Network {
    /// A private one that reaches the outside.
    Default,
    /// The host's own.
    Host,
    /// Loopback only.
    None,
}

/// What a process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// What a build's programs need, and no more.
    Confined,
    /// Everything that root can do, the kernel's settings included. The user has to allow it.
    Insecure,
}

/// What a process can use of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// The size of `/dev/shm` in bytes; none for 64 MiB.
    pub shm_size: Option<u64>,
    /// In the order given; of several for one resource the last counts.
    pub ulimits: Vec<Ulimit>,
}

/// A resource limit (`setrlimit(2)`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`, `nproc`, ..: the name as `ulimit` of docker has it.
    pub name: String,
    /// What counts now; none for no limit.
    pub soft: Option<u64>,
    /// What it can be raised to; none for no limit.
    pub hard: Option<u64>,
}

/// Files from inputs (or given inline) onto a tree. Makes one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyOp {
    /// Which input the files go onto; none for an empty tree.
    pub base: Option<usize>,
    /// What is copied, in order.
    pub sources: Vec<CopySource>,
    /// The destination, absolute. A trailing `/` says that it is a directory.
    pub dest: String,
    /// `--chown` as written after expansion: `user[:group]`; none for the owners that the sources
    /// have.
    pub chown: Option<String>,
    /// `--chmod` as written after expansion, octal or symbolic.
    pub chmod: Option<String>,
}

/// Whether an archive is unpacked or copied as the file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unpack {
    /// Copied as it is.
    No,
    /// Unpacked if its first bytes say that it is an archive.
    Archives,
}

/// One source of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum CopySource {
    /// Paths of an input.
    Input {
        /// Which input. The selector on that edge says which of its paths.
        input: usize,
        /// `ADD`: an archive is unpacked, by its content.
        unpack: Unpack,
    },
    /// A file given in the Dockerfile itself.
    Inline {
        /// The file's name.
        name: String,
        /// The bytes.
        data: Vec<u8>,
    },
}

/// A directory that is there afterwards, with its missing parents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MakeDirOp {
    /// Which input the directory is made on; none for an empty tree.
    pub base: Option<usize>,
    /// Absolute and clean.
    pub path: String,
    /// Who owns what had to be made: `USER` as written, looked up in the tree.
    pub user: String,
    /// The permission bits of what had to be made.
    pub mode: u32,
}
