//! The control group of a step that has limits: made for the step, gone with it.
//!
//! The step enters it by itself, through a descriptor, before it does anything else. Only
//! `cgroups(7)` is spoken here; what the limits are is the caller's business.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::spec::{Limits, MemoryUse};
use crate::machine::cgroup::{self, Controller, Own, Version};

/// The length of one turn of the processors' time, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// Why a limit cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// No mounted tree has the controller.
    #[error("the kernel offers no control groups for `{}` here", .0.name())]
    NoController(Controller),
    /// The tree may not be changed.
    #[error("cannot {verb} `{}`: {source}", path.display())]
    Denied {
        /// What was tried.
        verb: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// The groups of one step: one, or one for each controller.
#[derive(Debug)]
pub struct Group {
    memory: Option<(Version, PathBuf)>,
    dirs: Vec<PathBuf>,
    limit: Option<u64>,
}

impl Group {
    /// Makes the groups that the limits need.
    pub fn new(limits: &Limits) -> Result<Group, GroupError> {
        Group::beside(limits, &cgroup::own)
    }

    fn beside(
        limits: &Limits,
        own: &dyn Fn(Controller) -> Option<Own>,
    ) -> Result<Group, GroupError> {
        let mut group = Group { memory: None, dirs: Vec::new(), limit: limits.memory };
        if let Some(bytes) = limits.memory {
            let (version, dir) = group.dir(Controller::Memory, own)?;
            limit_memory(version, &dir, bytes)?;
            group.memory = Some((version, dir));
        }
        if let Some(thousandths) = limits.cpus {
            let (version, dir) = group.dir(Controller::Cpu, own)?;
            limit_cpus(version, &dir, thousandths)?;
        }
        Ok(group)
    }

    /// Descriptors; who writes `0` to all of them is in the group.
    pub fn doors(&self) -> Result<Vec<OwnedFd>, GroupError> {
        let open = |dir: &PathBuf| {
            let path = dir.join("cgroup.procs");
            let file = File::options().write(true).open(&path);
            file.map(OwnedFd::from).map_err(|source| denied("open", &path, source))
        };
        self.dirs.iter().map(open).collect()
    }

    /// What the processes in it used of memory, and whether one was ended for it. None without a
    /// limit of memory.
    pub fn memory_use(&self) -> Option<MemoryUse> {
        let (version, dir) = self.memory.as_ref()?;
        let (peak, events) = match version {
            Version::One => ("memory.max_usage_in_bytes", "memory.oom_control"),
            Version::Two => ("memory.peak", "memory.events"),
        };
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let events = read(events);
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Some(MemoryUse {
            peak: read(peak).trim().parse().ok(),
            limit: self.limit,
            ran_out: kills.is_some_and(|kills| kills.trim() != "0"),
        })
    }

    /// The group that has the controller, made if no other controller has made it.
    fn dir(
        &mut self,
        controller: Controller,
        own: &dyn Fn(Controller) -> Option<Own>,
    ) -> Result<(Version, PathBuf), GroupError> {
        let own = own(controller).ok_or(GroupError::NoController(controller))?;
        if own.version == Version::Two
            && let Some(dir) = self.dirs.first()
        {
            enable(dir.parent().unwrap_or(dir), controller)?;
            return Ok((Version::Two, dir.clone()));
        }
        let dir = make_below(&parent(&own, controller)?)?;
        self.dirs.push(dir.clone());
        Ok((own.version, dir))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for dir in &self.dirs {
            // Its processes are gone; if not, a later build sweeps it.
            let _ = std::fs::remove_dir(dir);
        }
    }
}

/// Where the step's group goes. In version 2 a group with processes has no groups with limits below
/// it, except at the top; so the step's group goes beside this process's own.
fn parent(own: &Own, controller: Controller) -> Result<PathBuf, GroupError> {
    if own.version == Version::One {
        return Ok(own.dir.clone());
    }
    let beside = own.dir.parent().filter(|parent| parent.starts_with(&own.top));
    let mut result = Err(GroupError::NoController(controller));
    for dir in beside.into_iter().chain([own.top.as_path()]) {
        result = enable(dir, controller).map(|()| dir.to_owned());
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Lets the groups below this one of version 2 limit what the controller counts.
fn enable(dir: &Path, controller: Controller) -> Result<(), GroupError> {
    let path = dir.join("cgroup.subtree_control");
    let enabled = std::fs::read_to_string(&path).unwrap_or_default();
    if enabled.split_whitespace().any(|name| name == controller.name()) {
        return Ok(());
    }
    write(&path, &format!("+{}", controller.name()))
}

/// Makes a group that no other process has, and removes those that killed processes left.
fn make_below(parent: &Path) -> Result<PathBuf, GroupError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    sweep(parent);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(denied("make the control group", &dir, error)),
        }
    }
}

const PREFIX: &str = "rbuild-";

fn sweep(parent: &Path) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // A group with processes stays: only an empty one can be removed.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

fn limit_memory(version: Version, dir: &Path, bytes: u64) -> Result<(), GroupError> {
    let bytes = bytes.to_string();
    match version {
        Version::One => {
            write(&dir.join("memory.limit_in_bytes"), &bytes)?;
            // Memory and swap together; missing where swap is not counted.
            write_if_there(&dir.join("memory.memsw.limit_in_bytes"), &bytes)
        }
        Version::Two => {
            write(&dir.join("memory.max"), &bytes)?;
            write_if_there(&dir.join("memory.swap.max"), "0")?;
            // A step that lost one of its processes is not worth going on with.
            write_if_there(&dir.join("memory.oom.group"), "1")
        }
    }
}

fn limit_cpus(version: Version, dir: &Path, thousandths: u64) -> Result<(), GroupError> {
    // The kernel takes no turn shorter than a millisecond.
    let quota = (thousandths * PERIOD / 1000).max(1000);
    match version {
        Version::One => {
            write(&dir.join("cpu.cfs_period_us"), &PERIOD.to_string())?;
            write(&dir.join("cpu.cfs_quota_us"), &quota.to_string())
        }
        Version::Two => write(&dir.join("cpu.max"), &format!("{quota} {PERIOD}")),
    }
}

fn write(path: &Path, text: &str) -> Result<(), GroupError> {
    let file = File::options().write(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| denied("write", path, source))
}

fn write_if_there(path: &Path, text: &str) -> Result<(), GroupError> {
    match write(path, text) {
        Err(GroupError::Denied { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn denied(verb: &'static str, path: &Path, source: std::io::Error) -> GroupError {
    GroupError::Denied { verb, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
