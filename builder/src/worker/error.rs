//! Why an op could not be carried out.

use std::path::PathBuf;

use rbuild_cache::layer::{MountError, ReadError, WriteError};
use rbuild_cache::tree::{DigestError, OpenError, SelectError};
use rbuild_cache::{ClaimError, DbError, VolumeError};

use super::copy::CopyError;
use super::mount::MountFailure;
use crate::exit;
use crate::given::secrets::SecretError;
use crate::sandbox::{Exit, MemoryUse, SandboxError};
use crate::source::images::ImagesError;
use crate::source::remote::RemoteError;

/// Why an op could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The process ran and did not end well.
    #[error("{}", ended(*exit, memory))]
    Exited {
        /// How it ended.
        exit: Exit,
        /// What it used of memory.
        memory: MemoryUse,
        /// Where its whole output is.
        log: Option<PathBuf>,
        /// The end of its output.
        tail: Vec<String>,
    },
    /// The process could not be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Something to be copied is not there, or may not be copied.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The files could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A base could not be fetched.
    #[error(transparent)]
    Image(#[from] ImagesError),
    /// Something from elsewhere could not be fetched.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What is to be copied could not be read.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A tree could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could not show a snapshot.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The record index refused.
    #[error(transparent)]
    Index(#[from] DbError),
    /// The store could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A mount of the step could not be made.
    #[error(transparent)]
    Prepare(#[from] MountFailure),
    /// A secret could not be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A cache mount could not be had.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The lock of a key could not be had.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

fn ended(exit: Exit, memory: &MemoryUse) -> String {
    match exit {
        _ if memory.ran_out => format!("ran out of memory{}", reached(memory)),
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(9) => "was killed (signal 9, SIGKILL)".to_owned(),
        Exit::Signal(11) => "crashed (signal 11, SIGSEGV)".to_owned(),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
    }
}

/// How far it came: ` at 512.0 MiB, the limit that --memory sets`.
fn reached(memory: &MemoryUse) -> String {
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    match (memory.limit, memory.peak) {
        (Some(limit), Some(peak)) => {
            format!(": it reached {} of the {} of `--memory`", mebibytes(peak), mebibytes(limit))
        }
        (Some(limit), None) => format!(": it had the {} of `--memory`", mebibytes(limit)),
        (None, Some(peak)) => format!(": its largest process reached {}", mebibytes(peak)),
        (None, None) => String::new(),
    }
}

impl WorkError {
    /// Whether the Dockerfile or its files are at fault, or the machine is.
    pub fn exit(&self) -> exit::Exit {
        match self {
            WorkError::Exited { .. }
            | WorkError::Select(_)
            | WorkError::Copy(_)
            | WorkError::Prepare(_)
            | WorkError::Secret(_)
            | WorkError::Sandbox(SandboxError::NotAllowed(_)) => exit::Exit::Build,
            WorkError::Sandbox(SandboxError::Step(failure)) if !failure.is_setup() => {
                exit::Exit::Build
            }
            WorkError::Image(error) => error.exit(),
            WorkError::Remote(error) => error.exit(),
            _ => exit::Exit::Machine,
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            WorkError::Exited {
                memory: MemoryUse { ran_out: true, limit: Some(_), .. }, ..
            } => Some("give steps more with a larger `--memory`".to_owned()),
            WorkError::Exited { memory: MemoryUse { ran_out: true, .. }, .. } => Some(
                "the machine had none left: let fewer steps run at once (`-j`), or give each less \
                 to do at once"
                    .to_owned(),
            ),
            WorkError::Exited { exit: Exit::Code(127), .. } => {
                Some("127 is the shell's code for a command that is not in the image".to_owned())
            }
            WorkError::Exited { exit: Exit::Code(126), .. } => {
                Some("126 is the shell's code for a file that cannot be executed".to_owned())
            }
            WorkError::Exited { exit: Exit::Signal(9), .. } => Some(
                "nobody but the kernel or an administrator does that: the machine may have run \
                 out of memory"
                    .to_owned(),
            ),
            WorkError::Sandbox(error) => error.help().map(str::to_owned),
            WorkError::Image(error) => error.help(),
            WorkError::Prepare(error) => error.help(),
            WorkError::Secret(error) => error.help(),
            WorkError::Remote(error) => error.help(),
            _ => None,
        }
    }
}
