//! Everything that is mounted for a step besides its root.
//!
//! First the [`Stage`]: a file system in memory that only the step's preparation sees, with what
//! is to be mounted from and the stubs to mount on. Then, in order: `/proc`, `/dev`, `/sys`, the
//! generated files, and what the caller asked for.

mod system;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::error::{Doing, Failure};
use super::spec::DeviceLook;
use super::step::fd_at;
use super::sys::{self, Depth};
use super::target::{self, Kind};
use super::wire::{Mount, MountKind, Request};

/// Mount points that the stubs provide in every overlay.
const STUB_DIRECTORIES: [&str; 4] = ["dev", "proc", "sys", "etc"];
const STUB_FILES: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];

/// Devices that a step has: name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Nothing on it is obeyed: no set-user-id bits, no device files, no programs.
const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Nothing on it is obeyed but device files.
const DEVICE: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// The file system in memory that mounts are made from. Gone, except for what was mounted out of
/// it, when the host's root goes.
pub struct Stage {
    mount: OwnedFd,
    devices: Devices,
}

/// Where device files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Devices {
    /// Made for the step.
    Made,
    /// Those of the host: in a user namespace none can be made.
    Host,
}

impl Stage {
    /// Makes it and everything in it.
    pub fn new(request: &Request) -> Result<Stage, Failure> {
        let doing = || "prepare the mounts of a step";
        let mount = new_mount("tmpfs", &[("mode", "0755")], MountAttrFlags::MOUNT_ATTR_NOSUID)
            .doing(doing)?;
        // On top of `/`, where no path leads: paths start from the directory below it.
        move_mount(mount.as_fd(), "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .doing(doing)?;
        for directory in ["root", "empty", "stub"] {
            make_directory(mount.as_fd(), directory).doing(doing)?;
        }
        make_stubs(mount.as_fd(), request).doing(doing)?;
        let devices = make_devices(mount.as_fd()).doing(doing)?;
        let stage = Stage { mount, devices };
        stage.write("hosts", &request.hosts, 0o644, (0, 0)).doing(doing)?;
        stage.write("resolv.conf", &request.resolv_conf, 0o644, (0, 0)).doing(doing)?;
        Ok(stage)
    }

    /// Its top directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }

    /// The bottom layer of the overlay: mount points, so that none has to be made in the image.
    pub fn stubs(&self) -> Result<OwnedFd, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(self.fd(), "stub", flags, Mode::empty()).doing(|| "open the mount stubs")
    }

    fn write(&self, name: &str, data: &[u8], mode: u32, owner: (u32, u32)) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.fd(), name, flags, Mode::from_raw_mode(0o600))?;
        let mut rest = data;
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&file, rest)?..];
        }
        if owner != (0, 0) {
            let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
    }

    /// A mount of one of its files or directories.
    fn detach(&self, name: &str, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
        clone_mount(self.fd(), name, attributes)
    }

    /// A device file like the host's that looks otherwise; none where the host's will do.
    fn device_like(
        &self,
        host: BorrowedFd<'_>,
        look: DeviceLook,
        name: &str,
    ) -> Result<Option<OwnedFd>, Errno> {
        let stat = rustix::fs::fstat(host)?;
        let (uid, gid) = (look.uid.unwrap_or(stat.st_uid), look.gid.unwrap_or(stat.st_gid));
        let mode = look.mode.unwrap_or(stat.st_mode) & 0o777;
        if (mode, uid, gid) == (stat.st_mode & 0o777, stat.st_uid, stat.st_gid) {
            return Ok(None);
        }
        let (kind, bits) = (FileType::from_raw_mode(stat.st_mode), Mode::from_raw_mode(mode));
        rustix::fs::mknodat(self.fd(), name, kind, bits, stat.st_rdev)?;
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(self.fd(), name, owner.0, owner.1, AtFlags::empty())?;
        rustix::fs::chmodat(self.fd(), name, bits, AtFlags::empty())?;
        self.detach(name, DEVICE | MountAttrFlags::MOUNT_ATTR_RDONLY).map(Some)
    }

    /// A mount of a device file.
    fn device(&self, name: &str) -> Result<OwnedFd, Errno> {
        match self.devices {
            Devices::Made => self.detach(name, DEVICE),
            // Writing to a device does not write to its file system, but changing the mode of
            // the host's file would.
            Devices::Host => {
                let read_only = DEVICE | MountAttrFlags::MOUNT_ATTR_RDONLY;
                clone_mount(CWD, &format!("/dev/{name}"), read_only)
            }
        }
    }
}

/// Mounts everything below `root` that a step sees.
pub fn mount_all(
    request: &Request,
    fds: &[OwnedFd],
    stage: &Stage,
    root: &OwnedFd,
    report: &OwnedFd,
) -> Result<(), Failure> {
    let place = Place { root: root.as_fd(), report };
    system::mount_proc(&place, stage, request.security)?;
    system::mount_dev(&place, stage, request)?;
    system::mount_sys(&place, stage, request.security)?;
    for name in ["hosts", "resolv.conf"] {
        let read_only = INERT | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let target = format!("/etc/{name}");
        let file = stage.detach(name, read_only).doing(|| format!("prepare `{target}`"))?;
        place.put(&file, &target, Kind::File)?;
    }
    for (index, mount) in request.mounts.iter().enumerate() {
        mount_one(&place, stage, fds, mount, index)?;
    }
    Ok(())
}

