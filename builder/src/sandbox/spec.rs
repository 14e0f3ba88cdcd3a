//! What a caller asks of the sandbox: one process, its root and what it may see.
//!
//! Plain data. Nothing here opens or mounts anything.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rbuild_solver::op::{Network, Platform, Resources, Security};
use serde::{Deserialize, Serialize};

/// One process to run.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its root file system.
    pub root: Root,
    /// The program and its arguments. A program without `/` is looked for in `PATH`.
    pub args: Vec<String>,
    /// The environment. `PATH` and `HOME` are added when missing.
    pub env: Vec<(String, String)>,
    /// The working directory, absolute inside the root; empty means `/`. Made if it is missing.
    pub cwd: String,
    /// `USER` as a Dockerfile has it: empty, `name`, `uid`, `name:group`, `uid:gid`.
    pub user: String,
    /// The host name that the process sees.
    pub hostname: String,
    /// Which network it sees.
    pub network: Network,
    /// What its programs are made for.
    pub platform: Platform,
    /// What it may do.
    pub security: Security,
    /// What it can use of the machine.
    pub resources: Resources,
    /// What all its processes together can use of it.
    pub limits: Limits,
    /// Names that `/etc/hosts` adds: host name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// Further trees and files, mounted in this order.
    pub mounts: Vec<Mount>,
    /// Where its input comes from and its output goes.
    pub stdio: Stdio,
}

/// What the processes of a step together can use of the machine. The result does not depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub cpus: Option<u64>,
}

impl Limits {
    /// Whether there are any.
    pub fn are_set(&self) -> bool {
        self.memory.is_some() || self.cpus.is_some()
    }
}

/// What a process gets only if the user allows it, whoever asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    /// The host's network.
    HostNetwork,
    /// Everything that root can do.
    Insecure,
}

impl Entitlement {
    /// Those that there are.
    pub const ALL: [Entitlement; 2] = [Entitlement::HostNetwork, Entitlement::Insecure];

    /// The name by which it is allowed.
    pub fn name(self) -> &'static str {
        match self {
            Entitlement::HostNetwork => "network.host",
            Entitlement::Insecure => "security.insecure",
        }
    }
}

impl Spec {
    /// What this process has to be allowed.
    pub fn needs(&self) -> Vec<Entitlement> {
        let network = (self.network == Network::Host).then_some(Entitlement::HostNetwork);
        let security = (self.security == Security::Insecure).then_some(Entitlement::Insecure);
        network.into_iter().chain(security).collect()
    }
}

/// The root file system of a process.
#[derive(Debug, Clone)]
pub enum Root {
    /// An overlay made for the process and gone with it; what it writes is in `upper`.
    Overlay {
        /// Read-only layers, the topmost first. May be empty.
        lowers: Vec<PathBuf>,
        /// Where changes go.
        upper: PathBuf,
        /// An empty directory on the same file system as `upper`.
        work: PathBuf,
    },
    /// A tree as it is. Mount points that are missing in it are made, and removed afterwards.
    #[cfg_attr(not(test), expect(dead_code, reason = "no step runs on a tree that it shares"))]
    Tree {
        /// The tree.
        source: Source,
        /// Whether the process may change it.
        access: Access,
    },
}

/// A file or directory of the host, in the mount namespace of this process.
#[derive(Debug, Clone)]
pub enum Source {
    /// By a path that the caller trusts.
    Path(PathBuf),
    /// By a descriptor; `O_PATH` is enough. The right form for paths that an image chose.
    Fd(Arc<OwnedFd>),
}

/// Whether something may be changed through a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// A tree or file that the process sees and its root does not keep.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Where, inside the root. Links are followed, but never out of the root.
    pub target: String,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone)]
pub enum MountKind {
    /// A file or directory of the host. Device files in it cannot be opened.
    Bind {
        /// Which.
        source: Source,
        /// Whether it may be changed.
        access: Access,
    },
    /// A device file of the host, which can be opened. Its mode and owner cannot be changed.
    Device {
        /// Which.
        path: PathBuf,
        /// What the step sees of it.
        look: DeviceLook,
    },
    /// An empty directory in memory.
    Tmpfs {
        /// Its size in bytes; none for the kernel's default.
        size: Option<u64>,
        /// Its permission bits.
        mode: u32,
    },
    /// A read-only file with these bytes.
    File {
        /// The bytes.
        data: Vec<u8>,
        /// Its permission bits.
        mode: u32,
        /// Who owns it.
        owner: (u32, u32),
    },
}

/// What a device file has in place of what the host's has; none is as on the host. What differs
/// from the host takes a file of its own, which only root can make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLook {
    /// Its permission bits.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

/// Where a process's input comes from and its output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// No input; standard output and error go to the caller in the order they were written.
    Piped,
    /// The standard streams of this process.
    Inherit,
    /// No input; standard output and error of this process.
    Output,
    /// A terminal of its own: what is typed at this process's goes in, its output to the caller.
    Terminal,
}

/// How a process ended, and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How.
    pub exit: Exit,
    /// What it used of memory.
    pub memory: MemoryUse,
}

/// What a step used of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// The most bytes at once: of all processes where they had a limit, else of the largest one.
    pub peak: Option<u64>,
    /// The bytes it was limited to.
    pub limit: Option<u64>,
    /// Whether the kernel ended a process because there was no more.
    pub ran_out: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}
