//! What is not fetched and not written before somebody needs it, and what was guessed meanwhile.

use e2e::{Context, Layout, Registry, World, for_each_user};

for_each_user! {
    a_base_that_nobody_looks_at_is_not_fetched,
    whoever_needs_the_files_fetches_them,
    a_wrong_guess_is_found_before_anybody_sees_it,
    a_guess_is_no_hit_for_a_step_that_reads_the_files,
    a_push_passes_layers_on_once_the_guess_is_checked,
    a_large_layer_is_on_the_disk_once,
}

/// Copies to places that a base rarely has.
const COPIES: &str = "FROM busybox\nWORKDIR /app\nCOPY . .\nCOPY f /data\nENV A=1\nLABEL b=2\n";

fn context(world: &World, dockerfile: &str) -> Context {
    Context::new(world, "context", &[("Dockerfile", dockerfile), ("f", "file\n")])
}

/// A base in a registry of its own, made by rbuild in another store.
fn base(world: &World, name: &str, run: &str) -> Registry {
    let registry = Registry::open();
    let dockerfile = format!("FROM busybox\nRUN {run}\n");
    let context = Context::new(world, "base", &[("Dockerfile", &dockerfile)]);
    let name = registry.name(name);
    let mut build = world.build_command(&["-t", &name, "--push", context.arg()]);
    e2e::system::tool(build.env("RBUILD_ROOT", world.folder("base-store"))).ok();
    registry.blobs_fetched();
    registry
}

fn a_base_that_nobody_looks_at_is_not_fetched(world: &World) {
    let context = context(world, COPIES);
    for tag in ["app:1", "app:2"] {
        world.build(&["-t", tag, context.arg()]).ok();
    }
    assert_eq!(world.mirror().blobs_fetched(), 1, "the config");
    assert!(world.rbuild(&["images"]).ok().stdout.contains("app"));
    world.rbuild(&["verify"]).ok();
    // Without the registry the image is still known, and the error says what it lacks.
    world.mirrors(&[&Registry::open().address.clone()]);
    world.rbuild(&["run", "--network", "none", "app:1", "true"]).ended(125).says(&["busybox"]);
}

fn whoever_needs_the_files_fetches_them(world: &World) {
    let context = context(world, COPIES);
    world.build(&["-t", "app:1", context.arg()]).ok();
    let run = ["run", "--network", "none", "app:1", "cat", "/app/f", "/data"];
    assert_eq!(world.rbuild(&run).ok().stdout, "file\nfile\n");
    assert_eq!(world.mirror().blobs_fetched(), 2, "the config and the layer");
    // The guess was right, so that the results stay.
    let again = world.build(&["-t", "app:1", context.arg()]).ok();
    assert_eq!(again.steps().ran_instructions(), Vec::<&str>::new());
    // A fetched base gives the same image.
    let config = Layout::of_store(world, "app:1").config();
    let mut fresh = world.build_command(&["--no-cache", "-t", "app:2", context.arg()]);
    e2e::system::tool(&mut fresh).ok();
    let _ = std::fs::remove_dir_all(world.folder("layout"));
    let ids = |config: &serde_json::Value| config["rootfs"]["diff_ids"].as_array().unwrap().len();
    assert_eq!(ids(&Layout::of_store(world, "app:2").config()), ids(&config));
}

fn a_wrong_guess_is_found_before_anybody_sees_it(world: &World) {
    let registry = base(world, "base:1", "mkdir -m 700 /real && ln -s /real /app && mkdir /data");
    let name = registry.name("base:1");
    let context = context(
        world,
        &format!("FROM {name}\nCOPY f /app/\nCOPY f /data\nCMD cat /real/f /data/f\n"),
    );
    world.build(&["-t", "app:1", context.arg()]).ok();
    assert_eq!(registry.blobs_fetched(), 1, "the config");
    let run = ["run", "--network", "none", "app:1"];
    world.rbuild(&run).ended(125).says(&["/app", "build the image again"]);
    world.build(&["-t", "app:1", context.arg()]).ok();
    assert_eq!(world.rbuild(&run).ok().stdout, "file\nfile\n");
    // The directory that was there kept its mode.
    let root = Layout::of_store(world, "app:1").unpack(world);
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(root.join("real")).unwrap().mode() & 0o777, 0o700);
}

fn a_guess_is_no_hit_for_a_step_that_reads_the_files(world: &World) {
    let registry = base(world, "base:1", "mkdir /real && ln -s /real /app");
    let name = registry.name("base:1");
    let context = context(world, &format!("FROM {name}\nCOPY f /app/\n"));
    world.build(&["-t", "app:1", context.arg()]).ok();
    context.write("Dockerfile", &format!("FROM {name}\nCOPY f /app/\nRUN cat /real/f\n"));
    let run = world.build(&["-t", "app:2", context.arg()]).ok();
    assert_eq!(run.steps().ran_instructions(), ["COPY f /app/", "RUN cat /real/f"]);
    // As the base of another build, the first image has to be looked at, too.
    context.write("Dockerfile", "FROM app:1\nRUN true\n");
    world.build(&[context.arg()]).ended(3).says(&["/app"]);
}

fn a_push_passes_layers_on_once_the_guess_is_checked(world: &World) {
    let registry = base(world, "base:1", "ln -s /etc /app");
    let (name, to) = (registry.name("base:1"), registry.name("app:1"));
    let linked = format!("FROM {name}\nCOPY --link f /app/\n");
    let context = context(world, &linked);
    world.build(&["-t", &to, "--push", context.arg()]).ok();
    assert_eq!(registry.blobs_fetched(), 1, "a linked copy needs the config alone");
    Layout::pull(world, &registry, "app:1");
    context.write("Dockerfile", &format!("FROM {name}\nCOPY f /app/\n"));
    let other = registry.name("app:2");
    world.build(&["-t", &other, context.arg()]).ok();
    world.rbuild(&["push", &other]).ended(3).says(&["/app", "build the image again"]);
    world.build(&["-t", &other, "--push", context.arg()]).ok();
    let _ = std::fs::remove_dir_all(world.folder("layout"));
    let root = Layout::pull(world, &registry, "app:2").unpack(world);
    assert!(root.join("etc/f").exists());
}

fn a_large_layer_is_on_the_disk_once(world: &World) {
    let dockerfile = "FROM busybox\nRUN head -c 20000000 /dev/zero >/large\n";
    let context = context(world, dockerfile);
    world.build(&["-t", "app:1", context.arg()]).ok();
    let blobs = || {
        let files = std::fs::read_dir(world.store().join("blobs/sha256")).unwrap();
        files.filter(|file| file.as_ref().unwrap().metadata().unwrap().len() > 20_000_000).count()
    };
    assert_eq!(blobs(), 0);
    let archive = world.folder("out").join("app.tar");
    world.rbuild(&["save", "-o", archive.to_str().unwrap(), "app:1"]).ok();
    let root = Layout::of_store(world, "app:1").unpack(world);
    assert_eq!(std::fs::metadata(root.join("large")).unwrap().len(), 20_000_000);
    assert_eq!(blobs(), 1);
}
