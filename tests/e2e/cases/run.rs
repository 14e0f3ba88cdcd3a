//! `rbuild run`: what was built, tried in the same sandbox.

use e2e::{Context, World, for_each_user};

for_each_user! { the_image_says_what_runs, flags_have_dockers_words, the_code_is_the_commands }

fn image(world: &World, lines: &str) {
    let dockerfile = format!("FROM busybox\n{lines}");
    let context = Context::new(world, "context", &[("Dockerfile", &dockerfile)]);
    world.build(&["-t", "app", context.arg()]).ok();
}

fn the_image_says_what_runs(world: &World) {
    image(
        world,
        "WORKDIR /work\nENV A=b\nUSER 1000\nENTRYPOINT [\"sh\", \"-c\"]\nCMD [\"pwd; echo $A; id -u\"]\n",
    );
    let run = |args: &[&str]| world.rbuild(&[&["run", "--network", "none", "app"], args].concat());
    assert_eq!(run(&[]).ok().stdout, "/work\nb\n1000\n");
    assert_eq!(run(&["echo other"]).ok().stdout, "other\n");
}

fn flags_have_dockers_words(world: &World) {
    image(world, "");
    let shared = world.folder("shared");
    std::fs::write(shared.join("file"), "shared\n").unwrap();
    let volume = format!("{}:/in:ro", shared.display());
    let flags =
        ["run", "--network", "none", "-e", "A=b", "-w", "/tmp", "-u", "33:33", "-v", &volume];
    let script =
        "echo $A; pwd; id -u; id -g; cat /in/file; touch /in/x 2>/dev/null || echo read-only";
    let run = world.rbuild(&[&flags[..], &["app", "sh", "-c", script]].concat()).ok();
    assert_eq!(run.stdout, "b\n/tmp\n33\n33\nshared\nread-only\n");
    let run = world.rbuild(&["run", "--network", "none", "--entrypoint", "echo", "app", "x"]).ok();
    assert_eq!(run.stdout, "x\n");
    let mut cat = world.command(&["run", "--network", "none", "-i", "app", "cat"]);
    assert_eq!(e2e::Run::of(&mut cat, b"through\n").ok().stdout, "through\n");
}

fn the_code_is_the_commands(world: &World) {
    image(world, "");
    let run = |args: &[&str]| world.rbuild(&[&["run", "--network", "none"], args].concat());
    run(&["app", "sh", "-c", "exit 42"]).ended(42);
    run(&["app", "sh", "-c", "sh -c 'kill -TERM $$'; exit $?"]).ended(143);
    run(&["app", "no-such-program"]).ended(125).says(&["no-such-program"]);
    run(&["none", "true"]).ended(125).says(&["none"]);
}
