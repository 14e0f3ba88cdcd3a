//! The bases and the tools that judge rbuild's images, without rbuild: when these fail, the machine
//! is at fault.

use e2e::{Island, Layout, World, for_each_user};

for_each_user! { podman_runs_a_base, a_base_serves_http }

fn podman_runs_a_base(world: &World) {
    let image = Layout::pull(world, world.mirror(), "library/node:18-alpine");
    let version = Island::new().run(world, &image, &["node", "--version"]).ok().stdout;
    assert!(version.starts_with("v18."), "{version}");
}

fn a_base_serves_http(world: &World) {
    let image = Layout::pull(world, world.mirror(), "library/nginx:1.23-alpine");
    let island = Island::new();
    island.start(world, &image, &[]);
    assert!(island.get("http://127.0.0.1/").contains("Welcome to nginx"));
}
