//! The server: one small process with one thread that forks the steps.
//!
//! Forking costs by the memory of who forks, and a process with many threads may do next to
//! nothing in a forked child; hence a process of its own. It takes requests, reports ends, and
//! kills a step when its caller asks or is gone. When the builder is gone, it takes every step
//! with it. What happens inside a step is in `step`.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use super::error::Failure;
use super::sys::{self, Forked, Instruction, Namespaces};
use super::wire::{self, Ask, Exited, Report};
use super::{emulation, network, seccomp, step};

/// A step that runs.
struct Running {
    pidfd: OwnedFd,
    report: OwnedFd,
    killed: bool,
}

/// Serves requests from `control` until its other end is closed, then ends the process.
pub fn serve(control: OwnedFd) -> ! {
    // A terminal's Ctrl-C is for the builder, which decides what it means for the steps; and no
    // step may find keys of the user who started the build.
    let _ = rustix::process::setsid();
    let _ = sys::new_session_keyring();
    let filter = seccomp::filter().unwrap_or_default();
    let mut running: Vec<Running> = Vec::new();
    while wait(&control, &mut running) {
        match wire::receive(control.as_fd()) {
            Ok((bytes, _)) if bytes.is_empty() => break,
            Ok((_, fds)) => running.extend(start(fds, &filter)),
            Err(_) => break,
        }
    }
    end_all(running);
    sys::exit_now(0)
}

/// Waits for the next message and meanwhile looks after the steps. False when `control` failed.
fn wait(control: &OwnedFd, running: &mut Vec<Running>) -> bool {
    loop {
        match poll_all(control, running) {
            Ok((asked, events)) => {
                look_after(running, &events);
                if asked {
                    return true;
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// What happened to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    None,
    Ended,
    /// Its caller says something, or is gone: both mean that it shall end.
    Unwanted,
}

/// Waits until something happens: whether there is a message, and what there is of each step.
fn poll_all(control: &OwnedFd, running: &[Running]) -> Result<(bool, Vec<Event>), Errno> {
    let mut fds = vec![PollFd::new(control, PollFlags::IN)];
    for step in running {
        fds.push(PollFd::new(&step.pidfd, PollFlags::IN));
        // Of a killed step only its end matters; its closed report would be ready all the time.
        let report = if step.killed { &step.pidfd } else { &step.report };
        fds.push(PollFd::new(report, PollFlags::IN));
    }
    poll(&mut fds, None)?;
    let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
    let events = fds[1..].chunks(2).map(|pair| match (ready(&pair[0]), ready(&pair[1])) {
        (true, _) => Event::Ended,
        (false, true) => Event::Unwanted,
        (false, false) => Event::None,
    });
    Ok((ready(&fds[0]), events.collect()))
}

/// Reports the steps that ended and kills those that nobody wants.
fn look_after(running: &mut Vec<Running>, events: &[Event]) {
    let mut events = events.iter();
    running.retain_mut(|step| match events.next() {
        Some(Event::Ended) => {
            finish(step);
            false
        }
        Some(Event::Unwanted) => {
            let _ = rustix::process::pidfd_send_signal(&step.pidfd, Signal::KILL);
            // A socket that is closed with something unread in it loses what was sent before.
            let _ = wire::receive(step.report.as_fd());
            step.killed = true;
            true
        }
        Some(Event::None) | None => true,
    });
}

fn finish(step: &Running) {
    let ended = rustix::io::retry_on_intr(|| sys::wait(step.pidfd.as_fd()));
    let killed = Exited { code: 0, signal: Some(Signal::KILL.as_raw()), peak: None };
    let _ = wire::report(&step.report, &Report::Exited(ended.unwrap_or(killed)), &[]);
}

fn end_all(running: Vec<Running>) {
    for step in &running {
        let _ = rustix::process::pidfd_send_signal(&step.pidfd, Signal::KILL);
    }
    running.iter().for_each(finish);
}

/// Forks one step. If that is not possible, its caller is told, and nothing runs.
fn start(mut fds: Vec<OwnedFd>, filter: &[Instruction]) -> Option<Running> {
    if fds.len() < 2 {
        return None;
    }
    let rest = fds.split_off(2);
    let (body, report) = (fds.pop()?, fds.pop()?);
    match fork(body, rest, &report, filter) {
        Ok(pidfd) => Some(Running { pidfd, report, killed: false }),
        Err(failure) => {
            let _ = wire::report(&report, &Report::Failed(failure), &[]);
            let nothing = Exited { code: 0, signal: None, peak: None };
            let _ = wire::report(&report, &Report::Exited(nothing), &[]);
            None
        }
    }
}

fn fork(
    body: OwnedFd,
    fds: Vec<OwnedFd>,
    report: &OwnedFd,
    filter: &[Instruction],
) -> Result<OwnedFd, Failure> {
    let ask = wire::read_ask(body).map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
        Failure::setup("read the sandbox's request", errno)
    })?;
    let forked = sys::clone_process(namespaces(&ask)).map_err(|errno| {
        Failure::setup("make the namespaces of a step", errno).or_help(
            "the limits in /proc/sys/user/max_*_namespaces and the number of processes \
             (ulimit -u) are what usually stops this",
        )
    })?;
    match (forked, ask) {
        (Forked::Child, Ask::Step(request)) => step::run(&request, fds, report, filter),
        (Forked::Child, Ask::Network) => network::keep(report),
        (Forked::Child, Ask::Emulator { architecture, emulator }) => {
            emulation::keep(&architecture, &emulator, report)
        }
        (Forked::Parent(pidfd), _) => Ok(pidfd),
    }
}

fn namespaces(ask: &Ask) -> Namespaces {
    match ask {
        Ask::Network | Ask::Emulator { .. } => Namespaces::PROCESSES,
        Ask::Step(request) => match request.network {
            wire::Network::None => Namespaces::STEP.and(Namespaces::NETWORK),
            wire::Network::Host | wire::Network::Join { .. } => Namespaces::STEP,
        },
    }
}
