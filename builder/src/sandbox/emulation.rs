//! Programs for other machines: which of them need an emulator, where it is, and making the kernel
//! start it.
//!
//! The kernel starts an interpreter for files that `binfmt_misc` has a pattern of
//! (`Documentation/admin-guide/binfmt-misc.rst` of Linux). Since 6.7 each user namespace can have a
//! table of its own. So a step that needs an emulator runs in a user namespace made for that, with
//! the same ids; the host's table is neither changed nor needed. Where the kernel is older, or no
//! emulator is installed, the step runs as any other, with whatever the host has registered.
//!
//! A keeper, forked by the server, holds the namespace as that of the network is held. In it a
//! process registers the emulator and keeps its table mounted: without a mount the kernel drops it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rbuild_solver::op::Platform;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::process::Signal;

use super::elf::{self, Machine};
use super::enter::map_same;
use super::error::{Doing, Failure, SandboxError};
use super::exec;
use super::mounts::new_mount;
use super::run::{self, ask};
use super::sys::{self, Depth, Forked, Namespaces};
use super::wire::{self, Ask, Report};

/// How the kernel calls the emulator: it is opened now, so that a step need not see it (`F`); it is
/// given the program opened (`O`), with the rights that its set-id bits give (`C`), and the name
/// that the program was called by (`P`).
const FLAGS: &str = "POCF";

/// How programs for a machine are run.
#[derive(Debug)]
pub enum Way<T> {
    /// By the kernel, as any others.
    Kernel,
    /// By an emulator that is registered for these steps only.
    Registered(T),
    /// By what the host has registered, if it has; with the reason why there is no other way.
    Host(String),
}

/// A user namespace in which an emulator is registered. It lasts as long as this does.
#[derive(Debug)]
pub struct Emulator {
    /// Its keeper ends when the other end of this does.
    _keeper: OwnedFd,
    users: OwnedFd,
}

/// The ways that were found, by architecture.
#[derive(Debug, Default)]
pub struct Ways(Mutex<BTreeMap<String, Arc<Way<Emulator>>>>);

impl Ways {
    /// How programs for a platform run here; found out once, and told if nothing of rbuild's own
    /// runs them.
    pub fn find(
        &self,
        platform: &Platform,
        control: BorrowedFd<'_>,
        tell: impl FnOnce(String),
    ) -> Result<Arc<Way<Emulator>>, SandboxError> {
        let mut ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ways.get(&platform.architecture) {
            return Ok(Arc::clone(known));
        }
        let register = |machine: &Machine, file: &Path| Emulator::register(control, machine, file);
        let way = Arc::new(way(platform, elf::kernel_runs, find, register)?);
        if let Way::Host(why) = &*way {
            tell(format!("steps for {platform} need an emulator of the host's: {why}"));
        }
        ways.insert(platform.architecture.clone(), Arc::clone(&way));
        Ok(way)
    }
}

impl Way<Emulator> {
    /// What a step needs to enter the namespace of its emulator, if it has one.
    pub fn users(&self) -> Result<Option<OwnedFd>, SandboxError> {
        match self {
            Way::Registered(emulator) => emulator.join().map(Some),
            Way::Kernel | Way::Host(_) => Ok(None),
        }
    }

    /// Says what is missing where a program of that platform was not run.
    pub fn explain(&self, error: SandboxError, platform: &Platform) -> SandboxError {
        match (error, self) {
            (SandboxError::Step(failure @ Failure::WrongMachine { .. }), Way::Host(why)) => {
                let (platform, why) = (platform.clone(), why.clone());
                SandboxError::NoEmulator { failure, platform, why }
            }
            (error, _) => error,
        }
    }
}

/// Finds the way to run programs for a platform. What it depends on is asked for in this order:
/// whether the kernel runs them, where an emulator is, and whether that can be registered.
fn way<T>(
    platform: &Platform,
    kernel_runs: impl FnOnce(&Machine) -> bool,
    find: impl FnOnce(&Machine) -> Option<PathBuf>,
    register: impl FnOnce(&Machine, &Path) -> Result<T, SandboxError>,
) -> Result<Way<T>, SandboxError> {
    let Some(machine) = Machine::named(&platform.architecture) else {
        return Ok(Way::Host(format!("no emulator of {} is known", platform.architecture)));
    };
    if kernel_runs(machine) {
        return Ok(Way::Kernel);
    }
    let Some(emulator) = find(machine) else {
        return Ok(Way::Host(format!("`qemu-{}-static` is not installed", machine.qemu)));
    };
    match register(machine, &emulator) {
        Ok(registered) => Ok(Way::Registered(registered)),
        Err(SandboxError::Step(failure)) => Ok(Way::Host(failure.to_string())),
        Err(error) => Err(error),
    }
}

/// The emulator in `PATH`: one that needs no file of the step's root.
fn find(machine: &Machine) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = [format!("qemu-{}-static", machine.qemu), format!("qemu-{}", machine.qemu)];
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find_map(
        |file| {
            let file = file.canonicalize().ok()?;
            let usable = exec::executable(file.to_str()?) == Ok(true) && !exec::has_loader(&file);
            usable.then_some(file)
        },
    )
}

