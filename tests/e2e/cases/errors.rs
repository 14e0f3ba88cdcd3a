//! Bad input: what is said, and with which code it ends.

use e2e::{Context, Registry, World, for_each_user};

for_each_user! {
    mistakes_in_the_dockerfile,
    sources_that_are_not_there,
    a_source_outside_the_context,
    steps_that_fail,
    the_first_failure_ends_the_build,
    wrong_calls,
    a_registry_that_is_not_there,
    a_damaged_store,
}

fn with(world: &World, dockerfile: &str) -> Context {
    Context::new(world, "context", &[("Dockerfile", dockerfile), ("app.py", "pass\n")])
}

fn mistakes_in_the_dockerfile(world: &World) {
    let cases: [(&str, &[&str]); 5] = [
        ("FROM busybox\nCPOY app.py /\n", &["CPOY", "Dockerfile:2", "COPY"]),
        ("FROM busybox\nCOPY --chwon=1 app.py /\n", &["--chwon", "Dockerfile:2", "--chown"]),
        ("RUN true\n", &["Dockerfile:1", "FROM"]),
        ("FROM busybox\nRUN <<EOF\ntrue\n", &["EOF"]),
        ("", &["empty"]),
    ];
    for (dockerfile, words) in cases {
        let context = with(world, dockerfile);
        world.build(&[context.arg()]).ended(1).says(words);
    }
}

fn sources_that_are_not_there(world: &World) {
    let context = with(world, "FROM busybox\nCOPY app.pi /\n");
    world.build(&[context.arg()]).ended(1).says(&["app.pi", "Dockerfile:2"]);

    let context = with(world, "FROM busybox\nCOPY app.py /\n");
    context.write(".dockerignore", "# what nobody needs\n*.py\n");
    world.build(&[context.arg()]).ended(1).says(&["app.py", ".dockerignore"]);

    std::fs::remove_file(context.path().join(".dockerignore")).unwrap();
    world.build(&[context.arg()]).ok();

    let missing = world.folder("context").join("none");
    let run = world.build(&[missing.to_str().unwrap()]);
    run.ended(1).says(&["none"]);
}

/// Such a path means one inside the context, as everywhere; the file outside is out of reach.
fn a_source_outside_the_context(world: &World) {
    std::fs::write(world.folder("home").join("secret"), "secret").unwrap();
    let context = with(world, "FROM busybox\nCOPY link/secret /\n");
    std::os::unix::fs::symlink("../home", context.path().join("link")).unwrap();
    world.build(&[context.arg()]).ended(1).says(&["link/secret"]);

    context.write("Dockerfile", "FROM busybox\nCOPY ../home/secret /\n");
    world.build(&[context.arg()]).ended(1).says(&["home/secret"]);
}

fn steps_that_fail(world: &World) {
    let context = with(world, "FROM busybox\nRUN echo the reason >&2; exit 7\n");
    let run = world.build(&[context.arg()]).ended(1);
    let (_, log) = run.stderr.rsplit_once("whole output: ").expect("says where the log is");
    let log = log.lines().next().unwrap();
    assert_eq!(std::fs::read_to_string(log).unwrap(), "the reason\n");
    run.says(&["7", "Dockerfile:2", "the reason"]);

    let context = with(world, "FROM busybox\nRUN sh -c 'kill -9 $$'; exit $?\n");
    world.build(&[context.arg()]).ended(1).says(&["137", "Dockerfile:2"]);

    let context = with(world, "FROM busybox\nRUN [\"no-such-program\"]\n");
    world.build(&[context.arg()]).ended(1).says(&["no-such-program"]);

    // What ran before the failure is kept.
    let context = with(world, "FROM busybox\nRUN echo fine\nRUN false\n");
    world.build(&[context.arg()]).ended(1);
    assert_eq!(world.build(&[context.arg()]).ended(1).steps().cached, ["[2/3] RUN echo fine"]);
}

fn the_first_failure_ends_the_build(world: &World) {
    let dockerfile = "FROM busybox AS slow\nRUN sleep 1000\n\
        FROM busybox AS bad\nRUN echo broken; exit 1\n\
        FROM busybox\nCOPY --from=slow / /slow\nCOPY --from=bad / /bad\n";
    let context = with(world, dockerfile);
    let run = world.build(&[context.arg()]).ended(1);
    assert!(!run.stderr.contains("Dockerfile:2"), "the slow step is not at fault: {}", run.shown());
    run.says(&["broken", "Dockerfile:4"]);
}

fn wrong_calls(world: &World) {
    let context = with(world, "FROM busybox\n");
    let cases: [&[&str]; 6] = [
        &["--no-such-flag"],
        &["--platform", "not a platform"],
        &["-t", "UPPER"],
        &["--push"],
        &["-o", "type=nonsense"],
        &["--label", "=x"],
    ];
    for flags in cases {
        let args = [flags, &[context.arg()]].concat();
        let run = world.build(&args).ended(2);
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{}", run.shown());
    }
    assert_eq!(world.rbuild(&[]).code, 2);
    world.rbuild(&["biuld", "."]).ended(2);
}

fn a_registry_that_is_not_there(world: &World) {
    // A port that was free a moment ago.
    let address = Registry::open().address.clone();
    let context = with(world, &format!("FROM {address}/app:1\nRUN true\n"));
    world.build(&[context.arg()]).ended(3).says(&[&address]);
    let context = with(world, &format!("FROM {}/library/none:1\n", world.mirror().address));
    world.build(&[context.arg()]).ended(3).says(&["library/none:1"]);
}

/// Damage is a miss with a warning: the build goes on, and what it makes is whole.
fn a_damaged_store(world: &World) {
    let context = with(world, "FROM busybox\nRUN echo fine >/file\n");
    world.build(&["-t", "app", context.arg()]).ok();
    for file in ["records.db", "records.db-wal"] {
        std::fs::write(world.store().join(file), "this is no database").unwrap();
    }
    let run = world.build(&["-t", "app", context.arg()]).ok();
    assert!(run.stderr.contains("records.db"), "{}", run.shown());
    let run = world.build(&["-t", "app", context.arg()]).ok();
    assert_eq!(run.steps().cached.len(), 1, "{}", run.shown());

    for layer in std::fs::read_dir(world.store().join("layers")).unwrap() {
        std::fs::remove_dir_all(layer.unwrap().path()).unwrap();
    }
    let run = world.build(&["-t", "app", context.arg()]).ok();
    assert_eq!(run.steps().ran.len(), 1, "{}", run.shown());
    world.rbuild(&["run", "--network", "none", "app", "cat", "/file"]).ok();
}
