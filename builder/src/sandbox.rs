//! One process in a box: the only place where a build's programs run.
mod caps;
pub mod enter;
pub mod error;
mod exec;
mod files;
mod mounts;
mod network;
mod root;
mod run;
mod seccomp;
mod server;
mod spec;
mod start;
mod step;
mod sys;
mod target;
mod terminal;
pub mod user;
mod wire;

pub use enter::{EnterError, Isolation, enter};
pub use error::{Failure, SandboxError};
pub use spec::{Access, Exit, Mount, MountKind, Root, Source, Spec, Stdio};
pub use start::{Sandbox, init_hook};
pub use wire::Ids;

#[cfg(test)]
mod tests;
