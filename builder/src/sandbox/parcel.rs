//! A spec made ready for the server: what it names on the host, opened.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use rustix::pipe::PipeFlags;

use super::error::{Failure, SandboxError};
use super::files;
use super::run::{Step, ask, server};
use super::spec::{Access, Mount, MountKind, Root, Source, Spec, Stdio};
use super::sys::{self, Depth};
use super::terminal::{self, Outside};
use super::wire::{self, Ask, Privilege};

/// A request with the descriptors that go beside it.
pub struct Parcel {
    ask: Ask,
    fds: Vec<OwnedFd>,
    output: Option<OwnedFd>,
    terminal: bool,
}

impl Parcel {
    /// Opens what the spec names and pairs it with descriptors for the server.
    pub fn pack(
        spec: &Spec,
        network: Option<OwnedFd>,
        users: Option<OwnedFd>,
        groups: Vec<OwnedFd>,
        privilege: Privilege,
    ) -> Result<Parcel, SandboxError> {
        let mut fds = Vec::new();
        let groups = groups.into_iter().map(|group| keep(&mut fds, group)).collect();
        let network = match (spec.network, network) {
            (rbuild_solver::op::Network::None, _) => wire::Network::None,
            (_, Some(joined)) => wire::Network::Join { fd: keep(&mut fds, joined) },
            (_, None) => wire::Network::Host,
        };
        let users = users.map(|users| keep(&mut fds, users));
        let root = pack_root(&spec.root, &mut fds)?;
        let mut mounts = Vec::new();
        for mount in &spec.mounts {
            mounts.push(pack_mount(mount, &mut fds)?);
        }
        let (stdio, output) = pack_stdio(spec.stdio, &mut fds)?;
        let request = wire::Request {
            root,
            args: spec.args.clone(),
            env: spec.env.clone(),
            cwd: if spec.cwd.is_empty() { "/".into() } else { spec.cwd.clone() },
            user: spec.user.clone(),
            hostname: spec.hostname.clone(),
            network,
            users,
            security: spec.security,
            resources: spec.resources.clone(),
            hosts: files::hosts(&spec.hostname, &spec.extra_hosts),
            resolv_conf: files::resolv_conf(network),
            mounts,
            groups,
            stdio,
            privilege,
        };
        let ask = Ask::Step(Box::new(request));
        Ok(Parcel { ask, fds, output, terminal: spec.stdio == Stdio::Terminal })
    }

    /// Hands it to the server, and keeps what the caller's side needs.
    pub fn send(self, control: BorrowedFd<'_>) -> Result<Step, SandboxError> {
        let (ours, theirs) = wire::pair().map_err(|errno| server("make a socket", errno))?;
        let fds: Vec<_> = self.fds.iter().map(AsFd::as_fd).collect();
        ask(control, &self.ask, &theirs, &fds)?;
        let outside = self.terminal.then(Outside::enter);
        Ok(Step::new(ours, self.output.map(File::from), outside))
    }
}

fn keep(fds: &mut Vec<OwnedFd>, fd: OwnedFd) -> usize {
    fds.push(fd);
    fds.len() - 1
}

fn pack_root(root: &Root, fds: &mut Vec<OwnedFd>) -> Result<wire::Root, SandboxError> {
    Ok(match root {
        Root::Overlay { lowers, upper, work } => {
            let text = |path: &std::path::PathBuf| {
                path.to_str().map(str::to_owned).ok_or_else(|| {
                    server(
                        &format!("use the path `{}`, which is no UTF-8", path.display()),
                        Errno::ILSEQ,
                    )
                })
            };
            wire::Root::Overlay {
                lowers: lowers.iter().map(text).collect::<Result<_, _>>()?,
                upper: text(upper)?,
                work: text(work)?,
            }
        }
        Root::Tree { source, access } => {
            wire::Root::Mounted { fd: keep(fds, detach(source, *access, Depth::Recursive)?) }
        }
    })
}

