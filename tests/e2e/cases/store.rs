//! Stores that have lost something: what is said of it, and how one goes on.

use std::fs;

use e2e::layout::Layout;
use e2e::{Context, World, for_each_user};

for_each_user! {
    an_image_without_its_config_can_be_removed,
    repair_takes_the_names_of_lost_images,
    what_was_got_over_is_told,
}

/// Two images, of which `lost` has no config any more.
fn with_a_loss(world: &World) {
    let files = [("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")];
    let context = Context::new(world, "context", &files);
    world.build(&["-t", "kept", context.arg()]).ok();
    world.build(&["-t", "lost", "--label", "another=one", context.arg()]).ok();
    let manifest = Layout::of_store(world, "lost:latest").manifest();
    let digest = manifest["config"]["digest"].as_str().unwrap();
    fs::remove_file(world.store().join("blobs").join(digest.replace(':', "/"))).unwrap();
}

fn an_image_without_its_config_can_be_removed(world: &World) {
    with_a_loss(world);
    let list = world.rbuild(&["images"]).ended(3);
    list.says(&["image `docker.io/library/lost:latest`", "`rbuild rmi docker.io/library/lost"]);
    let list = world.rbuild(&["images"]).ended(3).stdout;
    assert!(list.contains("kept") && !list.contains("lost"), "{list}");
    world.rbuild(&["rmi", "lost"]).ok();
    world.rbuild(&["images"]).ok();
}

fn repair_takes_the_names_of_lost_images(world: &World) {
    with_a_loss(world);
    let found = world.rbuild(&["verify"]).ended(3).stdout;
    assert!(found.contains("image `docker.io/library/lost:latest` lacks"), "{found}");
    world.rbuild(&["verify", "--repair"]).ok();
    world.rbuild(&["verify"]).ok();
    let list = world.rbuild(&["images"]).ok().stdout;
    assert!(list.contains("kept") && !list.contains("lost"), "{list}");
}

fn what_was_got_over_is_told(world: &World) {
    let context = Context::new(world, "context", &[("Dockerfile", "FROM scratch\nENV A=1\n")]);
    world.build(&["-t", "one", context.arg()]).ok();
    let index = world.store().join("index.json");
    fs::remove_file(&index).unwrap();
    world.rbuild(&["images"]).ok().says(&["index.json` was missing; made anew with 1 images"]);
    fs::remove_file(&index).unwrap();
    let run = world.build(&["-t", "two", context.arg()]).ok();
    run.says(&["index.json` was missing; made anew with 1 images"]);
    world.rbuild(&["run", "one", "x"]).ended(125);
}
