//! How much memory there is for steps, and whether it is running out.
//!
//! A process may use what the machine has left (`proc_meminfo(5)`), and within each of its control
//! groups what is left of the group's limit. Pages of files that can be dropped count as left.

use std::path::{Path, PathBuf};

use super::cgroup::{self, Controller, Own, Version};

/// Below this part of the whole nothing more is started beside what runs.
const RESERVE: u64 = 20;

/// `full avg10` of `/proc/pressure/memory` (the kernel's `accounting/psi.rst`): for so many of a
/// hundred moments of the last ten seconds everything waited for memory.
const STALLED: f64 = 10.0;

/// What there is of memory.
#[derive(Debug)]
pub struct Memory {
    proc: PathBuf,
    groups: Vec<Limit>,
}

/// A control group with a limit.
#[derive(Debug)]
struct Limit {
    version: Version,
    dir: PathBuf,
    bytes: u64,
}

impl Memory {
    /// Looks at the control groups that this process is in.
    pub fn find() -> Memory {
        let groups = cgroup::own(Controller::Memory).map(|own| limits(&own)).unwrap_or_default();
        Memory { proc: PathBuf::from("/proc"), groups }
    }

    /// Bytes that are left; none if the system does not tell.
    pub fn available(&self) -> Option<u64> {
        let machine = self.machine().map(|(_, available)| available);
        let groups = self.groups.iter().filter_map(Limit::left);
        groups.chain(machine).min()
    }

    /// Whether it is better to start nothing more beside what runs.
    pub fn is_short(&self) -> bool {
        let whole = self.groups.iter().map(|group| group.bytes);
        let whole = whole.chain(self.machine().map(|(total, _)| total)).min();
        let low = |left: u64| whole.is_some_and(|whole| left < whole / RESERVE);
        self.available().is_some_and(low) || self.is_stalled()
    }

    fn machine(&self) -> Option<(u64, u64)> {
        let text = std::fs::read_to_string(self.proc.join("meminfo")).ok()?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 =
                line.trim_start_matches(':').split_whitespace().next()?.parse().ok()?;
            Some(kibibytes << 10)
        };
        Some((field("MemTotal")?, field("MemAvailable")?))
    }

    fn is_stalled(&self) -> bool {
        let text = std::fs::read_to_string(self.proc.join("pressure/memory")).unwrap_or_default();
        let full = text.lines().find_map(|line| line.strip_prefix("full avg10="));
        let share = full.and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
        share.is_some_and(|share| share >= STALLED)
    }
}

/// The limits of a group and of all above it: each holds.
fn limits(own: &Own) -> Vec<Limit> {
    let name = match own.version {
        Version::One => "memory.limit_in_bytes",
        Version::Two => "memory.max",
    };
    let above = own.dir.ancestors().take_while(|dir| dir.starts_with(&own.top));
    let limit = |dir: &Path| {
        let bytes = number(&dir.join(name))?;
        Some(Limit { version: own.version, dir: dir.to_owned(), bytes })
    };
    // Version 1 says "none" by a number that no machine has.
    above.filter_map(limit).filter(|limit| limit.bytes < 1 << 60).collect()
}

impl Limit {
    fn left(&self) -> Option<u64> {
        let (used, files) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::Two => ("memory.current", "inactive_file"),
        };
        let used = number(&self.dir.join(used))?;
        let stat = std::fs::read_to_string(self.dir.join("memory.stat")).unwrap_or_default();
        let files = stat.lines().find_map(|line| line.strip_prefix(files)?.trim().parse().ok());
        Some(self.bytes.saturating_sub(used.saturating_sub(files.unwrap_or(0))))
    }
}

/// The number in a file of a control group; none for `max`.
fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 1,000 MiB in all, with these files.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Memory) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let own = |version| Own {
            version,
            dir: folder.path().join("top/a/b"),
            top: folder.path().join("top"),
        };
        let mut groups = limits(&own(Version::Two));
        groups.extend(limits(&own(Version::One)));
        let memory = Memory { proc: folder.path().to_owned(), groups };
        (folder, memory)
    }

    const MEMINFO: (&str, &str) =
        ("meminfo", "MemTotal:  1024000 kB\nMemFree: 1 kB\nMemAvailable:   512000 kB\n");

    #[test]
    fn what_the_machine_has_left() {
        let (_folder, memory) = machine(&[MEMINFO]);
        assert_eq!(memory.available(), Some(500 << 20));
        assert!(!memory.is_short());
    }

    #[test]
    fn the_narrowest_group_counts() {
        let (_folder, memory) = machine(&[
            MEMINFO,
            ("top/a/b/memory.max", "max"),
            ("top/a/memory.max", "104857600"),
            ("top/a/memory.current", "103857600"),
            ("top/a/memory.stat", "anon 5\ninactive_file 1000000\n"),
        ]);
        assert_eq!(memory.available(), Some(2_000_000));
        assert!(memory.is_short());
    }

    #[test]
    fn groups_of_version_one() {
        let (_folder, memory) = machine(&[
            MEMINFO,
            ("top/memory.limit_in_bytes", "9223372036854771712"),
            ("top/a/b/memory.limit_in_bytes", "209715200"),
            ("top/a/b/memory.usage_in_bytes", "104857600"),
            ("top/a/b/memory.stat", "inactive_file 1\ntotal_inactive_file 5\n"),
        ]);
        assert_eq!(memory.available(), Some((100 << 20) + 5));
        assert!(!memory.is_short());
    }

    #[test]
    fn a_machine_that_waits_for_memory_is_short_of_it() {
        let pressure = |full: &str| {
            format!("some avg10=90.00 avg60=0.00\nfull avg10={full} avg60=0.00 avg300=0 total=1\n")
        };
        for (full, short) in [("0.00", false), ("9.99", false), ("10.00", true)] {
            let (_folder, memory) = machine(&[MEMINFO, ("pressure/memory", &pressure(full))]);
            assert_eq!(memory.is_short(), short, "{full}");
        }
    }

    #[test]
    fn a_system_that_tells_nothing_is_not_short() {
        let (_folder, memory) = machine(&[]);
        assert_eq!((memory.available(), memory.is_short()), (None, false));
    }
}
