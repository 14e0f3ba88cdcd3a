//! The root file system of a step: the overlay, and making it `/`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::error::{Doing, Failure};
use super::mounts::Stage;
use super::step::fd_at;
use super::wire::{Request, Root};

/// Mounts the root where nobody looks, and gives its descriptor.
pub fn attach(request: &Request, fds: &[OwnedFd], stage: &Stage) -> Result<OwnedFd, Failure> {
    match &request.root {
        Root::Overlay { lowers, upper, work } => {
            let overlay = Overlay::open(lowers, upper, work, request.privilege.rootless, stage)?;
            let mount = overlay.mount().doing(|| "mount the overlay of the step's layers")?;
            attach_fd(mount.as_fd(), stage)?;
            Ok(mount)
        }
        Root::Mounted { fd } => {
            let mount = fd_at(fds, *fd)?;
            attach_fd(mount, stage)?;
            rustix::io::fcntl_dupfd_cloexec(mount, 3).doing(|| "keep the root")
        }
    }
}

fn attach_fd(mount: BorrowedFd<'_>, stage: &Stage) -> Result<(), Failure> {
    move_mount(mount, "", stage.fd(), "root", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .doing(|| "attach the root")
}

/// Makes `root` the root of this process and lets go of the host's.
pub fn pivot(root: &OwnedFd) -> Result<(), Failure> {
    let doing = || "change the root";
    let host = open_directory("/")?;
    rustix::process::fchdir(root).doing(doing)?;
    // Both at the same place: the host's root lies on top of the new one and is taken off, with
    // the stage on it.
    rustix::process::pivot_root(".", ".").doing(doing)?;
    rustix::process::fchdir(host).doing(doing)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).doing(|| "let go of the host's root")?;
    rustix::process::chdir("/").doing(doing)
}

/// What an overlay is made of, opened: mount options name descriptors, so neither odd characters
/// nor long paths matter, and `/proc/mounts` in the step shows nothing of the host.
struct Overlay {
    lowers: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
    rootless: bool,
}

impl Overlay {
    fn open(
        lowers: &[String],
        upper: &str,
        work: &str,
        rootless: bool,
        stage: &Stage,
    ) -> Result<Overlay, Failure> {
        let open = |path: &String| open_directory(path);
        let mut lowers = lowers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        lowers.push(stage.stubs()?);
        let (upper, work) = (open_directory(upper)?, open_directory(work)?);
        Ok(Overlay { lowers, upper, work, rootless })
    }

    fn mount(&self) -> Result<OwnedFd, Errno> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let set = |key: &str, value: &str| fsconfig_set_string(context.as_fd(), key, value);
        set("source", "overlay")?;
        for lower in &self.lowers {
            set("lowerdir+", &by_descriptor(lower))?;
        }
        set("upperdir", &by_descriptor(&self.upper))?;
        set("workdir", &by_descriptor(&self.work))?;
        for (key, value) in FEATURES {
            set(key, value)?;
        }
        // Without it, unmounting writes everything to disk; the store does so when it commits.
        fsconfig_set_flag(context.as_fd(), "volatile")?;
        if self.rootless {
            fsconfig_set_flag(context.as_fd(), "userxattr")?;
        }
        fsconfig_create(context.as_fd())?;
        // A device file made by a step or shipped in a layer opens no device of the host.
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)
    }
}

/// Features that would put things into `upper` which mean something in this stack only.
const FEATURES: [(&str, &str); 3] =
    [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")];

fn by_descriptor(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn open_directory(path: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).doing(|| format!("open `{path}`"))
}
