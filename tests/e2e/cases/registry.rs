//! Pulling and pushing: logins, mirrors, and what is said when it does not work.

use std::time::Duration;

use e2e::registry::LOGIN;
use e2e::{Context, Layout, Registry, World, for_each_user};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

for_each_user! {
    a_locked_registry,
    a_dead_mirror_is_passed_by,
    pulled_and_pushed,
    a_terminal_shows_what_is_typed_after_a_login_that_was_ended,
}

fn a_locked_registry(world: &World) {
    let registry = Registry::locked();
    let name = registry.name("team/app:1");
    let context = Context::new(world, "context", &[("Dockerfile", "FROM busybox\nRUN true\n")]);
    let push = ["-t", &name, "--push", context.arg()];
    world.build(&push).ended(3).says(&[&registry.address]);

    let login = |password: &str| {
        let mut command =
            world.command(&["login", "-u", LOGIN.0, "--password-stdin", &registry.address]);
        e2e::Run::of(&mut command, password.as_bytes())
    };
    login("wrong").ended(3).says(&[&registry.address]);
    login(LOGIN.1).ok();
    world.build(&push).ok();
    Layout::pull(world, &registry, "team/app:1");

    // A base behind the same lock, from a store that does not have it.
    context.write("Dockerfile", &format!("FROM {name}\nRUN echo on top\n"));
    let mut build = world.build_command(&[context.arg()]);
    e2e::system::tool(build.env("RBUILD_ROOT", world.folder("other-store"))).ok();

    world.rbuild(&["logout", &registry.address]).ok();
    world.rbuild(&["push", &name]).ended(3);
}

fn a_dead_mirror_is_passed_by(world: &World) {
    // A port that was free a moment ago.
    let dead = Registry::open().address.clone();
    world.mirrors(&[&dead, &world.mirror().address]);
    let context = Context::new(world, "context", &[("Dockerfile", "FROM busybox\nRUN true\n")]);
    world.build(&[context.arg()]).ok().says(&[&dead]);
}

fn pulled_and_pushed(world: &World) {
    let registry = Registry::open();
    world.rbuild(&["pull", "alpine:3.19"]).ok();
    let name = registry.name("copy:1");
    world.rbuild(&["tag", "alpine:3.19", &name]).ok();
    world.rbuild(&["push", &name]).ok();
    let copy = Layout::pull(world, &registry, "copy:1").manifest();
    let _ = std::fs::remove_dir_all(world.folder("layout"));
    let original = Layout::pull(world, world.mirror(), "library/alpine:3.19").manifest();
    assert_eq!(copy, original, "a pulled image is pushed as it is");
}

fn a_terminal_shows_what_is_typed_after_a_login_that_was_ended(world: &World) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let master = openpt(flags).unwrap();
    unlockpt(&master).unwrap();
    let terminal = ioctl_tiocgptpeer(&master, flags).unwrap();
    let shows = || tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO);
    let mut command = world.command(&["login", "-u", "ann", "127.0.0.1:1"]);
    let mut login = command.stdin(terminal.try_clone().unwrap()).spawn().unwrap();
    while shows() {
        assert!(login.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = Pid::from_raw(login.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(login.wait().unwrap().code(), Some(130));
    assert!(shows());
}
