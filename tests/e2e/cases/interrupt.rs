//! Builds that are ended from outside leave no process, no mount, and a store that is used again.
//! (That nothing is left is checked after every test, this one included.)

use e2e::{Context, World, for_each_user};
use rustix::process::Signal;

for_each_user! { ctrl_c, terminated, killed }

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
