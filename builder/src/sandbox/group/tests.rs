//! What is written where, on folders that look like the kernel's.

use super::*;

/// A tree with a group of this process in it, as the kernel would show it.
struct Tree {
    folder: tempfile::TempDir,
    version: Version,
}

impl Tree {
    fn new(version: Version, files: &[(&str, &str)]) -> Tree {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Tree { folder, version }
    }

    fn own(&self, dir: &str) -> Own {
        let top = self.folder.path().to_owned();
        Own { version: self.version, dir: top.join(dir), top }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

/// Makes a group with both limits in a tree where this process is in `own`.
fn make(tree: &Tree, own: &str) -> (Group, Vec<String>) {
    let limits = Limits { memory: Some(4096), cpus: Some(500) };
    let (group, unkept) = Group::beside(&limits, &|_| Some(tree.own(own)));
    let shown = unkept.iter().map(|it| format!("{}: {}", it.flags(), it.why));
    (group, shown.collect())
}

/// What a folder of the test cannot have: the files which the kernel puts into a new group.
const NO_FILES: &str = "cgroup.procs`: No such file or directory (os error 2)";

#[test]
fn a_group_of_version_two_goes_beside_the_own_one() {
    let tree = Tree::new(
        Version::Two,
        &[
            ("slice/own/cgroup.procs", ""),
            ("slice/cgroup.subtree_control", "cpu"),
            ("cgroup.subtree_control", "cpu memory pids"),
        ],
    );
    let made = make_near(&tree.own("slice/own"), Controller::Memory).unwrap();
    assert_eq!(made.parent().unwrap(), tree.folder.path().join("slice"));
    assert_eq!(tree.read("slice/cgroup.subtree_control"), "+memory");
    assert_eq!(tree.read("cgroup.subtree_control"), "cpu memory pids", "it was enabled");
}

/// As on a machine where systemd hands on to its slices what its units ask for.
#[test]
fn a_controller_is_handed_on_from_the_top() {
    let tree = Tree::new(
        Version::Two,
        &[
            ("slice/own/cgroup.procs", ""),
            ("slice/cgroup.subtree_control", "pids"),
            ("cgroup.subtree_control", "pids"),
        ],
    );
    make_near(&tree.own("slice/own"), Controller::Cpu).unwrap();
    let files = ["cgroup.subtree_control", "slice/cgroup.subtree_control"];
    assert_eq!(files.map(|name| tree.read(name)), ["+cpu", "+cpu"]);
}

#[test]
fn where_nothing_may_be_enabled_a_group_above_serves() {
    let tree = Tree::new(Version::Two, &[("cgroup.subtree_control", "memory")]);
    let made = make_near(&tree.own("slice/own"), Controller::Memory).unwrap();
    assert_eq!(made.parent().unwrap(), tree.folder.path());
}

#[test]
fn in_a_group_with_processes_nothing_is_enabled() {
    let kept = ("cgroup.subtree_control", "");
    let tree =
        Tree::new(Version::Two, &[kept, ("cgroup.type", "domain\n"), ("cgroup.procs", "1\n17\n")]);
    let (_, unkept) = make(&tree, "");
    let top = tree.folder.path().display();
    let reason = format!("`{top}` has processes in it, so groups below it cannot have limits");
    assert_eq!(unkept, [format!("`--memory` and `--cpus`: {reason}")]);
    assert_eq!(tree.read(kept.0), kept.1);
}

#[test]
fn at_the_top_the_group_goes_below() {
    let files = [("cgroup.subtree_control", "cpu memory pids"), ("cgroup.procs", "1")];
    let tree = Tree::new(Version::Two, &files);
    let made = make_near(&tree.own(""), Controller::Memory).unwrap();
    assert_eq!(made.parent().unwrap(), tree.folder.path());
}

#[test]
fn the_refusal_nearest_to_the_process_is_told_once() {
    let tree = Tree::new(Version::Two, &[]);
    let (_, unkept) = make(&tree, "slice/own");
    let path = tree.folder.path().join("cgroup.subtree_control");
    let error =
        format!("cannot write `{}`: No such file or directory (os error 2)", path.display());
    assert_eq!(unkept, [format!("`--memory` and `--cpus`: {error}")]);
}

#[test]
fn what_can_be_limited_is() {
    let tree = Tree::new(Version::One, &[]);
    let limits = Limits { memory: Some(1), cpus: Some(1) };
    let own = |one| (one == Controller::Memory).then(|| tree.own(""));
    let (group, unkept) = Group::beside(&limits, &own);
    let shown: Vec<_> = unkept.iter().map(|it| (it.flags(), it.why.to_string())).collect();
    assert_eq!(group.dirs.len(), 1);
    assert!(shown[0].0 == "`--memory`" && shown[0].1.ends_with(NO_FILES), "{shown:?}");
    let lacking = "no control groups for `cpu` are to be had here";
    assert_eq!(shown[1], ("`--cpus`".to_owned(), lacking.to_owned()));
}

#[test]
fn limits_in_the_words_of_each_version() {
    let files = [
        "memory.max",
        "memory.swap.max",
        "memory.oom.group",
        "cpu.max",
        "memory.limit_in_bytes",
        "cpu.cfs_period_us",
        "cpu.cfs_quota_us",
    ];
    let tree = Tree::new(Version::Two, &files.map(|name| (name, "")));
    let dir = tree.folder.path();
    limit_memory(Version::Two, dir, 4096).unwrap();
    limit_cpus(Version::Two, dir, 1500).unwrap();
    limit_memory(Version::One, dir, 8192).unwrap();
    limit_cpus(Version::One, dir, 5).unwrap();
    let written = files.map(|name| tree.read(name));
    assert_eq!(written, ["4096", "0", "1", "150000 100000", "8192", "100000", "1000"]);
}

#[test]
fn what_was_used_is_read_from_each_version() {
    let tree = Tree::new(
        Version::Two,
        &[
            ("two/memory.peak", "5000\n"),
            ("two/memory.events", "low 0\noom 3\noom_kill 1\noom_group_kill 1\n"),
            ("one/memory.max_usage_in_bytes", "6000\n"),
            ("one/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
        ],
    );
    let use_of = |version, name: &str| {
        let memory = Some((version, tree.folder.path().join(name)));
        Group { memory, dirs: Vec::new(), doors: Vec::new(), limit: Some(4) }.memory_use().unwrap()
    };
    let expected = MemoryUse { peak: Some(5000), limit: Some(4), ran_out: true };
    assert_eq!(use_of(Version::Two, "two"), expected);
    let expected = MemoryUse { peak: Some(6000), limit: Some(4), ran_out: false };
    assert_eq!(use_of(Version::One, "one"), expected);
}

#[test]
fn groups_of_the_dead_are_swept_and_others_stay() {
    let tree = Tree::new(Version::One, &[]);
    let alive = format!("rbuild-{}-7", std::process::id());
    for name in ["rbuild-999999999-1", alive.as_str(), "other"] {
        std::fs::create_dir(tree.folder.path().join(name)).unwrap();
    }
    let made = make_below(tree.folder.path()).unwrap();
    let mut left: Vec<_> = std::fs::read_dir(tree.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let mut expected = vec!["other".to_owned(), alive];
    expected.push(made.file_name().unwrap().to_str().unwrap().to_owned());
    expected.sort();
    assert_eq!(left, expected);
}
