//! Pulling and pushing: logins, mirrors, and what is said when it does not work.

use e2e::registry::LOGIN;
use e2e::{Context, Layout, Registry, World, for_each_user};

for_each_user! {
    a_locked_registry,
    a_dead_mirror_is_passed_by,
    pulled_and_pushed,
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
