//! A snapshot that can be written to, and whose changes nobody keeps.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
    unmount,
};

use super::marks::Rights;
use super::mount::{handle, short_name};
use super::{Active, Layers, MountError, Snapshot};

/// A mounted tree above a snapshot. Dropped, it is gone with all that was written to it.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    _active: Active,
}

impl Layers {
    /// Mounts `snapshot` with an empty directory above it that takes the changes.
    pub fn draft(&self, snapshot: &Snapshot) -> Result<Draft, MountError> {
        let active = self.activate(snapshot)?;
        let path = self.mount_point()?;
        let failed = |cause| MountError::Mount { what: "a tree to write to".to_owned(), cause };
        overlay(&active, self.inner.rights, &path).map_err(failed)?;
        Ok(Draft { path, _active: active })
    }
}

impl Draft {
    /// Where it is mounted, in this process.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Nobody is told: the namespace ends with the process anyway.
        let _ = unmount(&self.path, UnmountFlags::DETACH);
    }
}

fn overlay(active: &Active, rights: Rights, at: &Path) -> io::Result<()> {
    let open = |path: &PathBuf| handle(path);
    let lowers = active.lowers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let [upper, work] = [handle(&active.upper)?, handle(&active.work)?];
    match by_parts(&lowers, [&upper, &work], rights, at) {
        // Linux before 6.8 does not take the layers one by one.
        Err(Errno::INVAL | Errno::NOSYS) => at_once(&lowers, [&upper, &work], rights, at),
        done => Ok(done?),
    }
}

fn by_parts(
    lowers: &[OwnedFd],
    [upper, work]: [&OwnedFd; 2],
    rights: Rights,
    at: &Path,
) -> rustix::io::Result<()> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for lower in lowers {
        fsconfig_set_string(&context, "lowerdir+", short_name(lower))?;
    }
    fsconfig_set_string(&context, "upperdir", short_name(upper))?;
    fsconfig_set_string(&context, "workdir", short_name(work))?;
    // What is thrown away need not reach the disk.
    fsconfig_set_flag(&context, "volatile")?;
    match rights {
        Rights::Host => fsconfig_set_string(&context, "redirect_dir", "nofollow")?,
        Rights::Namespace => fsconfig_set_flag(&context, "userxattr")?,
    }
    fsconfig_create(&context)?;
    let inert = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, inert)?;
    move_mount(&mounted, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn at_once(
    lowers: &[OwnedFd],
    [upper, work]: [&OwnedFd; 2],
    rights: Rights,
    at: &Path,
) -> io::Result<()> {
    let lowers: Vec<String> = lowers.iter().map(short_name).collect();
    let option = match rights {
        Rights::Host => "redirect_dir=nofollow",
        Rights::Namespace => "userxattr",
    };
    let (upper, work) = (short_name(upper), short_name(work));
    let options = CString::new(format!(
        "{option},volatile,lowerdir={},upperdir={upper},workdir={work}",
        lowers.join(":")
    ))?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    Ok(mount("overlay", at, "overlay", flags, options.as_c_str())?)
}
