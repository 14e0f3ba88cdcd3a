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

#[test]
fn a_group_of_version_two_goes_beside_the_own_one() {
    let tree = Tree::new(
        Version::Two,
        &[("slice/own/cgroup.procs", ""), ("slice/cgroup.subtree_control", "cpu")],
    );
    let found = parent(&tree.own("slice/own"), Controller::Memory).unwrap();
    assert_eq!(found, tree.folder.path().join("slice"));
    assert_eq!(tree.read("slice/cgroup.subtree_control"), "+memory");
}

#[test]
fn what_is_enabled_is_not_written_again() {
    let tree = Tree::new(Version::Two, &[("cgroup.subtree_control", "cpu memory pids")]);
    assert_eq!(parent(&tree.own(""), Controller::Memory).unwrap(), tree.folder.path());
    assert_eq!(tree.read("cgroup.subtree_control"), "cpu memory pids");
}

#[test]
fn without_a_tree_the_error_names_the_controller() {
    let limits = Limits { memory: Some(1), cpus: None };
    let error = Group::beside(&limits, &|_| None).unwrap_err();
    assert_eq!(error.to_string(), "the kernel offers no control groups for `memory` here");
}

#[test]
fn a_tree_that_may_not_be_changed_is_named() {
    let tree = Tree::new(Version::Two, &[]);
    let limits = Limits { memory: Some(1), cpus: None };
    let error = Group::beside(&limits, &|_| Some(tree.own("own"))).unwrap_err();
    let path = tree.folder.path().join("cgroup.subtree_control");
    let expected =
        format!("cannot write `{}`: No such file or directory (os error 2)", path.display());
    assert_eq!(error.to_string(), expected);
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
        Group { memory, dirs: Vec::new(), limit: Some(4) }.memory_use().unwrap()
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
