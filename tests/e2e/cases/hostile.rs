//! Archives and images that want out: nothing of them comes to lie outside of what is built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::system::{repository, tool};
use e2e::{Context, World, for_each_user};
use serde_json::json;

for_each_user! {
    an_archive_that_is_added_stays_inside,
    a_layer_of_a_base_stays_inside,
    every_archive_that_was_ever_hostile_stays_inside,
}

/// A folder that hostile members name.
fn outside(world: &World) -> Context {
    Context::new(world, "outside", &[("mine", "untouched\n")])
}

fn assert_untouched(outside: &Context) {
    let names: Vec<_> =
        fs::read_dir(outside.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["mine"]);
    assert_eq!(fs::read_to_string(outside.path().join("mine")).unwrap(), "untouched\n");
}

/// An archive with a link to the folder, and files that are written through it and over it.
fn archive(world: &World, outside: &Context) -> PathBuf {
    let parts = Context::new(world, "parts", &[("mine", "theirs\n")]);
    std::os::unix::fs::symlink(outside.path(), parts.path().join("link")).unwrap();
    let archive = parts.path().join("hostile.tar");
    let tar = |args: &[&str]| {
        let mut command = Command::new("tar");
        tool(command.arg("-C").arg(parts.path()).arg("-P").arg("-f").arg(&archive).args(args)).ok();
    };
    tar(&["-c", &format!("--transform=s,^,{}/absolute-,", outside.arg()), "mine"]);
    tar(&["-r", "link"]);
    tar(&["-r", "--transform=s,^,link/,", "mine"]);
    archive
}

fn an_archive_that_is_added_stays_inside(world: &World) {
    let outside = outside(world);
    let archive = archive(world, &outside);
    let context =
        Context::new(world, "context", &[("Dockerfile", "FROM scratch\nADD hostile.tar /\n")]);
    fs::copy(&archive, context.path().join("hostile.tar")).unwrap();
    world.user().own(context.path());
    let out = world.folder("out");
    let dest = format!("type=local,dest={}", out.display());
    world.build(&["-o", &dest, context.arg()]).ok();
    assert_untouched(&outside);
    let inside = out.join(outside.path().strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(inside.join("mine")).unwrap(), "theirs\n");
    assert!(inside.join("absolute-mine").exists());
    // A name that leads out by itself.
    let climbs = format!("--transform=s,^,../../../../../../../..{}/,", outside.arg());
    let mut command = Command::new("tar");
    let parts = archive.parent().unwrap();
    tool(
        command
            .arg("-C")
            .arg(parts)
            .arg("-rPf")
            .arg(context.path().join("hostile.tar"))
            .args([&climbs, "mine"]),
    )
    .ok();
    world.build(&["-o", &dest, context.arg()]).ended(1).says(&["leads out"]);
    assert_untouched(&outside);
}

fn a_layer_of_a_base_stays_inside(world: &World) {
    let outside = outside(world);
    let layer = fs::read(archive(world, &outside)).unwrap();
    let base = layout(world, &layer);
    let context =
        Context::new(world, "context", &[("Dockerfile", "FROM hostile\nCOPY Dockerfile /new\n")]);
    let out = world.folder("out");
    let dest = format!("type=local,dest={}", out.display());
    let named = format!("hostile=oci-layout://{}:latest", base.display());
    world.build(&["--build-context", &named, "-o", &dest, context.arg()]).ok();
    assert_untouched(&outside);
    let inside = out.join(outside.path().strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(inside.join("mine")).unwrap(), "theirs\n");
}

fn every_archive_that_was_ever_hostile_stays_inside(world: &World) {
    let outside = outside(world);
    let context = Context::new(world, "context", &[]);
    let mut archives: Vec<PathBuf> = ["archive", "layer"]
        .iter()
        .flat_map(|name| {
            fs::read_dir(repository().join("fuzz/corpus").join(name)).unwrap().flatten()
        })
        .map(|entry| entry.path())
        .collect();
    archives.sort();
    assert!(archives.len() > 20);
    for path in archives {
        fs::copy(&path, context.path().join("archive")).unwrap();
        context.write("Dockerfile", "FROM scratch\nADD archive /files/\n");
        let run = world.build(&[context.arg()]);
        assert!(matches!(run.code, 0 | 1), "{}: {}", path.display(), run.shown());
    }
    assert_untouched(&outside);
    let beside = context.path().parent().unwrap();
    assert!(!beside.join("x").exists() && !beside.join("y").exists());
}

/// An OCI image layout with an image of one layer.
fn layout(world: &World, layer: &[u8]) -> PathBuf {
    let folder = world.folder("hostile-image");
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let digest = blob(&folder, layer);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    });
    let descriptor = |kind: &str, bytes: &[u8]| {
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": blob(&folder, bytes), "size": bytes.len()})
    };
    let config = descriptor("config.v1+json", config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [descriptor("layer.v1.tar", layer)]});
    let mut manifest = descriptor("manifest.v1+json", manifest.to_string().as_bytes());
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    world.user().own(&folder);
    folder
}

/// Keeps bytes under their digest, which it gives.
fn blob(folder: &Path, bytes: &[u8]) -> String {
    let path = folder.join("blob");
    fs::write(&path, bytes).unwrap();
    let sum = tool(Command::new("sha256sum").arg(&path)).ok();
    let hex = sum.stdout.split_whitespace().next().unwrap().to_owned();
    fs::rename(&path, folder.join("blobs/sha256").join(&hex)).unwrap();
    format!("sha256:{hex}")
}
