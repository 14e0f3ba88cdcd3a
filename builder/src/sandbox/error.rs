//! What can go wrong before a step's own program runs.
//!
//! A [`Failure`] is made inside the sandbox and travels to the caller; how the step's program
//! itself ended is an [`Exit`](super::Exit) and no error.

use rbuild_solver::op::Platform;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::spec::Entitlement;

/// What the overlay of a step is called where it fails.
pub const OVERLAY: &str = "mount the overlay of the step's layers";
/// And its system call filter.
pub const FILTER: &str = "install the system call filter";

/// Which part of a step's preparation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The overlay of its layers.
    Overlay,
    /// The system call filter.
    Filter,
    /// Anything else.
    Other,
}

/// Why a step could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The server that makes sandboxes cannot be started or talked to.
    #[error("cannot {doing}: {source}")]
    Server {
        /// What was tried.
        doing: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The server is gone: it was killed, or it crashed.
    #[error("the sandbox server ended unexpectedly")]
    ServerGone,
    /// It may not have what it asks for.
    #[error("the step needs `{}`, which is not allowed", .0.name())]
    NotAllowed(Entitlement),
    /// Its program is for another machine, and nothing here runs those.
    #[error("{failure}, and there is no emulator for {platform}: {why}")]
    NoEmulator {
        /// What was tried all the same.
        failure: Failure,
        /// What the step is for.
        platform: Platform,
        /// What is missing.
        why: String,
    },
    /// The caller cancelled the step.
    #[error("cancelled")]
    Cancelled,
    /// The sandbox could not be made, or the program in it not started.
    #[error(transparent)]
    Step(#[from] Failure),
}

impl SandboxError {
    /// Which part of the preparation it is about.
    pub fn part(&self) -> Part {
        match self {
            SandboxError::Step(Failure::Setup { doing, .. }) if doing == OVERLAY => Part::Overlay,
            SandboxError::Step(Failure::Setup { doing, .. }) if doing == FILTER => Part::Filter,
            _ => Part::Other,
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<&str> {
        match self {
            SandboxError::Step(failure) => failure.help(),
            SandboxError::NoEmulator { .. } => Some(
                "install QEMU's emulators (package qemu-user-static); before Linux 6.7 they have to \
                 be registered on the host, too (package binfmt-support, or systemd-binfmt)",
            ),
            SandboxError::NotAllowed(Entitlement::HostNetwork) => {
                Some("if this build may use the host's network, say `--allow network.host`")
            }
            SandboxError::NotAllowed(Entitlement::Insecure) => {
                Some("if you trust this build as you trust root, say `--allow security.insecure`")
            }
            _ => None,
        }
    }
}

/// Why one sandbox could not be made, or the program in it not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Failure {
    /// A system call of the preparation failed.
    #[error("cannot {doing}: {}", describe(*errno))]
    Setup {
        /// The stage, with what it was about: "mount `/proc`".
        doing: String,
        /// The error number.
        errno: i32,
        /// What the user can do about it.
        help: Option<String>,
    },
    /// The working directory is not there, or is none.
    #[error("working directory `{path}`: {}", describe(*errno))]
    Cwd {
        /// As asked for.
        path: String,
        /// Why not.
        errno: i32,
    },
    /// The user or group is not one.
    #[error("user `{user}`: {reason}")]
    User {
        /// As asked for.
        user: String,
        /// What is wrong with it.
        reason: String,
        /// What the user can do about it.
        help: Option<String>,
    },
    /// The build's own network could not be made.
    #[error("{reason}")]
    Network {
        /// Why not.
        reason: String,
    },
    /// There is no such program.
    #[error("`{program}`: no such program{}", searched(path))]
    NoProgram {
        /// As asked for.
        program: String,
        /// The `PATH` that was searched; none if the program was named with a `/`.
        path: Option<String>,
    },
    /// The program is there, but what it needs to run is not: `#!` names it, or the ELF header.
    #[error("`{program}` needs `{interpreter}`, which is not in the image")]
    NoInterpreter {
        /// The program.
        program: String,
        /// What is missing.
        interpreter: String,
    },
    /// The program is for other machines.
    #[error("`{program}` is a program for {machine}; this machine is {host}")]
    WrongMachine {
        /// The program.
        program: String,
        /// What it is for.
        machine: String,
        /// What this is.
        host: String,
    },
    /// The file is no program.
    #[error("`{program}` is neither a binary nor a script that starts with `#!`")]
    NotExecutable {
        /// The program.
        program: String,
    },
    /// The program exists but cannot be executed.
    #[error("cannot execute `{program}`: {}", describe(*errno))]
    Exec {
        /// The program.
        program: String,
        /// Why not.
        errno: i32,
    },
}

impl Failure {
    /// A failed stage.
    pub fn setup(doing: impl Into<String>, errno: Errno) -> Failure {
        Failure::Setup { doing: doing.into(), errno: errno.raw_os_error(), help: None }
    }

    /// Whether the sandbox could not be made, rather than the step's own program not be started.
    pub fn is_setup(&self) -> bool {
        matches!(self, Failure::Setup { .. })
    }

    /// The same with a word on what to do.
    pub fn or_help(self, text: impl Into<String>) -> Failure {
        match self {
            Failure::Setup { doing, errno, help: None } => {
                Failure::Setup { doing, errno, help: Some(text.into()) }
            }
            other => other,
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<&str> {
        match self {
            Failure::Setup { help, .. } | Failure::User { help, .. } => help.as_deref(),
            Failure::Cwd { .. } => {
                Some("correct WORKDIR: it has to be a directory, or a path where one can be made")
            }
            Failure::WrongMachine { .. } => {
                Some("it was copied from something that is for another platform")
            }
            Failure::Exec { errno, .. } if *errno == Errno::ACCESS.raw_os_error() => {
                Some("make it executable: COPY --chmod=755, or RUN chmod +x")
            }
            _ => None,
        }
    }
}

/// Adds the stage to a bare error number.
pub trait Doing<T> {
    /// `doing` completes "cannot ..".
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, Failure>;
}

impl<T> Doing<T> for Result<T, Errno> {
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, Failure> {
        self.map_err(|errno| Failure::setup(doing(), errno))
    }
}

fn searched(path: &Option<String>) -> String {
    path.as_ref().map(|p| format!(" in PATH `{p}`")).unwrap_or_default()
}

/// The text of an error number, in lower case and without the number.
fn describe(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|c| c.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
