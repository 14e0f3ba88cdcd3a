//! Where the result goes, read by other people's tools.

use std::fs;
use std::process::Command;

use e2e::layout::text;
use e2e::system::tool;
use e2e::{Context, Island, Layout, World, for_each_user};
use serde_json::json;

for_each_user! {
    the_store_is_an_image_layout,
    archives,
    a_folder,
    standard_output,
    the_id_and_the_description,
    names_in_the_store,
    saved_and_loaded,
    an_archive_of_an_image_without_layers,
}

const APP: &str = "FROM alpine:3.19\n\
    WORKDIR /app\n\
    COPY --chown=1000:1000 . .\n\
    RUN echo made >made && rm -r /mnt\n\
    ENV GREETING=hello\n\
    LABEL kind=test\n\
    USER node\n\
    EXPOSE 8080\n\
    CMD [\"cat\", \"made\"]\n";

fn app(world: &World) -> Context {
    Context::new(world, "context", &[("Dockerfile", APP), ("source", "source\n")])
}

fn the_store_is_an_image_layout(world: &World) {
    world.build(&["-t", "app:1", app(world).arg()]).ok();
    let image = Layout::of_store(world, "app:1");
    checked(world, &image);
    assert_eq!(Island::new().run(world, &image, &[]).ok().stdout, "made\n");
    assert_eq!(world.rbuild(&["run", "--network", "none", "app:1"]).ok().stdout, "made\n");
}

/// The config and the files, as skopeo and umoci read them.
fn checked(world: &World, image: &Layout) {
    let config = image.config();
    let runtime = &config["config"];
    assert_eq!(runtime["Cmd"], json!(["cat", "made"]));
    assert_eq!(runtime["User"], "node");
    assert_eq!(runtime["WorkingDir"], "/app");
    assert_eq!(runtime["Labels"]["kind"], "test");
    assert_eq!(runtime["ExposedPorts"], json!({"8080/tcp": {}}));
    assert!(runtime["Env"].as_array().unwrap().contains(&json!("GREETING=hello")));
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 4);

    let root = image.unpack(world);
    assert_eq!(text(&root, "app/made"), "made\n");
    assert_eq!(text(&root, "app/source"), "source\n");
    let owner = fs::metadata(root.join("app/source")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((owner.uid(), owner.gid(), owner.mode() & 0o7777), (1000, 1000, 0o644));
    assert!(!root.join("mnt").exists(), "what a step removed is gone");
}

fn archives(world: &World) {
    let context = app(world);
    let folder = world.folder("out");
    for (kind, transport) in [("oci", "oci-archive"), ("docker", "docker-archive")] {
        let file = folder.join(kind);
        let output = format!("type={kind},dest={}", file.display());
        world.build(&["-t", "app:1", "-o", &output, context.arg()]).ok();
        let _ = fs::remove_dir_all(world.folder("layout"));
        let _ = fs::remove_dir_all(world.folder("bundle"));
        checked(world, &Layout::copy(world, &format!("{transport}:{}", file.display())));
    }
}

fn a_folder(world: &World) {
    let context = app(world);
    let out = world.folder("out");
    world.build(&["-o", out.to_str().unwrap(), context.arg()]).ok();
    assert_eq!(text(&out, "app/made"), "made\n");
    assert!(!out.join("mnt").exists());

    let file = world.folder("archives").join("tree.tar");
    let output = format!("type=tar,dest={}", file.display());
    world.build(&["-o", &output, context.arg()]).ok();
    let mut tar = std::process::Command::new("tar");
    let list = e2e::system::tool(tar.arg("-tf").arg(file)).ok().stdout;
    assert!(list.lines().any(|name| name.trim_start_matches("./") == "app/made"), "{list}");
}

fn standard_output(world: &World) {
    let mut command = world.build_command(&["-o", "type=tar,dest=-", app(world).arg()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The magic of a POSIX archive is in its first header.
    assert_eq!(&output.stdout[257..262], b"ustar");
}

fn the_id_and_the_description(world: &World) {
    let context = app(world);
    let out = world.folder("out");
    let (id, description) = (out.join("id"), out.join("description.json"));
    let files =
        ["--iidfile", id.to_str().unwrap(), "--metadata-file", description.to_str().unwrap()];
    world.build(&[&["-t", "app:1"], &files[..], &[context.arg()]].concat()).ok();
    let id = fs::read_to_string(id).unwrap();
    let quiet = world.rbuild(&["build", "-q", context.arg()]).ok();
    assert_eq!(quiet.stdout.trim_end(), id);
    assert_eq!(quiet.stderr, "");
    let description: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(description).unwrap()).unwrap();
    assert_eq!(description["containerimage.config.digest"], json!(id));
    assert_eq!(Layout::of_store(world, "app:1").manifest()["config"]["digest"], json!(id));
}

fn names_in_the_store(world: &World) {
    world.build(&["-t", "app:1", "-t", "app", app(world).arg()]).ok();
    world.rbuild(&["tag", "app:1", "registry.example/other:2"]).ok();
    let list = world.rbuild(&["images"]).ok().stdout;
    for name in ["app", "registry.example/other"] {
        assert!(list.contains(name), "{list}");
    }
    world.rbuild(&["rmi", "app:1"]).ok();
    world.rbuild(&["inspect", "app:1"]).ended(3);
    let inspected = world.rbuild(&["inspect", "registry.example/other:2"]).ok().stdout;
    assert!(inspected.contains("GREETING=hello"), "{inspected}");
    let history = world.rbuild(&["history", "app"]).ok().stdout;
    assert!(history.contains("RUN"), "{history}");
}

fn saved_and_loaded(world: &World) {
    world.build(&["-t", "app:1", app(world).arg()]).ok();
    let file = world.folder("out").join("app.tar");
    world.rbuild(&["save", "-o", file.to_str().unwrap(), "app:1"]).ok();
    world.rbuild(&["rmi", "app:1"]).ok();
    world.rbuild(&["load", "-i", file.to_str().unwrap()]).ok();
    checked(world, &Layout::of_store(world, "app:1"));

    // An id is no name, though it could be one.
    let id = world.rbuild(&["images", "-q"]).ok().stdout.trim().to_owned();
    world.rbuild(&["save", "-o", file.to_str().unwrap(), &id]).ok();
    let list = tool(Command::new("tar").arg("-xOf").arg(&file).arg("manifest.json")).ok().stdout;
    assert!(list.contains(r#""RepoTags":[]"#), "{list}");
    let loaded = world.rbuild(&["load", "-i", file.to_str().unwrap()]).ok().stdout;
    assert!(loaded.contains("sha256:"), "{loaded}");
}

/// `docker save` writes `null` for no layers.
fn an_archive_of_an_image_without_layers(world: &World) {
    let folder = world.folder("archive");
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": ["none:1"], "Layers": null }]).to_string();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Env": ["A=1"] },
        "rootfs": { "type": "layers", "diff_ids": null },
    });
    fs::write(folder.join("manifest.json"), manifest).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let archive = world.folder("out").join("none.tar");
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&archive).arg("-C").arg(&folder).args(["manifest.json", "config.json"]);
    tool(&mut tar).ok();
    world.rbuild(&["load", "-i", archive.to_str().unwrap()]).ok();
    assert!(world.rbuild(&["inspect", "none:1"]).ok().stdout.contains("A=1"));
    let context = Context::new(world, "child", &[("Dockerfile", "FROM none:1\nCOPY . /\n")]);
    world.build(&["-t", "child:1", context.arg()]).ok();
    assert_eq!(
        Layout::of_store(world, "child:1").manifest()["layers"].as_array().unwrap().len(),
        1
    );
}
