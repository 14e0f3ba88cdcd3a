//! How this process, the server and a step talk: messages of a seqpacket socket, descriptors
//! beside them.
//!
//! The control socket carries one message a step: its descriptors, the first of them the step's
//! own report socket, the second a memory file with the [`Ask`]. Everything after that goes
//! over the report socket, so no reply ever has to be matched with its question. What the caller
//! sends on it, be it by closing it, means: end this step.

use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_solver::op::{Resources, Security};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::spec::DeviceLook;

/// The kernel passes no more descriptors in one message.
pub const MAX_FDS: usize = 253;

/// A message and error reports are far smaller than this.
const MAX_MESSAGE: usize = 64 * 1024;

/// What the server is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// A step.
    Step(Box<Request>),
    /// The build's own network.
    Network,
    /// An emulator, registered for steps that need it.
    Emulator {
        /// The architecture whose programs it runs.
        architecture: String,
        /// Its file.
        emulator: String,
    },
}

/// One step, ready to be carried out. Descriptors are named by their place beside the message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub root: Root,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: String,
    pub user: String,
    pub hostname: String,
    pub network: Network,
    /// The user namespace that the program runs in, if it is another than the step's.
    pub users: Option<usize>,
    pub security: Security,
    pub resources: Resources,
    pub hosts: Vec<u8>,
    pub resolv_conf: Vec<u8>,
    pub mounts: Vec<Mount>,
    /// Where to write `0` to be in the step's control groups.
    pub groups: Vec<usize>,
    pub stdio: Stdio,
    pub privilege: Privilege,
}

/// The root as the step makes it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Root {
    Overlay { lowers: Vec<String>, upper: String, work: String },
    Mounted { fd: usize },
}

/// The network as the step joins it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Network {
    Host,
    None,
    Join { fd: usize },
}

/// Something mounted for the step.
#[derive(Debug, Serialize, Deserialize)]
pub struct Mount {
    pub target: String,
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Serialize, Deserialize)]
pub enum MountKind {
    Detached {
        fd: usize,
        directory: bool,
    },
    /// A mount of a device file of the host.
    Device {
        fd: usize,
        look: DeviceLook,
    },
    Tmpfs {
        size: Option<u64>,
        mode: u32,
    },
    File {
        data: Vec<u8>,
        mode: u32,
        owner: (u32, u32),
    },
}

/// The standard streams.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Stdio {
    Piped { output: usize },
    Inherit { input: Option<usize>, output: usize, error: usize },
    Terminal { rows: u16, columns: u16 },
}

/// What this process itself is allowed to do, which decides how a step is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privilege {
    pub rootless: bool,
    pub ids: Ids,
}

/// Which user and group ids there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// Enough of them for any image.
    Full,
    /// Only 0. Files of an image that belong to others cannot be made, and no step can run as
    /// another user.
    Single,
}

/// What is told on a report socket.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// From the step: a mount point was made, to be removed afterwards. With its parent directory.
    Stub(Stub),
    /// From the step: the other end of its terminal.
    Terminal,
    /// From the network's keeper: the network.
    Network,
    /// From the emulator's keeper: the user namespace that it is registered in.
    Emulator,
    /// From the step or keeper, which ends then.
    Failed(Failure),
    /// From the server: nothing of the step is left.
    Exited(Exited),
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exited {
    pub code: i32,
    pub signal: Option<i32>,
    /// The most bytes of memory that one of its processes had.
    pub peak: Option<u64>,
}

/// A mount point that had to be made.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stub {
    pub name: String,
    pub directory: bool,
    /// The parent's times before: seconds and nanoseconds of access and of modification.
    pub times: [(i64, i64); 2],
}

/// Two connected ends that keep messages apart.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends one message with descriptors.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOMANYREFS);
    }
    let iov = [IoSlice::new(bytes)];
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &iov, &mut control, SendFlags::NOSIGNAL)
    })
    .map(drop)
}

/// Receives one message with its descriptors. No bytes: the other end is closed.
pub fn receive(socket: BorrowedFd<'_>) -> Result<(Vec<u8>, Vec<OwnedFd>), Errno> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        let iov = &mut [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(socket, iov, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    bytes.truncate(received.bytes);
    Ok((bytes, fds))
}

/// Sends a report.
pub fn report(socket: impl AsFd, report: &Report, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(report).map_err(|_| Errno::INVAL)?;
    send(socket.as_fd(), &bytes, fds)
}

/// Asks the server for something. What becomes of it is told to `report`.
pub fn ask(
    control: BorrowedFd<'_>,
    ask: &Ask,
    report: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
) -> std::io::Result<()> {
    let body = rustix::fs::memfd_create("request", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut body = std::fs::File::from(body);
    let mut writer = std::io::BufWriter::new(&mut body);
    serde_json::to_writer(&mut writer, ask)?;
    writer.flush()?;
    drop(writer);
    let all: Vec<_> = [report, body.as_fd()].into_iter().chain(fds.iter().copied()).collect();
    Ok(send(control, b"ask", &all)?)
}

/// Reads what [`ask`] wrote.
pub fn read_ask(body: OwnedFd) -> std::io::Result<Ask> {
    let mut body = std::fs::File::from(body);
    body.rewind()?;
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}
