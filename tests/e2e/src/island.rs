//! Namespaces in which containers run for a test: a loopback interface, process ids and mounts that
//! nobody else sees. Ports never clash, a server may listen on port 80 as any user, and everything
//! in here ends when the test does.
//!
//! podman needs some help on machines of all kinds: a version 2 cgroup file system at its place
//! (crun refuses the mixed form, even where it shall use no cgroup), a `/run` of its own, and
//! limits that need no privilege to set.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::system::tool;
use crate::{Layout, Run, User, World};

const SET_UP: &str = "set -e
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mkdir -m 1777 /run/podman
busybox ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
echo ready
exec cat >/dev/null";

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A set of namespaces. Dropped, its processes end.
#[derive(Debug)]
pub struct Island {
    keeper: Child,
    /// Its first process ends when this is closed, also if this test is killed.
    _alive: ChildStdin,
    inside: String,
}

impl Island {
    /// Makes one.
    pub fn new() -> Island {
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SET_UP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut errors = keeper.stderr.take().unwrap();
        if line != "ready\n" {
            errors.read_to_string(&mut line).unwrap();
            panic!("no namespaces for containers here: {line}");
        }
        let (id, alive) = (keeper.id(), keeper.stdin.take().unwrap());
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        Island { keeper, _alive: alive, inside: children.trim().to_owned() }
    }

    /// A command that runs inside.
    pub fn command(&self, user: &User, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside, "--mount", "--pid", "--net", "setpriv"]);
        let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
        command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups", program]);
        command
    }

    /// Starts a container that goes on, as the world's user; its command is the image's own.
    pub fn start(&self, world: &World, image: &Layout, flags: &[&str]) {
        self.podman(world, &["--detach"], image, flags, &[]).ok();
    }

    /// Runs a container to its end, as the world's user.
    pub fn run(&self, world: &World, image: &Layout, command: &[&str]) -> Run {
        self.podman(world, &["--rm", "--quiet"], image, &[], command)
    }

    fn podman(
        &self,
        world: &World,
        mode: &[&str],
        image: &Layout,
        flags: &[&str],
        command: &[&str],
    ) -> Run {
        let storage = world.folder("podman").join("storage");
        let mut podman = self.command(world.user(), "podman");
        podman.env_clear().envs(world.environment());
        podman.arg("--root").arg(storage);
        podman.args(["--runroot", "/run/podman/run", "--tmpdir", "/run/podman/tmp"]);
        podman.args(["--storage-driver", "overlay", "--runtime", "crun"]);
        podman.args(["--cgroup-manager", "cgroupfs", "run"]).args(mode);
        podman.args(["--cgroups=disabled", "--network=host"]);
        podman.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        tool(podman.args(flags).arg(image.name()).args(command))
    }

    /// Starts a Redis server.
    pub fn redis(&self) {
        // The server's package would start one on this machine; the program is the same.
        let script = "exec -a redis-server redis-check-rdb --save '' --daemonize yes >/dev/null";
        let root = User { name: "root".into(), uid: 0, gid: 0 };
        tool(self.command(&root, "bash").args(["-c", script])).ok();
    }

    /// The body of a page, asked for until the server answers.
    #[track_caller]
    pub fn get(&self, url: &str) -> String {
        let root = User { name: "root".into(), uid: 0, gid: 0 };
        let give_up = Instant::now() + PATIENCE;
        loop {
            let run = tool(self.command(&root, "busybox").args(["wget", "-q", "-O", "-", url]));
            if run.code == 0 {
                return run.stdout;
            }
            assert!(Instant::now() < give_up, "no answer: {}", run.shown());
            sleep(Duration::from_millis(50));
        }
    }
}

impl Default for Island {
    fn default() -> Island {
        Island::new()
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        // The keeper ends when the first process has, and that one has when all others have.
        let first = self.inside.parse().ok().and_then(Pid::from_raw);
        let _ = first.map(|first| kill_process(first, Signal::KILL));
        let _ = self.keeper.wait();
    }
}