fn mount_one(
    place: &Place<'_>,
    stage: &Stage,
    fds: &[OwnedFd],
    mount: &Mount,
    index: usize,
) -> Result<(), Failure> {
    let target = &mount.target;
    let doing = || format!("prepare the mount at `{target}`");
    match &mount.kind {
        MountKind::Detached { fd, .. } => place.put(fd_at(fds, *fd)?, target, stub_kind(mount)),
        MountKind::Device { fd, look } => {
            let host = fd_at(fds, *fd)?;
            let doing = || format!("give the device `{target}` the mode and owner of its spec");
            let own = stage.device_like(host, *look, &format!("device-{index}")).doing(doing)?;
            place.put(own.as_ref().map_or(host, AsFd::as_fd), target, Kind::File)
        }
        MountKind::Tmpfs { size, mode } => {
            let mut options = vec![("mode", format!("{mode:o}"))];
            options.extend(size.map(|size| ("size", size.to_string())));
            let options: Vec<_> = options.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let inert = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            let tmpfs = new_mount("tmpfs", &options, inert).doing(doing)?;
            place.put(&tmpfs, target, Kind::Directory)
        }
        MountKind::File { data, mode, owner } => {
            let name = format!("file-{index}");
            stage.write(&name, data, *mode, *owner).doing(doing)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
                | MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV;
            let file = stage.detach(&name, attributes).doing(doing)?;
            place.put(&file, target, Kind::File)
        }
    }
}

/// Where mounts go.
struct Place<'a> {
    root: BorrowedFd<'a>,
    report: &'a OwnedFd,
}

impl Place<'_> {
    /// Puts a detached mount at a path of the image.
    fn put(&self, mount: impl AsFd, target: &str, kind: Kind) -> Result<(), Failure> {
        let point = target::mount_point(self.root, target, kind, self.report)?;
        put_on(mount, &point).doing(|| format!("mount `{target}`"))
    }
}

/// Puts a detached mount on an opened mount point.
fn put_on(mount: impl AsFd, point: &OwnedFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount.as_fd(), "", point.as_fd(), "", flags)
}

/// A new, detached file system.
pub fn new_mount(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", kind)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A second, detached mount of what is at a path.
fn clone_mount(
    directory: BorrowedFd<'_>,
    path: &str,
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(directory, path, flags)?;
    sys::mount_setattr(&mount, attributes.bits().into(), Depth::One)?;
    Ok(mount)
}

fn kind_of(fd: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let mode = rustix::fs::fstat(fd)?.st_mode;
    Ok(match FileType::from_raw_mode(mode) {
        FileType::Directory => Kind::Directory,
        _ => Kind::File,
    })
}

/// Mount points for everything that is certain to be mounted, and for what the caller asked for.
fn make_stubs(stage: BorrowedFd<'_>, request: &Request) -> Result<(), Errno> {
    for directory in STUB_DIRECTORIES {
        make_directory(stage, &format!("stub/{directory}"))?;
    }
    for file in STUB_FILES {
        make_file(stage, &format!("stub/{file}"))?;
    }
    for mount in &request.mounts {
        // A target that is not plain, or that a file mount's directory stands in the way of, is
        // made in the image when it is mounted.
        if let Some(path) = plain(&mount.target) {
            let _ = make_stub(stage, &path, mount);
        }
    }
    Ok(())
}

/// The path without a leading slash, if it has no odd parts and is not in a file system that the
/// stubs are covered by.
fn plain(target: &str) -> Option<String> {
    let names: Vec<&str> = target.split('/').filter(|n| !n.is_empty()).collect();
    let covered = ["dev", "proc", "sys"].contains(names.first()?);
    let odd = names.iter().any(|n| *n == "." || *n == "..");
    (!covered && !odd).then(|| names.join("/"))
}

fn make_stub(stage: BorrowedFd<'_>, path: &str, mount: &Mount) -> Result<(), Errno> {
    let is_file = stub_kind(mount) == Kind::File;
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for end in ends {
        let stub = format!("stub/{}", &path[..end]);
        if end == path.len() && is_file {
            make_file(stage, &stub)?;
        } else {
            make_directory(stage, &stub)?;
        }
    }
    Ok(())
}

fn stub_kind(mount: &Mount) -> Kind {
    match mount.kind {
        MountKind::Tmpfs { .. } | MountKind::Detached { directory: true, .. } => Kind::Directory,
        MountKind::File { .. }
        | MountKind::Device { .. }
        | MountKind::Detached { directory: false, .. } => Kind::File,
    }
}

fn make_directory(directory: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn make_file(directory: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o644);
    match rustix::fs::mknodat(directory, name, FileType::RegularFile, mode, 0) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn make_devices(stage: BorrowedFd<'_>) -> Result<Devices, Errno> {
    for (name, major, minor) in DEVICES {
        let number = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(0o666);
        match rustix::fs::mknodat(stage, name, FileType::CharacterDevice, mode, number) {
            Ok(()) => rustix::fs::chmodat(stage, name, mode, AtFlags::empty())?,
            Err(Errno::PERM | Errno::ACCESS) => return Ok(Devices::Host),
            Err(errno) => return Err(errno),
        }
    }
    Ok(Devices::Made)
}
