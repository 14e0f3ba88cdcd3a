//! Control groups, old and new: which one this process is in, and where it is to be found.
//!
//! Linux has two kinds side by side: one tree for all controllers (version 2), and one tree for
//! each (version 1). A machine may mount both, and a container may show only a part of a tree, so
//! both `/proc/self/cgroup` (`cgroups(7)`) and `/proc/self/mountinfo` are needed.

use std::path::{Component, Path, PathBuf};

/// What a control group can limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Bytes of memory.
    Memory,
    /// Time of processors.
    Cpu,
}

impl Controller {
    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
        }
    }

    /// The option that sets its limit, without dashes.
    pub fn flag(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpus",
        }
    }
}

/// Which kind of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A tree for each controller.
    One,
    /// One tree for all.
    Two,
}

/// The group that this process is in, for one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Which kind it is.
    pub version: Version,
    /// Its folder.
    pub dir: PathBuf,
    /// The topmost folder of its tree that can be seen.
    pub top: PathBuf,
}

/// The group of this process that has the controller; none if no tree has it.
pub fn own(controller: Controller) -> Option<Own> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    version_one(controller, &mounts, &groups).or_else(|| {
        let own = version_two(&mounts, &groups)?;
        // The topmost folder lists what the kernel offers to this tree at all.
        let offered = std::fs::read_to_string(own.top.join("cgroup.controllers")).ok()?;
        offered.split_whitespace().any(|name| name == controller.name()).then_some(own)
    })
}

fn version_one(controller: Controller, mounts: &str, groups: &str) -> Option<Own> {
    let has_it = |list: &str| list.split(',').any(|name| name == controller.name());
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        fields.next().filter(|list| has_it(list)).and(fields.next())
    })?;
    let mount = mounts.lines().filter_map(Mount::parse);
    let mount = mount.into_iter().find(|mount| mount.kind == "cgroup" && has_it(mount.options))?;
    Some(mount.own(Version::One, path))
}

fn version_two(mounts: &str, groups: &str) -> Option<Own> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.lines().filter_map(Mount::parse).find(|mount| mount.kind == "cgroup2")?;
    Some(mount.own(Version::Two, path))
}

/// One line of mountinfo (`proc_pid_mountinfo(5)`).
struct Mount<'a> {
    /// Which folder of the file system is shown.
    root: &'a str,
    /// Where.
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    fn parse(line: &str) -> Option<Mount<'_>> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let kind = right.next()?;
        Some(Mount { root, point, kind, options: right.nth(1)? })
    }

    /// The group's folder. A group outside of what is shown is taken for the top of it: a container
    /// that has its group mounted as the top, without a namespace for it, sees that.
    fn own(&self, version: Version, path: &str) -> Own {
        let top = PathBuf::from(self.point);
        let shown = Path::new(path).strip_prefix(self.root).unwrap_or(Path::new(""));
        let is_below = shown.components().all(|part| matches!(part, Component::Normal(_)));
        Own { version, dir: if is_below { top.join(shown) } else { top.clone() }, top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    const UNIFIED: &str = "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw";

    #[test]
    fn one_tree_for_each_controller() {
        let groups = "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/";
        let memory = version_one(Controller::Memory, HYBRID, groups).unwrap();
        assert_eq!(memory.dir, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(memory.top, Path::new("/sys/fs/cgroup/memory"));
        let cpu = version_one(Controller::Cpu, HYBRID, groups).unwrap();
        assert_eq!(cpu.dir, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
    }

    #[test]
    fn one_tree_for_all() {
        let groups = "0::/user.slice/user-1000.slice/session-1.scope";
        assert_eq!(version_one(Controller::Memory, UNIFIED, groups), None);
        let own = version_two(UNIFIED, groups).unwrap();
        assert_eq!(own.version, Version::Two);
        let dir = "/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope";
        assert_eq!(own.dir, Path::new(dir));
    }

    #[test]
    fn a_container_sees_a_part_of_the_tree() {
        let mounts = "30 23 0:27 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw";
        let own = |groups| version_two(mounts, groups).unwrap().dir;
        assert_eq!(own("0::/docker/1/x"), Path::new("/sys/fs/cgroup/x"));
        assert_eq!(own("0::/docker/1"), Path::new("/sys/fs/cgroup"));
        assert_eq!(own("0::/elsewhere"), Path::new("/sys/fs/cgroup"));
        // A process outside of its namespace's group.
        assert_eq!(own("0::/../x"), Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn a_tree_that_is_not_mounted_is_none() {
        let groups = "4:memory:/a\n0::/";
        assert_eq!(version_one(Controller::Memory, UNIFIED, groups), None);
        assert_eq!(version_two("", groups), None);
    }
}
