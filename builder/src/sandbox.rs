//! One process in a box: the only place where a build's programs run.
mod caps;
mod enter;
mod error;
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
mod user;
mod wire;

pub use enter::{Isolation, enter};
pub use error::SandboxError;
pub use spec::{Access, Exit, Mount, MountKind, Root, Source, Spec, Stdio};
pub use start::{Sandbox, init_hook};

#[cfg(test)]
mod tests;
