//! Into the isolation: the first thing the program does, while it has one thread.
//!
//! Root gets mounts of its own. An ordinary user gets a user namespace as well, in which it is
//! root: from there on nothing in the program distinguishes the two, except for what
//! [`Isolation`] says. The process stays the same, so signals reach it as before.
//!
//! The ranges of ids that `/etc/subuid` grants can only be mapped by `newuidmap`, which has to be
//! started by a process that is still outside: a helper, forked before.

mod diagnose;
mod ids;

use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;

use super::sys::{self, Namespaces};
use super::wire::Ids;
use ids::Mapper;
pub use ids::map_same;

/// Where this process is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Whether it is root in a user namespace only, not on the host.
    pub rootless: bool,
    /// Which user and group ids it has.
    pub ids: Ids,
    /// What the user should know about that.
    pub notices: Vec<String>,
}

/// Why the isolation could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// No user namespace, or one without rights.
    #[error("cannot make a user namespace: {reason}")]
    Users {
        /// What stands in the way.
        reason: String,
        /// What to do about it.
        help: String,
    },
    /// The helper that maps ids could not be started.
    #[error("cannot start the helper that maps user ids: {0}")]
    Helper(Errno),
    /// The ids could not be mapped.
    #[error("cannot write `{path}`: {source}")]
    Map {
        /// The map.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// No mounts of its own.
    #[error("cannot make a mount namespace: {0}")]
    Mounts(Errno),
}

impl EnterError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<&str> {
        match self {
            EnterError::Users { help, .. } => Some(help),
            _ => None,
        }
    }
}

/// Enters it. Call it first in `main`: threads that exist already would stay outside.
///
/// # Errors
///
/// The host forbids it; the error names the setting.
pub fn enter() -> Result<Isolation, EnterError> {
    let isolation = match as_root()? {
        Some(isolation) => isolation,
        None => as_user()?,
    };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|errno| match isolation.rootless {
        true => diagnose::powerless(errno),
        false => EnterError::Mounts(errno),
    })?;
    Ok(isolation)
}

/// For root, on the host or in a user namespace that somebody made. None if this is not root, or
/// root without the right to mount: in an ordinary container.
fn as_root() -> Result<Option<Isolation>, EnterError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    match sys::unshare(Namespaces::MOUNTS) {
        Ok(()) => {}
        Err(Errno::PERM) => return Ok(None),
        Err(errno) => return Err(EnterError::Mounts(errno)),
    }
    let (ids, notice) = ids::present();
    let rootless = !ids::is_host();
    Ok(Some(Isolation { rootless, ids, notices: notice.into_iter().collect() }))
}

/// For everybody else: root in a new user namespace.
fn as_user() -> Result<Isolation, EnterError> {
    let mapper = Mapper::fork()?;
    sys::unshare(Namespaces::USERS.and(Namespaces::MOUNTS)).map_err(diagnose::refused)?;
    let (ids, notice) = mapper.map()?;
    Ok(Isolation { rootless: true, ids, notices: notice.into_iter().collect() })
}

#[cfg(test)]
mod tests;
