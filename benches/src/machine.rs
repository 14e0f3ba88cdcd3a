//! What the machine is, for the head of a report.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::results::Machine;

/// This machine, and the file system that `folder` is on.
pub fn describe(folder: &Path) -> Machine {
    let name = rustix::system::uname();
    Machine {
        kernel: version(&name.release().to_string_lossy()).to_owned(),
        processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into()),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory: memory().unwrap_or_default(),
        file_system: file_system(folder).unwrap_or_else(|| "unknown".into()),
    }
}

/// A kernel's release without what its builder added: `6.18.1` of `6.18.1-1-amd64`.
fn version(release: &str) -> &str {
    release.split('-').next().unwrap_or(release)
}

fn memory() -> Option<u64> {
    let text = field("/proc/meminfo", "MemTotal")?;
    text.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// `name : value` of a file in `/proc`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn file_system(folder: &Path) -> Option<String> {
    let output =
        Command::new("findmnt").args(["-n", "-o", "FSTYPE", "-T"]).arg(folder).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
