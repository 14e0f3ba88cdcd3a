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
    #[error("no control groups for `{}` are to be had here", .0.name())]
    NoController(Controller),
    /// A group with processes in it cannot have groups with limits below it.
    #[error("`{}` has processes in it, so groups below it cannot have limits", .0.display())]
    Occupied(PathBuf),
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

/// Tells where this process is in the tree of a controller.
type Find<'a> = &'a dyn Fn(Controller) -> Option<Own>;

/// Limits that cannot be kept here.
#[derive(Debug)]
pub struct Unkept {
    /// What they are about: one, or both for the same reason.
    pub controllers: Vec<Controller>,
    /// Why not.
    pub why: GroupError,
}

/// The groups of one step: one, or one for each controller.
#[derive(Debug)]
pub struct Group {
    memory: Option<(Version, PathBuf)>,
    dirs: Vec<(Version, PathBuf)>,
    doors: Vec<OwnedFd>,
    limit: Option<u64>,
}

impl Group {
    /// Makes the groups that the limits need. What cannot be limited is left out and given as well.
    pub fn new(limits: &Limits) -> (Group, Vec<Unkept>) {
        Group::beside(limits, &cgroup::own)
    }

    fn beside(limits: &Limits, own: Find<'_>) -> (Group, Vec<Unkept>) {
        let mut group =
            Group { memory: None, dirs: Vec::new(), doors: Vec::new(), limit: limits.memory };
        let memory = limits.memory.map(|bytes| group.keep_memory(bytes, own));
        let cpus = limits.cpus.map(|thousandths| group.keep_cpus(thousandths, own));
        let failed = [(Controller::Memory, memory), (Controller::Cpu, cpus)];
        let failed = failed.into_iter().filter_map(|(one, done)| Some((one, done?.err()?)));
        (group, unkept(failed))
    }

    /// Descriptors; who writes `0` to all of them is in the group.
    pub fn take_doors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.doors)
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

    fn keep_memory(&mut self, bytes: u64, own: Find<'_>) -> Result<(), GroupError> {
        let (version, dir) = self.dir(Controller::Memory, own)?;
        limit_memory(version, &dir, bytes)?;
        self.memory = Some((version, dir));
        Ok(())
    }

    fn keep_cpus(&mut self, thousandths: u64, own: Find<'_>) -> Result<(), GroupError> {
        let (version, dir) = self.dir(Controller::Cpu, own)?;
        limit_cpus(version, &dir, thousandths)
    }

    /// The group that has the controller, made if no other controller has made it.
    fn dir(
        &mut self,
        controller: Controller,
        own: Find<'_>,
    ) -> Result<(Version, PathBuf), GroupError> {
        let own = own(controller).ok_or(GroupError::NoController(controller))?;
        let shared = self.dirs.iter().find(|(version, _)| *version == Version::Two);
        if let (Version::Two, Some((_, dir))) = (own.version, shared) {
            enable(&own.top, dir.parent().unwrap_or(dir), controller)?;
            return Ok((Version::Two, dir.clone()));
        }
        let dir = match own.version {
            Version::One => make_below(&own.dir)?,
            Version::Two => make_near(&own, controller)?,
        };
        self.dirs.push((own.version, dir.clone()));
        let door = dir.join("cgroup.procs");
        let opened = File::options().write(true).open(&door);
        self.doors.push(opened.map_err(|source| denied("open", &door, source))?.into());
        Ok((own.version, dir))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (_, dir) in &self.dirs {
            // Its processes are gone; if not, a later build sweeps it.
            let _ = std::fs::remove_dir(dir);
        }
    }
}

impl Unkept {
    /// The options that ask for these limits: "`--memory` and `--cpus`".
    pub fn flags(&self) -> String {
        let flags = self.controllers.iter().map(|one| format!("`--{}`", one.flag()));
        flags.collect::<Vec<_>>().join(" and ")
    }
}

/// Says a reason once, however many limits it stands in the way of.
fn unkept(failed: impl Iterator<Item = (Controller, GroupError)>) -> Vec<Unkept> {
    let mut all: Vec<Unkept> = Vec::new();
    for (controller, why) in failed {
        match all.iter_mut().find(|other| other.why.to_string() == why.to_string()) {
            Some(other) => other.controllers.push(controller),
            None => all.push(Unkept { controllers: vec![controller], why }),
        }
    }
    all
}

/// Makes a step's group of version 2. A group with processes has no groups with limits below it,
/// except at the top of all; so it goes beside this process's own, where what limits this process
/// limits the step too, or as little above as can be. The first refusal is the one that tells most.
fn make_near(own: &Own, controller: Controller) -> Result<PathBuf, GroupError> {
    let above = own.dir.ancestors().skip(1).take_while(|dir| dir.starts_with(&own.top));
    let only = (own.dir == own.top).then_some(own.top.as_path());
    let mut first = None;
    for parent in above.chain(only) {
        match enable(&own.top, parent, controller).and_then(|()| make_below(parent)) {
            Ok(dir) => return Ok(dir),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(GroupError::NoController(controller)))
}

/// Lets the groups below `dir` of version 2 limit what the controller counts. A group can hand on
/// only what it was handed, so all from the top down to it are asked.
fn enable(top: &Path, dir: &Path, controller: Controller) -> Result<(), GroupError> {
    let mut way: Vec<&Path> = dir.ancestors().take_while(|dir| dir.starts_with(top)).collect();
    way.reverse();
    for dir in way {
        if is_occupied(dir) {
            return Err(GroupError::Occupied(dir.to_owned()));
        }
        let path = dir.join("cgroup.subtree_control");
        let enabled = std::fs::read_to_string(&path).unwrap_or_default();
        if !enabled.split_whitespace().any(|name| name == controller.name()) {
            write(&path, &format!("+{}", controller.name()))?;
        }
    }
    Ok(())
}

/// Whether a group has processes of its own that stand in the way. The kernel does not always refuse
/// then: what counts the processors' time can be enabled, but nobody can enter a group below. The
/// top of all, which has no type, may have both.
fn is_occupied(dir: &Path) -> bool {
    let processes = || std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    dir.join("cgroup.type").exists() && !processes().trim().is_empty()
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
            // Named by what stays the same, so that every step says the same.
            Err(error) => return Err(denied("make a control group in", parent, error)),
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
