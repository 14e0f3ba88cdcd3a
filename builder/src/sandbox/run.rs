//! One step from the caller's side: what comes back from it until the end.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_solver::worker::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::error::{Failure, SandboxError};
use super::target;
use super::terminal::Outside;
use super::wire::{self, Ask, Exited, Report, Stub};

/// How often a cancelled build and a changed window are looked for: not noticeable to a person,
/// nothing to a processor.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A step that was asked for.
pub struct Step {
    report: OwnedFd,
    /// Where its output comes from: the pipe, or the terminal once the step has made it.
    output: Option<File>,
    outside: Option<Outside>,
    stubs: Vec<(Stub, OwnedFd)>,
    failure: Option<Failure>,
    cancelled: bool,
}

impl Step {
    /// With what is told about it, the pipe of its output, and the terminal it is joined to.
    pub fn new(report: OwnedFd, output: Option<File>, outside: Option<Outside>) -> Step {
        Step { report, output, outside, stubs: Vec::new(), failure: None, cancelled: false }
    }

    /// Passes output on until nothing of the step is left.
    pub fn wait(
        mut self,
        output: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<Exited, SandboxError> {
        let exited = loop {
            let ready = self.poll()?;
            if ready.output {
                self.read_output(output);
            }
            if ready.report
                && let Some(exited) = self.read_report()?
            {
                break exited;
            }
            self.serve_terminal(ready.input);
            self.heed(cancel);
        };
        // Nobody can write any more: there is an end.
        while self.output.is_some() && self.read_output(output) {}
        target::remove_stubs(std::mem::take(&mut self.stubs));
        match (self.failure, self.cancelled) {
            (_, true) => Err(SandboxError::Cancelled),
            (Some(failure), false) => Err(failure.into()),
            (None, false) => Ok(exited),
        }
    }

    fn poll(&self) -> Result<Ready, SandboxError> {
        let mut fds = vec![PollFd::new(&self.report, PollFlags::IN)];
        let has_typed = self.outside.as_ref().is_some_and(Outside::has_typed);
        let output = self.output.as_ref().map(|output| {
            let typed = if has_typed { PollFlags::OUT } else { PollFlags::empty() };
            fds.push(PollFd::new(output, PollFlags::IN | typed));
            fds.len() - 1
        });
        let wants_input = self.outside.as_ref().is_some_and(Outside::wants_input);
        let input = (wants_input && output.is_some()).then(|| {
            fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
            fds.len() - 1
        });
        match poll(&mut fds, Some(&TICK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(server("wait for the step", errno)),
        }
        let is_ready = |index: Option<usize>| index.is_some_and(|i| !fds[i].revents().is_empty());
        Ok(Ready { report: is_ready(Some(0)), output: is_ready(output), input: is_ready(input) })
    }

    /// Reads once, so that a step that never stops writing can still be cancelled. True if there
    /// was something; at the end of output there is no more to wait for on it.
    fn read_output(&mut self, output: &mut dyn FnMut(&[u8])) -> bool {
        let Some(from) = &mut self.output else { return false };
        let mut buffer = vec![0; 64 * 1024];
        match from.read(&mut buffer) {
            Ok(count) if count > 0 => {
                output(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Ok(_) | Err(_) => {
                self.output = None;
                false
            }
        }
    }

    fn read_report(&mut self) -> Result<Option<Exited>, SandboxError> {
        let (report, fds) = receive(&self.report)?;
        let first = fds.into_iter().next();
        match (report, first) {
            (Report::Stub(stub), Some(parent)) => self.stubs.push((stub, parent)),
            (Report::Terminal, Some(terminal)) => {
                let _ = rustix::io::ioctl_fionbio(&terminal, true);
                self.output = Some(File::from(terminal));
            }
            (Report::Failed(failure), _) => self.failure = Some(failure),
            (Report::Exited(exited), _) => return Ok(Some(exited)),
            (Report::Stub(_) | Report::Terminal | Report::Network | Report::Emulator, _) => {}
        }
        Ok(None)
    }

    fn serve_terminal(&mut self, input: bool) {
        let (Some(outside), Some(terminal)) = (&mut self.outside, &self.output) else { return };
        if input {
            outside.read_input();
        }
        if outside.has_typed() {
            outside.pass_on(terminal.as_fd());
        }
        outside.follow_size(terminal.as_fd());
    }

    fn heed(&mut self, cancel: &Cancel) {
        if cancel.is_cancelled() && !self.cancelled {
            self.cancelled = true;
            let _ = wire::send(self.report.as_fd(), b"end", &[]);
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

/// Asks the server for something, to be told about at `report`.
pub fn ask(
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

/// What is told on a report socket next.
pub fn receive(report: &OwnedFd) -> Result<(Report, Vec<OwnedFd>), SandboxError> {
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

/// A failed system call on the way to the server and back.
pub fn server(doing: &str, errno: Errno) -> SandboxError {
    SandboxError::Server { doing: doing.into(), source: errno.into() }
}
