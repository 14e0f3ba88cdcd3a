//! Builds that are ended from outside leave no process, no mount, and a store that is used again.
//! (That nothing is left is checked after every test, this one included.)

use std::fs;
use std::io::Write;
use std::process::Command;

use e2e::system::tool;
use e2e::{Context, Started, World, for_each_user};
use rustix::process::Signal;

for_each_user! {
    ctrl_c,
    terminated,
    killed,
    a_command_of_an_image_is_ended,
    waiting_for_standard_input_is_ended,
}

const SLOW: &str = "FROM busybox\n\
    RUN echo kept >/kept\n\
    RUN echo $((40 + 2)) reached; sleep 1000\n";

fn slow(world: &World) -> Context {
    Context::new(world, "context", &[("Dockerfile", SLOW)])
}

fn ctrl_c(world: &World) {
    ended_by(world, Signal::INT, 130);
}

fn terminated(world: &World) {
    ended_by(world, Signal::TERM, 130);
}

fn killed(world: &World) {
    ended_by(world, Signal::KILL, 137);
}

fn ended_by(world: &World, signal: Signal, code: i32) {
    let context = slow(world);
    let mut build = world.start(&["-t", "app", context.arg()]);
    build.until("42 reached");
    build.signal(signal);
    build.wait().ended(code);

    context.edit("Dockerfile", "sleep 1000", "true");
    let run = world.build(&["-t", "app", context.arg()]).ok();
    assert_eq!(run.steps().cached, ["[2/3] RUN echo kept >/kept"], "{}", run.shown());
}

fn a_command_of_an_image_is_ended(world: &World) {
    world.rbuild(&["pull", "busybox"]).ok();
    let command = ["run", "busybox", "sh", "-c", "echo reached >&2; sleep 1000"];
    let mut run = Started::of(&mut world.command(&command));
    run.until("reached");
    run.signal(Signal::INT);
    run.wait().ended(130);
}

/// Nobody writes any more, and nobody closes it either.
fn waiting_for_standard_input_is_ended(world: &World) {
    let mut build = world.start(&["-"]);
    let input = build.child.stdin.take();
    build.until("load build definition");
    is_ended(build);
    drop(input);

    let folder = world.folder("archived");
    fs::write(folder.join("file"), "a".repeat(1 << 20)).unwrap();
    let archive = tool(Command::new("tar").arg("-cC").arg(folder).arg("file")).ok().stdout;
    let mut load = Started::of(&mut world.command(&["load"]));
    let mut input = load.child.stdin.take().unwrap();
    // More than a pipe takes: it has begun to read.
    input.write_all(&archive.as_bytes()[..1 << 19]).unwrap();
    is_ended(load);
    drop(input);
}

fn is_ended(mut started: Started) {
    started.signal(Signal::INT);
    assert_eq!(started.child.wait().unwrap().code(), Some(130));
}
