//! Into the isolation: the first thing the program does.

use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;

use super::sys::{self, Namespaces};
use super::wire::Ids;

/// Where this process is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Whether it is root in a user namespace only.
    pub rootless: bool,
    /// Which user and group ids it has.
    pub ids: Ids,
    /// What the user should know about that.
    pub notices: Vec<String>,
}

/// Why the isolation could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// No mounts of its own.
    #[error("cannot make a mount namespace: {0}")]
    Mounts(Errno),
}

/// Enters it.
pub fn enter() -> Result<Isolation, EnterError> {
    sys::unshare(Namespaces::MOUNTS).map_err(EnterError::Mounts)?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(EnterError::Mounts)?;
    Ok(Isolation { rootless: false, ids: Ids::Full, notices: Vec::new() })
}
