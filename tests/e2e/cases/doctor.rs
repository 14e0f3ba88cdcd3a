//! `rbuild doctor`: says what is so, which a build shows, and what to do where something is taken
//! away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use e2e::system::tool;
use e2e::{Context, Run, User, World, for_each_user};
use serde_json::Value;

use super::machine::without_namespaces;

for_each_user! { it_agrees_with_a_build, nothing_is_left_behind }

/// Lines in their order.
const NAMES: [&str; 11] = [
    "user namespaces",
    "user ids",
    "store",
    "attributes",
    "EROFS",
    "overlay",
    "seccomp",
    "steps",
    "network",
    "emulation",
    "limits",
];

/// The diagnosis as JSON, and the status of each line by its name.
fn diagnosis(run: &Run) -> (Value, BTreeMap<String, String>) {
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    let checks = json["checks"].as_array().unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let names: Vec<String> = checks.iter().map(|check| text(check, "name")).collect();
    assert_eq!(names, NAMES);
    let statuses = checks.iter().map(|check| (text(check, "name"), text(check, "status")));
    let statuses = statuses.collect();
    (json, statuses)
}

/// The line of one thing, with the lines below it, as one.
fn line(run: &Run, name: &str) -> String {
    let mut lines = run.stdout.lines().skip_while(|line| !line.starts_with(name));
    let first = lines.next().unwrap_or_default().to_owned();
    let more = lines.take_while(|line| line.starts_with(' '));
    more.fold(first, |text, line| text + " " + line.trim())
}

fn it_agrees_with_a_build(world: &World) {
    let run = world.rbuild(&["doctor", "--json"]).ok();
    let (json, statuses) = diagnosis(&run);
    assert_eq!(json["works"], true, "{}", run.shown());
    for name in ["store", "attributes", "overlay", "seccomp", "steps"] {
        assert_eq!(statuses[name], "ok", "{}", run.shown());
    }
    let here = if world.user().is_root() { "not-needed" } else { "ok" };
    assert_eq!(statuses["user namespaces"], here, "{}", run.shown());
    assert_eq!(statuses["user ids"], here, "{}", run.shown());

    let dockerfile = "FROM busybox\nCOPY Dockerfile /\nRUN --network=default true\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let build = world.build(&["--memory", "200m", context.arg()]).ok();
    let folders = fs::read_dir(world.store().join("layers")).unwrap();
    let indexed = folders.flatten().any(|layer| layer.path().join("layer.erofs").exists());
    assert_eq!(json["layers"] == "erofs", indexed, "{}", run.shown());
    assert_eq!(statuses["EROFS"] == "ok", indexed, "{}", run.shown());
    let falls_back = build.stderr.contains("use the host's network");
    assert_eq!(statuses["network"] == "missing", falls_back, "{}{}", run.shown(), build.shown());
    let unlimited = build.stderr.contains("without `--memory`");
    assert!(!unlimited || statuses["limits"] == "missing", "{}{}", run.shown(), build.shown());
}

fn nothing_is_left_behind(world: &World) {
    let run = world.rbuild(&["doctor"]).ok();
    let widest = run.stdout.lines().map(|line| line.chars().count()).max().unwrap();
    // Paths cannot be broken; nothing else is wider.
    assert!(widest <= 90 || run.stdout.contains("/rbuild-"), "{}", run.shown());
    for folder in ["active", "tmp", "layers"] {
        let left = fs::read_dir(world.store().join(folder)).unwrap().count();
        assert_eq!(left, 0, "in `{folder}`");
    }
}

/// A `PATH` with the programs that are named, and no others.
fn only(world: &World, programs: &[&str]) -> PathBuf {
    let folder = world.folder("programs");
    for program in programs {
        symlink(format!("/usr/bin/{program}"), folder.join(program)).unwrap();
    }
    folder
}

fn doctor_with_path(world: &World, path: &PathBuf) -> Run {
    let mut command = world.command(&["doctor"]);
    tool(command.env("PATH", path))
}

#[test]
fn without_newuidmap() {
    World::run(User::ordinary(), |world| {
        let path = only(world, &["pasta"]);
        let run = doctor_with_path(world, &path).ok();
        let ids = line(&run, "user ids");
        assert!(ids.starts_with("user ids         missing  "), "{}", run.shown());
        assert!(ids.contains("newuidmap") && ids.contains("`apt install uidmap`"), "{ids}");
        assert!(run.stdout.contains("Builds work here."), "{}", run.shown());
        // As it says.
        let context = Context::new(world, "context", &[("Dockerfile", "FROM scratch\nCOPY . /\n")]);
        let mut build = world.build_command(&[context.arg()]);
        tool(build.env("PATH", &path)).ok();
    });
}

#[test]
fn without_pasta() {
    World::run(User::root(), |world| {
        let path = only(world, &[]);
        let run = doctor_with_path(world, &path).ok();
        let network = line(&run, "network");
        assert!(network.starts_with("network          missing  "), "{}", run.shown());
        assert!(network.contains("`apt install passt`"), "{network}");
        // Emulators are looked for in PATH too; a host may have some of its own registered.
        let emulation = line(&run, "emulation");
        let helps = emulation.contains("apt install qemu-user-static");
        assert!(helps || emulation.contains("  ok  "), "{emulation}");
    });
}

#[test]
fn without_user_namespaces() {
    World::run(User::ordinary(), |world| {
        let run = without_namespaces(world, &world.command(&["doctor"])).ended(3);
        let users = line(&run, "user namespaces");
        assert!(users.starts_with("user namespaces  missing  "), "{}", run.shown());
        assert!(users.contains("sysctl -w user.max_user_namespaces=65536"), "{users}");
        assert!(line(&run, "overlay").contains("untested"), "{}", run.shown());
        assert!(run.stdout.contains("do not work here"), "{}", run.shown());
    });
}

#[test]
fn without_a_folder_for_the_store() {
    World::run(User::ordinary(), |world| {
        let mut command = world.command(&["doctor", "--json"]);
        let run = tool(command.env("RBUILD_ROOT", "/proc/store")).ended(3);
        let (json, statuses) = diagnosis(&run);
        assert_eq!(json["works"], false);
        assert_eq!(
            (statuses["store"].as_str(), statuses["steps"].as_str()),
            ("missing", "untested")
        );
    });
}

/// On a file system in memory: no EROFS can be mounted from it.
#[test]
fn without_erofs() {
    World::run(User::root(), |world| {
        let doctor = world.command(&["doctor", "--json"]);
        let mut script = std::process::Command::new("unshare");
        let text = "mount -t tmpfs none \"$RBUILD_ROOT\" && exec \"$0\" \"$@\"";
        script
            .args(["--mount", "sh", "-c", text])
            .arg(doctor.get_program())
            .args(doctor.get_args());
        script.env_clear().envs(world.environment());
        world.folder("store");
        let run = tool(&mut script).ok();
        let (json, statuses) = diagnosis(&run);
        // Newer kernels may do it.
        let expected = if json["layers"] == "erofs" { "ok" } else { "missing" };
        assert_eq!(statuses["EROFS"], expected, "{}", run.shown());
        assert_eq!(json["works"], true, "{}", run.shown());
    });
}
