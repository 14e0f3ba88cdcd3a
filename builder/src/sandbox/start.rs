//! The sandbox as the builder sees it: a server that is started with the first step, and what the
//! steps of a build share.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Seek, copy};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rbuild_solver::op;
use rbuild_solver::worker::Cancel;
use rustix::fs::{CWD, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use rustix::net::Shutdown;

use super::emulation::Ways;
use super::enter::Isolation;
use super::error::{Failure, SandboxError};
use super::group::Group;
use super::parcel::Parcel;
use super::run::Network;
use super::server;
use super::spec::{End, Entitlement, Exit, Limits, MemoryUse, Spec};
use super::sys::{self, Depth};
use super::wire::{self, Privilege};

/// The name by which a process knows that it is the server.
const SERVER: &str = "rbuild-sandbox";

/// To be called first in `main`: in a process that was started as the sandbox server it serves,
/// and never returns.
pub fn init_hook() {
    if std::env::args_os().next().is_some_and(|name| name == SERVER) {
        server::serve(sys::take_stdin());
    }
}

/// Runs processes in sandboxes. One for a build; its methods may be called from several threads.
/// The server is started with the first process: a build that runs none does without.
#[derive(Debug)]
pub struct Sandbox {
    privilege: Privilege,
    server: Mutex<Option<Arc<Server>>>,
    allowed: Vec<Entitlement>,
    networks: Mutex<Networks>,
    /// How programs for other machines run, by architecture.
    ways: Ways,
    notices: Mutex<Vec<String>>,
    said: Mutex<HashSet<String>>,
}

/// The networks that steps get by default.
#[derive(Debug)]
enum Networks {
    /// Those of the build that no step uses now. Steps after each other take the same; steps
    /// beside each other have one each, so that both may listen on a port.
    Own(Vec<Network>),
    /// There are none of the build's own: the host's.
    Host,
}

impl Sandbox {
    /// For a process that has entered its isolation. No step gets more than `allowed`.
    pub fn new(isolation: &Isolation, allowed: Vec<Entitlement>) -> Sandbox {
        Sandbox {
            privilege: Privilege { rootless: isolation.rootless, ids: isolation.ids },
            server: Mutex::new(None),
            allowed,
            networks: Mutex::new(Networks::Own(Vec::new())),
            ways: Ways::default(),
            notices: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// Runs one process to its end and passes its output on as it comes. Nothing of it is left
    /// afterwards: a process that it started in the background ends with it.
    ///
    /// An error says that the process could not be started; how it ended is no error. Limits that
    /// cannot be set here are left out, with a notice.
    pub fn run(
        &self,
        spec: &Spec,
        output: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<End, SandboxError> {
        if let Some(missing) = spec.needs().into_iter().find(|it| !self.allowed.contains(it)) {
            return Err(SandboxError::NotAllowed(missing));
        }
        let server = self.server()?;
        let tell = |text| self.notice(text);
        let way = self.ways.find(&spec.platform, server.control.as_fd(), tell)?;
        let users = way.users()?;
        let network = self.take_network(spec, &server)?;
        let joined = network.as_ref().map(Network::join).transpose()?;
        let mut group = self.group(&spec.limits);
        let doors = group.as_mut().map(Group::take_doors).unwrap_or_default();
        let parcel = Parcel::pack(spec, joined, users, doors, self.privilege)?;
        let result = parcel.send(server.control.as_fd())?.wait(output, cancel);
        self.give_back(network);
        let exited = result.map_err(|error| way.explain(error, &spec.platform))?;
        let exit = exited.signal.map_or(Exit::Code(exited.code), Exit::Signal);
        let limited = group.and_then(|group| group.memory_use());
        let memory = limited.unwrap_or_else(|| {
            let ran_out = looks_killed(exit) && server.machine_ran_out();
            MemoryUse { peak: exited.peak, limit: None, ran_out }
        });
        Ok(End { exit, memory })
    }

    /// The control group of a step with limits. What cannot be limited is said.
    fn group(&self, limits: &Limits) -> Option<Group> {
        if !limits.are_set() {
            return None;
        }
        let (group, unkept) = Group::new(limits);
        let lacking = unkept.iter().map(|it| format!("without {}: {}", it.flags(), it.why));
        if !unkept.is_empty() {
            self.notice(format!("steps run {}", lacking.collect::<Vec<_>>().join("; ")));
        }
        Some(group)
    }

    fn server(&self) -> Result<Arc<Server>, SandboxError> {
        let mut server = lock(&self.server);
        match &*server {
            Some(server) => Ok(Arc::clone(server)),
            None => Ok(Arc::clone(server.insert(Arc::new(Server::start()?)))),
        }
    }

    /// A network that no other step uses; none for the host's, or for an empty one.
    fn take_network(&self, spec: &Spec, server: &Server) -> Result<Option<Network>, SandboxError> {
        if spec.network != op::Network::Default {
            return Ok(None);
        }
        match &mut *lock(&self.networks) {
            Networks::Host => return Ok(None),
            Networks::Own(idle) => {
                if let Some(network) = idle.pop() {
                    return Ok(Some(network));
                }
            }
        }
        match Network::make(server.control.as_fd()) {
            Ok(network) => Ok(Some(network)),
            Err(SandboxError::Step(failure)) => {
                self.fall_back(&failure);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn give_back(&self, network: Option<Network>) {
        if let (Networks::Own(idle), Some(network)) = (&mut *lock(&self.networks), network) {
            idle.push(network);
        }
    }

    fn fall_back(&self, failure: &Failure) {
        let mut networks = lock(&self.networks);
        if !matches!(*networks, Networks::Host) {
            *networks = Networks::Host;
            self.notice(format!("steps use the host's network: {failure}"));
        }
    }

    /// Something that a user should know, once.
    fn notice(&self, text: String) {
        let mut said = lock(&self.said);
        if said.insert(text.clone()) {
            lock(&self.notices).push(text);
        }
    }

    /// What a user should know about how steps are run here, each once.
    pub fn notices(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.notices))
    }
}

/// The process that forks the steps. It ends with this.
#[derive(Debug)]
struct Server {
    control: OwnedFd,
    process: Child,
    /// What the kernel's count of out-of-memory kills was when it was last looked at.
    kills: Mutex<Option<u64>>,
}

impl Server {
    fn start() -> Result<Server, SandboxError> {
        let failed = |doing: &str, source: std::io::Error| SandboxError::Server {
            doing: doing.into(),
            source,
        };
        let (control, theirs) =
            wire::pair().map_err(|errno| failed("make a socket for the sandbox", errno.into()))?;
        let program = own_program().map_err(|e| failed("make a safe copy of this program", e))?;
        let process = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0(SERVER)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(theirs)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| failed("start the sandbox server", error))?;
        Ok(Server { control, process, kills: Mutex::new(oom_kills()) })
    }

    /// Whether the kernel has ended processes for lack of memory since this was last asked.
    fn machine_ran_out(&self) -> bool {
        let mut known = lock(&self.kills);
        let now = oom_kills();
        std::mem::replace(&mut *known, now) != now
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when nobody can ask it for anything any more.
        let _ = rustix::net::shutdown(&self.control, Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// Whether a step ended as one does whose process was killed, or whose shell saw one killed.
fn looks_killed(exit: Exit) -> bool {
    matches!(exit, Exit::Signal(9) | Exit::Code(137))
}

/// How many processes the kernel has ended because the machine had no memory left
/// (`proc_vmstat(5)`). Other programs' processes count as well: it is a hint.
fn oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

/// A panic of another thread has not harmed what is behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This program, in a form that nobody can write to: what runs in a sandbox can reach the file
/// of the process that prepared it (`/proc/self/exe`), and must not be able to replace it.
fn own_program() -> std::io::Result<OwnedFd> {
    read_only_mount().or_else(|_| sealed_copy())
}

/// A read-only mount of the file. The link in `/proc` leads to the mounts of before the process
/// entered its isolation, hence by name, and only if the name still means the same file.
fn read_only_mount() -> std::io::Result<OwnedFd> {
    let running = rustix::fs::stat("/proc/self/exe")?;
    let path = std::fs::read_link("/proc/self/exe")?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, &path, flags)?;
    let found = rustix::fs::fstat(&mount)?;
    if (running.st_dev, running.st_ino) != (found.st_dev, found.st_ino) {
        return Err(Errno::STALE.into());
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
    sys::mount_setattr(&mount, attributes.bits().into(), Depth::One)?;
    Ok(mount)
}

/// A copy in memory that the kernel lets nobody change.
fn sealed_copy() -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("rbuild", flags)?);
    copy(&mut File::open("/proc/self/exe")?, &mut file)?;
    file.rewind()?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    // A file that is open for writing cannot be executed.
    let read_only = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok(read_only.into())
}

/// Both forms of the program.
#[cfg(test)]
pub fn own_program_for_tests() -> [OwnedFd; 2] {
    let mount = read_only_mount().or_else(|_| sealed_copy());
    [mount.unwrap(), sealed_copy().unwrap()]
}

#[cfg(test)]
impl Sandbox {
    /// The number of the server process.
    pub fn server_id(&self) -> u32 {
        self.server().unwrap().process.id()
    }
}
