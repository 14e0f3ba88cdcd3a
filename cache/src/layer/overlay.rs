//! An overlay of directories: read-only, or with one above them that takes the changes.
//!
//! The kernel is given short names under `/proc/self/fd` instead of real ones: an option may have
//! 255 bytes only, and a real name may hold what the older interface takes for syntax.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};

use super::marks::Rights;

/// Where changes go. They are thrown away in the end, so they need not reach the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changes<'a> {
    pub(super) upper: &'a Path,
    pub(super) work: &'a Path,
}

/// What may be done in a mount, beside what is never done: devices and set-id bits of layers have
/// no power outside the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The directories of an overlay, opened.
struct Opened {
    /// The topmost first.
    lowers: Vec<OwnedFd>,
    /// Upper and work.
    changes: Option<[OwnedFd; 2]>,
    rights: Rights,
}

/// Mounts `lowers`, the topmost first, at `at`.
pub(super) fn lay(
    lowers: &[PathBuf],
    changes: Option<Changes<'_>>,
    rights: Rights,
    at: &Path,
) -> io::Result<()> {
    let lowers = lowers.iter().map(|lower| handle(lower)).collect::<Result<_, _>>()?;
    let open =
        |changes: Changes<'_>| Ok::<_, Errno>([handle(changes.upper)?, handle(changes.work)?]);
    let changes = changes.map(open).transpose()?;
    let opened = Opened { lowers, changes, rights };
    match opened.by_parts(at) {
        // Linux before 6.8 does not take the layers one by one.
        Err(Errno::INVAL | Errno::NOSYS) => opened.at_once(at),
        done => Ok(done?),
    }
}

impl Opened {
    fn by_parts(&self, at: &Path) -> rustix::io::Result<()> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        // Before 6.5 any option is taken, and refused later with a line in the kernel's log.
        if fsconfig_set_flag(&context, "lowerdir+").is_ok() {
            return Err(Errno::INVAL);
        }
        for lower in &self.lowers {
            fsconfig_set_string(&context, "lowerdir+", short_name(lower))?;
        }
        if let Some([upper, work]) = &self.changes {
            fsconfig_set_string(&context, "upperdir", short_name(upper))?;
            fsconfig_set_string(&context, "workdir", short_name(work))?;
            fsconfig_set_flag(&context, "volatile")?;
        }
        match self.rights {
            Rights::Host => fsconfig_set_string(&context, "redirect_dir", "nofollow")?,
            Rights::Namespace => fsconfig_set_flag(&context, "userxattr")?,
        }
        fsconfig_create(&context)?;
        attach(&context, self.access(), at)
    }

    /// All layers in one page of options.
    fn at_once(&self, at: &Path) -> io::Result<()> {
        let lowers: Vec<String> = self.lowers.iter().map(short_name).collect();
        let mut options = match self.rights {
            Rights::Host => "redirect_dir=nofollow".to_owned(),
            Rights::Namespace => "userxattr".to_owned(),
        };
        options += &format!(",lowerdir={}", lowers.join(":"));
        if let Some([upper, work]) = &self.changes {
            let (upper, work) = (short_name(upper), short_name(work));
            options += &format!(",volatile,upperdir={upper},workdir={work}");
        }
        let mut flags = MountFlags::NODEV | MountFlags::NOSUID;
        flags.set(MountFlags::RDONLY, self.access() == Access::Read);
        Ok(mount("overlay", at, "overlay", flags, CString::new(options)?.as_c_str())?)
    }

    fn access(&self) -> Access {
        if self.changes.is_some() { Access::Write } else { Access::Read }
    }
}

/// Attaches a configured file system.
pub(super) fn attach(context: &OwnedFd, access: Access, at: &Path) -> rustix::io::Result<()> {
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, access == Access::Read);
    let mounted = fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(&mounted, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

pub(super) fn handle(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

pub(super) fn short_name(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use rustix::mount::{UnmountFlags, unmount};

    use super::*;
    use crate::layer::tests::support::private_mounts;

    #[test]
    fn older_kernels_get_all_layers_in_one_page() {
        private_mounts();
        let folder = tempfile::tempdir().unwrap();
        let lowers: Vec<PathBuf> =
            (0..150).map(|n| folder.path().join(format!("lower,:\\ {n}"))).collect();
        for (n, lower) in lowers.iter().enumerate() {
            std::fs::create_dir(lower).unwrap();
            std::fs::write(lower.join("who"), n.to_string()).unwrap();
        }
        let [at, upper, work] = ["at", "upper", "work"].map(|name| folder.path().join(name));
        for folder in [&at, &upper, &work] {
            std::fs::create_dir(folder).unwrap();
        }
        let handles = lowers.iter().map(|lower| handle(lower).unwrap()).collect();
        let mut opened = Opened { lowers: handles, changes: None, rights: Rights::detect() };
        opened.at_once(&at).unwrap();
        assert_eq!(std::fs::read(at.join("who")).unwrap(), b"0");
        assert!(std::fs::write(at.join("who"), "me").is_err());
        unmount(&at, UnmountFlags::empty()).unwrap();
        opened.changes = Some([handle(&upper).unwrap(), handle(&work).unwrap()]);
        opened.at_once(&at).unwrap();
        std::fs::write(at.join("who"), "me").unwrap();
        unmount(&at, UnmountFlags::empty()).unwrap();
        assert_eq!(std::fs::read(upper.join("who")).unwrap(), b"me");
    }
}
