//! The inside of a step, from the fork to the program: the order of things.
//!
//! Runs as process 1 of the step's process namespace, with every privilege of the server. Each
//! part takes some away, so the order matters: mounts need the host's root, `pivot_root` loses it,
//! seccomp needs `CAP_SYS_ADMIN`, changing the user loses that.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_solver::op::Security;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::thread::LinkNameSpaceType;

use super::error::{Doing, FILTER, Failure};
use super::exec::{self, Program};
use super::mounts::{self, Stage};
use super::sys::Instruction;
use super::user::{self, User};
use super::wire::{self, Network, Report, Request, Stdio};
use super::{caps, limits, network, root, sys, target, terminal};

/// Makes the sandbox and becomes the program, or tells `report` why not.
pub fn run(request: &Request, fds: Vec<OwnedFd>, report: &OwnedFd, filter: &[Instruction]) -> ! {
    let failure = match prepare(request, &fds, report, filter) {
        Ok(program) => program.become_it(),
        Err(failure) => failure,
    };
    let _ = wire::report(report, &Report::Failed(failure), &[]);
    sys::exit_now(127)
}

fn prepare(
    request: &Request,
    fds: &[OwnedFd],
    report: &OwnedFd,
    filter: &[Instruction],
) -> Result<Program, Failure> {
    start_clean()?;
    enter_groups(request, fds)?;
    join_network(request, fds)?;
    rustix::system::sethostname(request.hostname.as_bytes()).doing(|| "set the host name")?;
    let stage = Stage::new(request)?;
    let root = root::attach(request, fds, &stage)?;
    mounts::mount_all(request, fds, &stage, &root, report)?;
    connect(request, fds, root.as_fd(), report)?;
    root::pivot(&root)?;
    let user = user::resolve(root.as_fd(), &request.user)?;
    enter_directory(root.as_fd(), &request.cwd)?;
    let program = Program::new(&request.args, &request.env, &user)?;
    drop_privileges(request, fds, &user, filter)?;
    Ok(program)
}

/// Leaves behind what a process inherits and a step must not: the session, signals, the mask.
fn start_clean() -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .doing(|| "tie the step to the server")?;
    rustix::process::setsid().doing(|| "start a session")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    sys::reset_signals();
    // The standard streams are replaced; nothing else of the host lives past the program's start.
    sys::close_on_exec_from(3).map_err(|errno| {
        let failure = Failure::setup("mark the host's descriptors", errno);
        match errno {
            Errno::INVAL | Errno::NOSYS => failure.or_help("rbuild needs Linux 5.12 or newer"),
            _ => failure,
        }
    })
}

fn enter_groups(request: &Request, fds: &[OwnedFd]) -> Result<(), Failure> {
    for group in &request.groups {
        rustix::io::write(fd_at(fds, *group)?, b"0").doing(|| "enter the step's control group")?;
    }
    Ok(())
}

fn join_network(request: &Request, fds: &[OwnedFd]) -> Result<(), Failure> {
    match request.network {
        Network::Host => Ok(()),
        Network::None => network::loopback_up(),
        Network::Join { fd } => {
            let network = fd_at(fds, fd)?;
            let kind = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(network, kind)
                .doing(|| "join the build's network")
        }
    }
}

/// Enters the user namespace in which the step's emulator is registered. Late: what was mounted and
/// joined before belongs to the one that it leaves, where it keeps no rights.
fn join_users(request: &Request, fds: &[OwnedFd]) -> Result<(), Failure> {
    let Some(fd) = request.users else { return Ok(()) };
    let kind = Some(LinkNameSpaceType::User);
    rustix::thread::move_into_link_name_space(fd_at(fds, fd)?, kind)
        .doing(|| "enter the emulator's user namespace")
}

/// The descriptor that a request names by its place.
pub fn fd_at(fds: &[OwnedFd], index: usize) -> Result<BorrowedFd<'_>, Failure> {
    fds.get(index)
        .map(AsFd::as_fd)
        .ok_or_else(|| Failure::setup("find a descriptor of the request", Errno::BADF))
}

/// Puts the standard streams in place.
fn connect(
    request: &Request,
    fds: &[OwnedFd],
    root: BorrowedFd<'_>,
    report: &OwnedFd,
) -> Result<(), Failure> {
    match request.stdio {
        Stdio::Piped { output } => {
            let output = fd_at(fds, output)?;
            set_streams([no_input(root)?.as_fd(), output, output])
        }
        Stdio::Inherit { input, output, error } => {
            let (output, error) = (fd_at(fds, output)?, fd_at(fds, error)?);
            match input {
                Some(input) => set_streams([fd_at(fds, input)?, output, error]),
                None => set_streams([no_input(root)?.as_fd(), output, error]),
            }
        }
        Stdio::Terminal { rows, columns } => {
            let slave = terminal::open_inside(root, report, rows, columns)?;
            set_streams([slave.as_fd(), slave.as_fd(), slave.as_fd()])
        }
    }
}

/// The step's own null device: the host's would be a way to the host's file.
fn no_input(root: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    target::open_in(root, "dev/null", rustix::fs::OFlags::RDONLY).doing(|| "open `/dev/null`")
}

fn set_streams([input, output, error]: [BorrowedFd<'_>; 3]) -> Result<(), Failure> {
    rustix::stdio::dup2_stdin(input)
        .and_then(|()| rustix::stdio::dup2_stdout(output))
        .and_then(|()| rustix::stdio::dup2_stderr(error))
        .doing(|| "set the standard streams")
}

/// Opens the working directory inside the root, whatever its name leads to, and checks that it is
/// there: `/proc/self/fd/N` must not lead to a directory of the host. One that is missing is made:
/// bases name directories that they do not have, and other runtimes make them.
fn enter_directory(root: BorrowedFd<'_>, cwd: &str) -> Result<(), Failure> {
    let failed = |errno: Errno| Failure::Cwd { path: cwd.into(), errno: errno.raw_os_error() };
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
    let directory = match target::open_in(root, cwd, flags) {
        Err(Errno::NOENT) => target::directory(root, cwd),
        found => found,
    };
    let directory = directory.map_err(failed)?;
    rustix::process::fchdir(directory).map_err(failed)?;
    match rustix::process::getcwd(Vec::new()) {
        Ok(path) if path.as_bytes().starts_with(b"/") => Ok(()),
        Ok(_) => Err(failed(Errno::NOENT)),
        Err(errno) => Err(failed(errno)),
    }
}

/// The last steps to an ordinary process of the image's user.
fn drop_privileges(
    request: &Request,
    fds: &[OwnedFd],
    user: &User,
    filter: &[Instruction],
) -> Result<(), Failure> {
    if !matches!(request.stdio, Stdio::Inherit { .. }) {
        exec::give_streams_to(user);
    }
    limits::set(&request.resources)?;
    join_users(request, fds)?;
    let confined = request.security == Security::Confined;
    if confined {
        caps::limit_bounding_set().doing(|| "drop capabilities")?;
    }
    if confined && !filter.is_empty() {
        sys::install_seccomp(filter).doing(|| FILTER)?;
    }
    caps::become_user(user, request.privilege.ids)?;
    caps::keep(request.security, user).doing(|| "drop capabilities")?;
    // Changing the user has cleared it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .doing(|| "tie the step to the server")
}
