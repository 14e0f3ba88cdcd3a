//! The private network of a build: one network namespace for all its steps, joined to the outside
//! by `pasta`, a network stack in user space that needs no privilege on the host.
//!
//! A keeper, forked by the server, is process 1 of a process namespace in which pasta runs. It
//! sits there until the build is over; when it ends, however that happens, the kernel ends pasta.
//! Beside it a process without any capability holds the namespace open: pasta gives most of its
//! own rights up before it opens the namespace, and may then only look at a process with fewer.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::Signal;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::error::{Doing, Failure};
use super::files;
use super::sys::{self, Forked, Namespaces};
use super::wire::{self, Report};

/// The address in the private network at which pasta answers for the host's own resolver. Used
/// where the host has none that can be reached otherwise.
pub const RESOLVER: &str = "169.254.1.53";

/// How pasta is called. Addresses and routes as the host's; no port of either side reaches the
/// other, and the gateway's address is not the host: a step must not talk to what listens on the
/// host's loopback.
const OPTIONS: [&str; 12] = [
    "--quiet",
    "--runas",
    "0:0",
    "--config-net",
    "--no-map-gw",
    "-t",
    "none",
    "-u",
    "none",
    "-T",
    "none",
    "-U",
];

/// Makes the network, hands it to `report` and keeps it until the server ends.
pub fn keep(report: &OwnedFd) -> ! {
    match make() {
        Ok((network, _holder)) => {
            let _ = wire::report(report, &Report::Network, &[network.as_fd()]);
            drop(network);
            sys::wait_forever()
        }
        Err(failure) => {
            let _ = wire::report(report, &Report::Failed(failure), &[]);
            sys::exit_now(1)
        }
    }
}

/// Switches the loopback device of this process's network on.
pub fn loopback_up() -> Result<(), Failure> {
    rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)
        .and_then(sys::loopback_up)
        .doing(|| "switch the loopback device on")
}

fn make() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .doing(|| "tie the network to the server")?;
    let (ours, theirs) = wire::pair().doing(|| "make a socket")?;
    match sys::clone_process(Namespaces::NETWORK).doing(|| "make a network namespace")? {
        Forked::Child => hold(&theirs),
        Forked::Parent(_) => drop(theirs),
    }
    let (name, fds) = wire::receive(ours.as_fd()).doing(|| "hear from the network's holder")?;
    let network = fds.into_iter().next();
    let network = network.ok_or_else(|| Failure::setup("make a network namespace", Errno::IO))?;
    start_pasta(&String::from_utf8_lossy(&name))?;
    Ok((network, ours))
}

/// Tells how the new network is reached and waits.
fn hold(report: &OwnedFd) -> ! {
    let tell = || {
        loopback_up()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let network = rustix::fs::openat(CWD, "/proc/self/ns/net", flags, Mode::empty())
            .doing(|| "open `/proc/self/ns/net`")?;
        // The number by which the mounted /proc knows this process, not that of its namespace.
        let number =
            rustix::fs::readlink("/proc/self", Vec::new()).doing(|| "read `/proc/self`")?;
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).doing(|| "drop capabilities")?;
        wire::send(report.as_fd(), number.as_bytes(), &[network.as_fd()])
            .doing(|| "tell the network's keeper")
    };
    match tell() {
        Ok(()) => sys::wait_forever(),
        Err(_) => sys::exit_now(1),
    }
}

/// Returns when pasta has set the network up and gone into the background.
fn start_pasta(holder: &str) -> Result<(), Failure> {
    let fail = |reason: String| Failure::Network { reason };
    // Only then: with it, some versions of pasta spoil the answers of other name servers.
    let forward = match files::needs_forwarding() {
        true => ["--dns-forward", RESOLVER].as_slice(),
        false => &[],
    };
    let output = Command::new("pasta")
        .args(forward)
        .args(OPTIONS)
        .args(["none", "--netns", &format!("/proc/{holder}/ns/net")])
        .output()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                fail("pasta is not installed (`apt install passt`)".into())
            }
            _ => fail(format!("cannot run pasta: {error}")),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // It complains about a missing syslog in between.
    let line = said.lines().rfind(|line| !line.is_empty() && !line.contains("syslog"));
    let mut reason = format!("pasta failed: {}", line.unwrap_or("it said nothing"));
    if said.contains("tun") {
        reason.push_str(
            " (as root: `chmod 0666 /dev/net/tun` opens it to all users; `modprobe tun` makes it)",
        );
    }
    Err(fail(reason))
}
