//! One step from the caller's side: what is sent to the server, and what comes back until the end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_solver::worker::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use rustix::pipe::PipeFlags;

use super::error::{Failure, SandboxError};
use super::spec::{Access, Exit, Mount, MountKind, Root, Source, Spec, Stdio};
use super::sys::{self, Depth};
use super::terminal::{self, Raw};
use super::wire::{self, Ask, Privilege, Report, Stub};
use super::{files, target};

/// How often a cancelled build and a changed window are looked for: not noticeable to a person,
/// nothing to a processor.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A request with the descriptors that go beside it.
pub struct Parcel {
    ask: Ask,
    fds: Vec<OwnedFd>,
    output: Option<OwnedFd>,
    raw: bool,
}

impl Parcel {
    /// Opens what the spec names and pairs it with descriptors for the server.
    pub fn pack(
        spec: &Spec,
        network: Option<OwnedFd>,
        privilege: Privilege,
    ) -> Result<Parcel, SandboxError> {
        let mut fds = Vec::new();
        let network = match (spec.network, network) {
            (rbuild_solver::op::Network::None, _) => wire::Network::None,
            (_, Some(joined)) => wire::Network::Join { fd: keep(&mut fds, joined) },
            (_, None) => wire::Network::Host,
        };
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
            hosts: files::hosts(&spec.hostname, &spec.extra_hosts),
            resolv_conf: files::resolv_conf(network),
            mounts,
            stdio,
            privilege,
        };
        let ask = Ask::Step(Box::new(request));
        Ok(Parcel { ask, fds, output, raw: spec.stdio == Stdio::Terminal })
    }

    /// Hands it to the server, and keeps what the caller's side needs.
    pub fn send(self, control: BorrowedFd<'_>) -> Result<Step, SandboxError> {
        let (ours, theirs) = wire::pair().map_err(|errno| server("make a socket", errno))?;
        let fds: Vec<_> = self.fds.iter().map(AsFd::as_fd).collect();
        ask(control, &self.ask, &theirs, &fds)?;
        let raw = self.raw.then(Raw::enter);
        Ok(Step {
            report: ours,
            output: self.output.map(File::from),
            raw,
            stubs: Vec::new(),
            failure: None,
            cancelled: false,
        })
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

/// A step that was asked for.
pub struct Step {
    report: OwnedFd,
    /// Where its output comes from: the pipe, or the terminal once the step has made it.
    output: Option<File>,
    raw: Option<Raw>,
    stubs: Vec<(Stub, OwnedFd)>,
    failure: Option<Failure>,
    cancelled: bool,
}

impl Step {
    /// Passes output on until nothing of the step is left.
    pub fn wait(
        mut self,
        output: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<Exit, SandboxError> {
        let mut input_open = true;
        let exit = loop {
            let ready = self.poll(input_open)?;
            if ready.output {
                self.read_output(output);
            }
            if ready.input {
                input_open = self.pass_input();
            }
            if ready.report
                && let Some(exit) = self.read_report()?
            {
                break exit;
            }
            self.look_around(cancel);
        };
        self.read_output(output);
        target::remove_stubs(std::mem::take(&mut self.stubs));
        match (self.failure, self.cancelled) {
            (_, true) => Err(SandboxError::Cancelled),
            (Some(failure), false) => Err(failure.into()),
            (None, false) => Ok(exit),
        }
    }

    fn poll(&self, input_open: bool) -> Result<Ready, SandboxError> {
        let mut fds = vec![PollFd::new(&self.report, PollFlags::IN)];
        let output = self.output.as_ref().map(|output| {
            fds.push(PollFd::new(output, PollFlags::IN));
            fds.len() - 1
        });
        let stdin = rustix::stdio::stdin();
        let input = (self.raw.is_some() && output.is_some() && input_open).then(|| {
            fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            fds.len() - 1
        });
        match poll(&mut fds, Some(&TICK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(server("wait for the step", errno)),
        }
        let is_ready = |index: Option<usize>| index.is_some_and(|i| !fds[i].revents().is_empty());
        Ok(Ready { report: is_ready(Some(0)), output: is_ready(output), input: is_ready(input) })
    }

    /// Reads what there is. At the end of output there is no more to wait for on it.
    fn read_output(&mut self, output: &mut dyn FnMut(&[u8])) {
        let mut buffer = vec![0; 64 * 1024];
        while let Some(from) = &mut self.output {
            match from.read(&mut buffer) {
                Ok(count) if count > 0 => output(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => self.output = None,
            }
        }
    }

    /// Passes what was typed to the step's terminal. False at the end of input.
    fn pass_input(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match (rustix::io::read(rustix::stdio::stdin(), &mut buffer), &mut self.output) {
            (Ok(count), Some(terminal)) if count > 0 => {
                let _ = terminal.write_all(&buffer[..count]);
                true
            }
            (Err(Errno::INTR | Errno::AGAIN), _) => true,
            _ => false,
        }
    }

    fn read_report(&mut self) -> Result<Option<Exit>, SandboxError> {
        let (report, fds) = receive(&self.report)?;
        let first = fds.into_iter().next();
        match (report, first) {
            (Report::Stub(stub), Some(parent)) => self.stubs.push((stub, parent)),
            (Report::Terminal, Some(terminal)) => {
                let _ = rustix::io::ioctl_fionbio(&terminal, true);
                self.output = Some(File::from(terminal));
            }
            (Report::Failed(failure), _) => self.failure = Some(failure),
            (Report::Exited { code, signal }, _) => {
                return Ok(Some(signal.map_or(Exit::Code(code), Exit::Signal)));
            }
            (Report::Stub(_) | Report::Terminal | Report::Network, _) => {}
        }
        Ok(None)
    }

    fn look_around(&mut self, cancel: &Cancel) {
        if cancel.is_cancelled() && !self.cancelled {
            self.cancelled = true;
            let _ = wire::send(self.report.as_fd(), b"end", &[]);
        }
        if let (Some(raw), Some(terminal)) = (&mut self.raw, &self.output) {
            raw.follow_size(terminal.as_fd());
        }
    }
}

/// A network of the build's own. It lasts as long as this does.
#[derive(Debug)]
pub struct Network {
    /// Its keeper ends when the other end of this does.
    _keeper: OwnedFd,
    namespace: OwnedFd,
}

impl Network {
    /// Has the server make one.
    pub fn make(control: BorrowedFd<'_>) -> Result<Network, SandboxError> {
        let (keeper, theirs) = wire::pair().map_err(|errno| server("make a socket", errno))?;
        ask(control, &Ask::Network, &theirs, &[])?;
        drop(theirs);
        let (report, fds) = receive(&keeper)?;
        match (report, fds.into_iter().next()) {
            (Report::Network, Some(namespace)) => Ok(Network { _keeper: keeper, namespace }),
            (Report::Failed(failure), _) => Err(failure.into()),
            _ => Err(SandboxError::ServerGone),
        }
    }

    /// What a step needs to join it.
    pub fn join(&self) -> Result<OwnedFd, SandboxError> {
        rustix::io::fcntl_dupfd_cloexec(&self.namespace, 3)
            .map_err(|errno| server("share the network", errno))
    }
}

fn ask(
    control: BorrowedFd<'_>,
    ask: &Ask,
    report: &OwnedFd,
    fds: &[BorrowedFd<'_>],
) -> Result<(), SandboxError> {
    wire::ask(control, ask, report.as_fd(), fds).map_err(|source| {
        match Errno::from_io_error(&source) {
            Some(Errno::PIPE | Errno::CONNRESET) => SandboxError::ServerGone,
            _ => SandboxError::Server { doing: "ask the sandbox server".into(), source },
        }
    })
}

fn receive(report: &OwnedFd) -> Result<(Report, Vec<OwnedFd>), SandboxError> {
    let (bytes, fds) = wire::receive(report.as_fd()).map_err(|errno| match errno {
        Errno::CONNRESET => SandboxError::ServerGone,
        errno => server("hear from the sandbox", errno),
    })?;
    if bytes.is_empty() {
        return Err(SandboxError::ServerGone);
    }
    let report = serde_json::from_slice(&bytes).map_err(|error| SandboxError::Server {
        doing: "read a report of the sandbox".into(),
        source: error.into(),
    })?;
    Ok((report, fds))
}

/// What there is to do.
struct Ready {
    report: bool,
    output: bool,
    input: bool,
}

fn server(doing: &str, errno: Errno) -> SandboxError {
    SandboxError::Server { doing: doing.into(), source: errno.into() }
}