impl Emulator {
    /// Has the server register it.
    pub fn register(
        control: BorrowedFd<'_>,
        machine: &Machine,
        emulator: &Path,
    ) -> Result<Emulator, SandboxError> {
        let (keeper, theirs) = wire::pair().map_err(|errno| run::server("make a socket", errno))?;
        let architecture = machine.architecture.to_owned();
        let emulator = emulator.to_string_lossy().into_owned();
        ask(control, &Ask::Emulator { architecture, emulator }, &theirs, &[])?;
        drop(theirs);
        let (report, fds) = run::receive(&keeper)?;
        match (report, fds.into_iter().next()) {
            (Report::Emulator, Some(users)) => Ok(Emulator { _keeper: keeper, users }),
            (Report::Failed(failure), _) => Err(failure.into()),
            _ => Err(SandboxError::ServerGone),
        }
    }

    /// What a step needs to enter the namespace.
    pub fn join(&self) -> Result<OwnedFd, SandboxError> {
        rustix::io::fcntl_dupfd_cloexec(&self.users, 3)
            .map_err(|errno| run::server("share the emulator's namespace", errno))
    }
}

/// Registers an emulator, hands the namespace to `report` and keeps it until the server ends.
pub fn keep(architecture: &str, emulator: &str, report: &OwnedFd) -> ! {
    match make(architecture, emulator) {
        Ok((users, _holder)) => {
            let _ = wire::report(report, &Report::Emulator, &[users.as_fd()]);
            drop(users);
            sys::wait_forever()
        }
        Err(failure) => {
            let _ = wire::report(report, &Report::Failed(failure), &[]);
            sys::exit_now(1)
        }
    }
}

fn make(architecture: &str, emulator: &str) -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .doing(|| "tie the emulator to the server")?;
    let (ours, theirs) = wire::pair().doing(|| "make a socket")?;
    let namespaces = Namespaces::USERS.and(Namespaces::MOUNTS);
    match sys::clone_process(namespaces).doing(|| "make a user namespace for the emulator")? {
        Forked::Child => {
            drop(ours);
            hold(architecture, emulator, &theirs)
        }
        Forked::Parent(_) => drop(theirs),
    }
    let hear = || wire::receive(ours.as_fd()).doing(|| "hear from the emulator's holder");
    let (number, _) = hear()?;
    map_same(&String::from_utf8_lossy(&number))?;
    wire::send(ours.as_fd(), b"mapped", &[]).doing(|| "tell the emulator's holder")?;
    let (bytes, fds) = hear()?;
    match fds.into_iter().next() {
        Some(users) => Ok((users, ours)),
        None => Err(serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Failure::setup("register an emulator", Errno::IO))),
    }
}

/// Waits until its ids are mapped, registers the emulator, and stays.
fn hold(architecture: &str, emulator: &str, report: &OwnedFd) -> ! {
    let tell = || {
        // The number by which the mounted /proc knows this process, not that of its namespace.
        let number =
            rustix::fs::readlink("/proc/self", Vec::new()).doing(|| "read `/proc/self`")?;
        wire::send(report.as_fd(), number.as_bytes(), &[]).doing(|| "tell the keeper")?;
        wire::receive(report.as_fd()).doing(|| "hear from the keeper")?;
        let table = register(architecture, emulator)?;
        let users =
            open("/proc/self/ns/user", OFlags::RDONLY).doing(|| "open `/proc/self/ns/user`")?;
        wire::send(report.as_fd(), b"registered", &[users.as_fd()]).doing(|| "tell the keeper")?;
        Ok::<_, Failure>(table)
    };
    match tell() {
        Ok(_table) => sys::wait_forever(),
        Err(failure) => {
            let bytes = serde_json::to_vec(&failure).unwrap_or_default();
            let _ = wire::send(report.as_fd(), &bytes, &[]);
            sys::exit_now(1)
        }
    }
}

/// Writes the emulator into the table of this user namespace; gives the table's mount.
fn register(architecture: &str, emulator: &str) -> Result<OwnedFd, Failure> {
    let machine = Machine::named(architecture)
        .ok_or_else(|| Failure::setup("register an emulator", Errno::INVAL))?;
    protect(emulator).doing(|| format!("protect `{emulator}`"))?;
    let table = new_mount("binfmt_misc", &[], MountAttrFlags::empty()).map_err(|errno| {
        let failure = Failure::setup("make a table of emulators for the step", errno);
        failure.or_help("that needs Linux 6.7 with binfmt_misc")
    })?;
    let written = || {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let entry = rustix::fs::openat(&table, "register", flags, Mode::empty())?;
        rustix::io::write(entry, line(machine, emulator).as_bytes())
    };
    written().doing(|| format!("register `{emulator}`"))?;
    Ok(table)
}

/// Lays the emulator's file over itself, read-only: a step can reach the file of a process that
/// runs (`/proc/PID/exe`), and must not be able to change it.
fn protect(emulator: &str) -> Result<(), Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, emulator, flags)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
    sys::mount_setattr(&mount, attributes.bits().into(), Depth::One)?;
    move_mount(mount.as_fd(), "", CWD, emulator, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// `:name:type:offset:magic:mask:interpreter:flags`, `M` for a pattern of bytes.
fn line(machine: &Machine, emulator: &str) -> String {
    let escaped =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect() };
    let (magic, mask) = machine.pattern();
    let (magic, mask) = (escaped(&magic), escaped(&mask));
    format!(":rbuild-{}:M:0:{magic}:{mask}:{emulator}:{FLAGS}", machine.architecture)
}

fn open(path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests;