fn pack_mount(mount: &Mount, fds: &mut Vec<OwnedFd>) -> Result<wire::Mount, SandboxError> {
    let kind = match &mount.kind {
        MountKind::Bind { source, access } => {
            let mount = detach(source, *access, Depth::Recursive)?;
            let stat = rustix::fs::fstat(&mount).map_err(|e| server("look at a mount", e))?;
            let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            wire::MountKind::Detached { fd: keep(fds, mount), directory }
        }
        MountKind::Device { path, look } => {
            wire::MountKind::Device { fd: keep(fds, detach_device(path)?), look: *look }
        }
        MountKind::Tmpfs { size, mode } => wire::MountKind::Tmpfs { size: *size, mode: *mode },
        MountKind::File { data, mode, owner } => {
            wire::MountKind::File { data: data.clone(), mode: *mode, owner: *owner }
        }
    };
    Ok(wire::Mount { target: mount.target.clone(), kind })
}

fn pack_stdio(
    stdio: Stdio,
    fds: &mut Vec<OwnedFd>,
) -> Result<(wire::Stdio, Option<OwnedFd>), SandboxError> {
    match stdio {
        Stdio::Piped => {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
                .map_err(|errno| server("make a pipe", errno))?;
            rustix::io::ioctl_fionbio(&read, true).map_err(|errno| server("make a pipe", errno))?;
            Ok((wire::Stdio::Piped { output: keep(fds, write) }, Some(read)))
        }
        Stdio::Inherit | Stdio::Output => {
            let mut dup = |fd: BorrowedFd<'_>| {
                rustix::io::fcntl_dupfd_cloexec(fd, 3)
                    .map(|fd| keep(fds, fd))
                    .map_err(|errno| server("share the standard streams", errno))
            };
            let input = match stdio {
                Stdio::Output => None,
                _ => Some(dup(rustix::stdio::stdin())?),
            };
            let output = dup(rustix::stdio::stdout())?;
            let error = dup(rustix::stdio::stderr())?;
            Ok((wire::Stdio::Inherit { input, output, error }, None))
        }
        Stdio::Terminal => {
            let (rows, columns) = terminal::size();
            Ok((wire::Stdio::Terminal { rows, columns }, None))
        }
    }
}

/// A mount of a device file that belongs to no place yet. Unlike any other mount of the host it
/// obeys the device, so nothing but one device file may be on it.
fn detach_device(path: &std::path::Path) -> Result<OwnedFd, SandboxError> {
    let failed =
        |errno| Failure::setup(format!("mount the device `{}` of the host", path.display()), errno);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, path, flags).map_err(failed)?;
    let stat = rustix::fs::fstat(&mount).map_err(failed)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice | FileType::BlockDevice => {}
        _ => return Err(failed(Errno::NODEV).into()),
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_RDONLY;
    sys::mount_setattr(&mount, attributes.bits().into(), Depth::One).map_err(failed)?;
    Ok(mount)
}

/// A mount of the source that belongs to no place yet: the step puts it where it is wanted. Made
/// here, because the step sees copies of this process's mounts, where descriptors do not lead.
fn detach(source: &Source, access: Access, depth: Depth) -> Result<OwnedFd, SandboxError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let (opened, name) = match source {
        Source::Path(path) => (open_tree(CWD, path.as_path(), flags), path.display().to_string()),
        Source::Fd(fd) => {
            let flags = flags | OpenTreeFlags::AT_EMPTY_PATH;
            (open_tree(fd.as_fd(), "", flags), "a descriptor".to_owned())
        }
    };
    let failed = |errno| Failure::setup(format!("mount `{name}` from the host"), errno);
    let mount = opened.map_err(failed)?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    if access == Access::ReadOnly {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    sys::mount_setattr(&mount, attributes.bits().into(), depth).map_err(failed)?;
    Ok(mount)
}
