//! A machine that is not as it should be: no room on the disk, no user namespaces. What is wrong is
//! said, and what was there before is still used.

use std::fs;
use std::io::Write;
use std::process::Command;

use e2e::system::tool;
use e2e::{Context, Run, Started, User, World, for_each_user};

for_each_user! { a_full_disk, a_pull_to_a_full_disk, a_step_with_too_little_memory, limits_keep_the_cache }

/// The store is on a disk of 64 MB, in mounts that only this script sees; the user's ids are its
/// first two arguments.
const SMALL_DISK: &str = "set -e
uid=$1 gid=$2 store=$3
shift 3
mount -t tmpfs -o size=64m,mode=755,uid=$uid,gid=$gid none \"$store\"
build() { setpriv --reuid $uid --regid $gid --clear-groups \"$@\"; }
build \"$@\" --target small
code=0
build \"$@\" --target large || code=$?
echo \"the full disk ends with $code\" >&2
mount -o remount,size=1g \"$store\"
build \"$@\" --target large";

fn a_full_disk(world: &World) {
    let dockerfile = "FROM busybox AS small\nRUN echo kept >/kept\n\
        FROM small AS large\nRUN dd if=/dev/zero of=/large bs=1M count=200 2>/dev/null && sync\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let build = world.build_command(&["-t", "app", context.arg()]);
    let (user, store) = (world.user(), world.folder("store"));
    let mut script = Command::new("unshare");
    script.args(["--mount", "sh", "-c", SMALL_DISK, "sh"]);
    script.args([user.uid.to_string(), user.gid.to_string()]).arg(store);
    script.arg(build.get_program()).args(build.get_args());
    script.env_clear().envs(world.environment());
    let run = tool(&mut script).ok();
    let (full, after) = run.stderr.split_once("the full disk ends with ").unwrap();
    assert!(!after.starts_with('0'), "{}", run.shown());
    assert!(full.contains("Dockerfile:4") || full.contains("o space left"), "{}", run.shown());
    assert!(after.contains("CACHED"), "what was made before is used: {}", run.shown());
}

/// A base on a disk that has no room for it.
const TINY_DISKS: &str = "uid=$1 gid=$2 store=$3
shift 3
for size in 1000 2000 2500 3000; do
mount -t tmpfs -o size=${size}k,mode=755,uid=$uid,gid=$gid none \"$store\" || exit
setpriv --reuid $uid --regid $gid --clear-groups \"$@\" && exit 1
umount \"$store\"
done
exit 0";

fn a_pull_to_a_full_disk(world: &World) {
    let pull = world.command(&["pull", "-q", "alpine:3.19"]);
    let (user, store) = (world.user(), world.folder("store"));
    let mut script = Command::new("unshare");
    script.args(["--mount", "sh", "-c", TINY_DISKS, "sh"]);
    script.args([user.uid.to_string(), user.gid.to_string()]).arg(store);
    script.arg(pull.get_program()).args(pull.get_args());
    script.env_clear().envs(world.environment());
    let run = tool(&mut script).ok();
    assert!(run.stderr.contains("o space left"), "{}", run.shown());
    for mixed_up in ["not a sound tar", "into the layer: cannot write"] {
        assert!(!run.stderr.contains(mixed_up), "{}", run.shown());
    }
}

fn a_step_with_too_little_memory(world: &World) {
    let script = "RUN head -c 100000000 /dev/zero | tr '\\0' a | sort >/dev/null";
    let dockerfile = format!("FROM busybox\n{script}\n");
    let context = Context::new(world, "context", &[("Dockerfile", &dockerfile)]);
    let run = world.build(&["--memory", "32m", "--cpus", "1.5", context.arg()]);
    if run.stderr.contains("steps run without `--memory`") {
        // Who may make no control groups is told so, and builds without.
        assert!(world.user().uid != 0, "root makes control groups: {}", run.shown());
        run.ok();
    } else {
        let words = ["ran out of memory: it reached 3", " MiB of the 32.0 MiB of `--memory`"];
        run.ended(1).says(&words).says(&["Dockerfile:2", "larger `--memory`"]);
    }
}

/// What a step may use does not change what comes out of it.
fn limits_keep_the_cache(world: &World) {
    let dockerfile = "FROM busybox\nRUN echo made >/made\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    world.build(&[context.arg()]).ok();
    let flags = ["--memory", "1g", "--cpus", "2", "--max-memory", "2g", "-j", "1"];
    world.build(&[&flags[..], &[context.arg()]].concat()).ok().says(&["CACHED"]);
    world.build(&["--memory", "much", context.arg()]).ended(2).says(&["`much` is not a size"]);
    world.build(&["--cpus", "0", context.arg()]).ended(2).says(&["not a number of processors"]);
}

/// A program started before its namespace knows root has no rights, so the rest is another.
const UNTIL_MAPPED: &str = "echo ready >&2
read go
exec sh -c \"$@\"";

/// In a namespace of its own the limit is lowered to nothing; the user's ids are the arguments.
const NO_NAMESPACES: &str = "set -e
echo 0 >/proc/sys/user/max_user_namespaces
uid=$1 gid=$2
shift 2
exec setpriv --reuid $uid --regid $gid --clear-groups \"$@\"";

/// Runs a command of rbuild's where no user namespace can be made.
pub fn without_namespaces(world: &World, command: &Command) -> Run {
    let user = world.user();
    let mut script = Command::new("unshare");
    script.args(["--user", "sh", "-c", UNTIL_MAPPED, "sh", NO_NAMESPACES, "sh"]);
    script.args([user.uid.to_string(), user.gid.to_string()]);
    script.arg(command.get_program()).args(command.get_args());
    script.env_clear().envs(world.environment());
    let mut started = Started::of(&mut script);
    started.until("ready");
    let id = started.child.id();
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{id}/{map}"), "0 0 65536\n").unwrap();
    }
    writeln!(started.child.stdin.as_mut().unwrap(), "go").unwrap();
    started.wait()
}

#[test]
fn no_user_namespaces() {
    World::run(User::ordinary(), |world| {
        let context = Context::new(world, "context", &[("Dockerfile", "FROM busybox\n")]);
        let build = world.build_command(&[context.arg()]);
        without_namespaces(world, &build).ended(3).says(&["user.max_user_namespaces"]);
    });
}
