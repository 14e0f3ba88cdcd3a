//! The kernel's file systems as a step sees them: `/proc`, `/dev` and `/sys`.
//!
//! What is hidden and what is read-only follows Docker, so that a step finds what it finds there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_solver::op::Security;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::super::error::{Doing, Failure};
use super::super::sys::{self, Depth};
use super::super::target::Kind;
use super::super::wire::{Ids, Request, Stdio};
use super::{
    DEVICES, INERT, Place, Stage, clone_mount, kind_of, make_directory, make_file, new_mount,
    put_on,
};

const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// In `/proc`: what tells about the host or reaches into it.
const MASKED_PROC: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
/// In `/proc`: what is for looking only.
const READ_ONLY_PROC: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// In `/sys`.
const MASKED_SYS: [&str; 2] = ["firmware", "devices/virtual/powercap"];

/// The size of `/dev/shm`, in bytes, where nobody asks for another.
const SHARED_MEMORY: u64 = 64 << 20;

/// Links in `/dev`.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// The step's own processes, and little of the kernel.
pub fn mount_proc(place: &Place<'_>, stage: &Stage, security: Security) -> Result<(), Failure> {
    let proc = new_mount("proc", &[], INERT).map_err(|errno| {
        let failure = Failure::setup("mount `/proc`", errno);
        match errno {
            Errno::PERM => failure.or_help(
                "this process runs in a container whose /proc is masked; start that container \
                 with an unmasked one (docker run --security-opt systempaths=unconfined, \
                 podman run --security-opt unmask=ALL, kubernetes procMount: Unmasked)",
            ),
            _ => failure,
        }
    })?;
    place.put(&proc, "/proc", Kind::Directory)?;
    if security == Security::Insecure {
        return Ok(());
    }
    for path in MASKED_PROC {
        mask(stage, &proc, path).doing(|| format!("hide `/proc/{path}`"))?;
    }
    for path in READ_ONLY_PROC {
        make_read_only(&proc, path).doing(|| format!("make `/proc/{path}` read-only"))?;
    }
    Ok(())
}

/// A few devices, terminals, shared memory and message queues of the step's own.
pub fn mount_dev(place: &Place<'_>, stage: &Stage, request: &Request) -> Result<(), Failure> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | devices_of(request.security);
    let dev = new_mount("tmpfs", &[("mode", "0755"), ("size", "65536k")], attributes)
        .doing(|| "prepare `/dev`")?;
    place.put(&dev, "/dev", Kind::Directory)?;
    for (name, ..) in DEVICES {
        put_device(stage, &dev, name).doing(|| format!("make `/dev/{name}`"))?;
    }
    for (name, to) in LINKS {
        rustix::fs::symlinkat(to, &dev, name).doing(|| format!("make `/dev/{name}`"))?;
    }
    let gid = match request.privilege.ids {
        Ids::Full => [("gid", "5")].as_slice(),
        Ids::Single => &[],
    };
    let options = [[("mode", "0620"), ("ptmxmode", "0666")].as_slice(), gid].concat();
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    put_below(&dev, "pts", "devpts", &options, quiet)?;
    let size = request.resources.shm_size.unwrap_or(SHARED_MEMORY).to_string();
    put_below(&dev, "shm", "tmpfs", &[("mode", "1777"), ("size", &size)], INERT)?;
    put_below(&dev, "mqueue", "mqueue", &[], INERT)?;
    if matches!(request.stdio, Stdio::Terminal { .. }) {
        make_file(dev.as_fd(), "console").doing(|| "make `/dev/console`")?;
    }
    Ok(())
}

/// Whether a step that makes a device file can open it.
pub fn devices_of(security: Security) -> MountAttrFlags {
    match security {
        Security::Confined => MountAttrFlags::MOUNT_ATTR_NODEV,
        Security::Insecure => MountAttrFlags::empty(),
    }
}

/// The kernel's objects, read-only: a view of the step's own network, or, where that cannot be
/// made, the host's.
pub fn mount_sys(place: &Place<'_>, stage: &Stage, security: Security) -> Result<(), Failure> {
    let attributes = match security {
        Security::Confined => INERT | READ_ONLY,
        Security::Insecure => INERT,
    };
    let sys = match new_mount("sysfs", &[], attributes) {
        Err(Errno::PERM) => host_sys(attributes),
        made => made,
    }
    .doing(|| "prepare `/sys`")?;
    place.put(&sys, "/sys", Kind::Directory)?;
    for path in MASKED_SYS.iter().filter(|_| security == Security::Confined) {
        mask(stage, &sys, path).doing(|| format!("hide `/sys/{path}`"))?;
    }
    // Where the host has no unified hierarchy there is nothing to show, and nothing to fear.
    if let (Ok(cgroup), Ok(point)) =
        (new_mount("cgroup2", &[], attributes), open_below(&sys, "fs/cgroup"))
    {
        put_on(&cgroup, &point).doing(|| "mount `/sys/fs/cgroup`")?;
    }
    Ok(())
}

fn host_sys(attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let sys = open_tree(CWD, "/sys", flags)?;
    sys::mount_setattr(&sys, attributes.bits().into(), Depth::Recursive)?;
    Ok(sys)
}

fn put_device(stage: &Stage, dev: &OwnedFd, name: &str) -> Result<(), Errno> {
    make_file(dev.as_fd(), name)?;
    put_on(stage.device(name)?, &open_below(dev, name)?)
}

fn put_below(
    dev: &OwnedFd,
    name: &str,
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<(), Failure> {
    let put = || {
        make_directory(dev.as_fd(), name)?;
        put_on(new_mount(kind, options, attributes)?, &open_below(dev, name)?)
    };
    put().doing(|| format!("mount `/dev/{name}`"))
}

/// Covers a directory with an empty one and anything else with the null device.
fn mask(stage: &Stage, mount: &OwnedFd, path: &str) -> Result<(), Errno> {
    let point = match open_below(mount, path) {
        Err(Errno::NOENT | Errno::ACCESS) => return Ok(()),
        point => point?,
    };
    let cover = match kind_of(point.as_fd())? {
        Kind::Directory => stage.detach("empty", INERT | READ_ONLY)?,
        Kind::File => stage.device("null")?,
    };
    put_on(cover, &point)
}

/// Puts a read-only second mount over a path.
fn make_read_only(mount: &OwnedFd, path: &str) -> Result<(), Errno> {
    let point = match open_below(mount, path) {
        Err(Errno::NOENT | Errno::ACCESS) => return Ok(()),
        point => point?,
    };
    put_on(clone_mount(mount.as_fd(), path, INERT | READ_ONLY)?, &point)
}

fn open_below(mount: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let directory: BorrowedFd<'_> = mount.as_fd();
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(directory, path, flags, Mode::empty(), beneath)
}
