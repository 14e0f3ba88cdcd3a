//! The root file system of a step: the overlay, and making it `/`.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};

use super::error::{Doing, Failure, OVERLAY};
use super::mounts::Stage;
use super::step::fd_at;
use super::wire::{Request, Root};

/// Where the root is attached in the stage.
const PLACE: &str = "root";

/// Mounts the root where nobody looks, and gives its descriptor.
pub fn attach(request: &Request, fds: &[OwnedFd], stage: &Stage) -> Result<OwnedFd, Failure> {
    match &request.root {
        Root::Overlay { lowers, upper, work } => {
            let overlay = Overlay::open(lowers, upper, work, request.privilege.rootless, stage)?;
            match overlay.mount() {
                Err(Errno::INVAL) => overlay.mount_by_options(stage).map_err(no_overlay),
                mount => {
                    mount.map_err(no_overlay).and_then(|mount| attach_fd(mount.as_fd(), stage))
                }
            }
        }
        Root::Mounted { fd } => attach_fd(fd_at(fds, *fd)?, stage),
    }
}

fn no_overlay(errno: Errno) -> Failure {
    let failure = Failure::setup(OVERLAY, errno);
    match errno {
        Errno::INVAL => failure.or_help(
            "the store must be on a file system that overlays can write to: ext4, xfs, btrfs or \
             tmpfs, but not another overlay (mount a volume there) and not NFS",
        ),
        Errno::PERM => failure.or_help(
            "a security module, or the container around this process, forbids overlays in a user \
             namespace: allow them, or run as root",
        ),
        Errno::NODEV => failure.or_help("the kernel lacks overlayfs: modprobe overlay"),
        _ => failure,
    }
}

fn attach_fd(mount: BorrowedFd<'_>, stage: &Stage) -> Result<OwnedFd, Failure> {
    move_mount(mount, "", stage.fd(), PLACE, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .and_then(|()| open_place(stage))
        .doing(|| "attach the root")
}

fn open_place(stage: &Stage) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(stage.fd(), PLACE, flags, Mode::empty())
}

/// Makes `root` the root of this process and lets go of the host's.
pub fn pivot(root: &OwnedFd) -> Result<(), Failure> {
    let doing = || "change the root";
    let host = open_directory("/")?;
    rustix::process::fchdir(root).doing(doing)?;
    // Both at the same place: the host's root lies on top of the new one, the stage on top of it.
    rustix::process::pivot_root(".", ".").doing(doing)?;
    rustix::process::fchdir(host).doing(doing)?;
    for what in ["the stage", "the host's root"] {
        rustix::mount::unmount(".", UnmountFlags::DETACH).doing(|| format!("let go of {what}"))?;
    }
    rustix::process::chdir("/").doing(doing)?;
    check_top()
}

/// What lay on the new root would still be reached by `..`, so better nothing runs.
fn check_top() -> Result<(), Failure> {
    let doing = || "look at the new root";
    let mount = |path: &str| {
        rustix::fs::statx(CWD, path, AtFlags::NO_AUTOMOUNT, StatxFlags::MNT_ID)
            .map(|found| found.stx_mnt_id)
    };
    if mount("/").doing(doing)? == mount("/..").doing(doing)? {
        Ok(())
    } else {
        Err(Failure::setup("let go of the host's root", Errno::BUSY))
    }
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
        // Before 6.5 any option is taken, and refused later with a line in the kernel's log.
        if fsconfig_set_flag(context.as_fd(), "lowerdir+").is_ok() {
            return Err(Errno::INVAL);
        }
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

    /// The same for kernels before 6.8, which take all lower directories as one option: in the
    /// page of options there is room for some 200.
    fn mount_by_options(&self, stage: &Stage) -> Result<OwnedFd, Errno> {
        let lowers: Vec<String> = self.lowers.iter().map(by_descriptor).collect();
        let mut options = format!(
            "lowerdir={},upperdir={},workdir={},volatile",
            lowers.join(":"),
            by_descriptor(&self.upper),
            by_descriptor(&self.work),
        );
        for (key, value) in FEATURES {
            options.push_str(&format!(",{key}={value}"));
        }
        if self.rootless {
            options.push_str(",userxattr");
        }
        let options = CString::new(options).map_err(|_| Errno::INVAL)?;
        let place = format!("/proc/self/fd/{}/{PLACE}", stage.fd().as_raw_fd());
        mount("overlay", place, "overlay", MountFlags::NODEV, options.as_c_str())?;
        open_place(stage)
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

#[cfg(test)]
mod tests;
