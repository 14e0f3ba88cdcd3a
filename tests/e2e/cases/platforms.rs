//! One build for several platforms: whose steps run where, and the index that comes of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use e2e::layout::text;
use e2e::system::tool;
use e2e::{Context, Layout, Registry, Run, World, for_each_user};
use serde_json::{Value, json};

for_each_user! {
    the_foreign_half_runs_under_emulation,
    what_is_for_the_build_platform_runs_once,
    an_emulated_step_is_a_step_like_any_other,
    an_index_is_pushed_and_pulled,
    an_index_leaves_in_a_layout,
    each_platform_has_a_folder,
    an_index_is_kept_as_a_whole,
    an_index_is_saved_as_a_whole,
    one_foreign_platform_is_a_plain_image,
    a_missing_emulator_is_told,
    platforms_that_cannot_be,
    one_finding_for_all_platforms,
}

const BOTH: &str = "linux/amd64,linux/arm64";

/// `e_machine` of the ELF header tells what a program is made for, whatever runs it.
const APP: &str = "FROM --platform=$BUILDPLATFORM busybox:platforms AS build\n\
    RUN echo compiled; uname -m >/compiler\n\
    ARG TARGETARCH\n\
    RUN echo \"made for $TARGETARCH\" >/made\n\
    FROM busybox:platforms\n\
    RUN uname -m >/machine && od -An -tx1 -j18 -N2 /bin/busybox >/elf\n\
    COPY --from=build /compiler /made /\n\
    CMD [\"cat\", \"/machine\"]\n";

fn app(world: &World) -> Context {
    Context::new(world, "context", &[("Dockerfile", APP)])
}

fn build(world: &World, flags: &[&str]) -> Run {
    let context = app(world);
    world.build(&[&["--platform", BOTH, "-t", "app:1"], flags, &[context.arg()]].concat())
}

/// What `skopeo` says of an image of this name.
fn inspect(flags: &[&str], name: &str) -> Value {
    let mut skopeo = Command::new("skopeo");
    skopeo.args(flags).args(["inspect", "--tls-verify=false"]);
    let raw = if flags.is_empty() { "--raw" } else { "--config" };
    let run = tool(skopeo.args([raw, name])).ok();
    serde_json::from_str(&run.stdout).unwrap()
}

fn in_store(world: &World, name: &str) -> String {
    format!("oci:{}:{name}", world.store().display())
}

#[track_caller]
fn checked(index: &Value) {
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let manifests = index["manifests"].as_array().unwrap();
    let platforms: Vec<&Value> = manifests.iter().map(|entry| &entry["platform"]).collect();
    let expected =
        ["amd64", "arm64"].map(|architecture| json!({"architecture": architecture, "os": "linux"}));
    assert_eq!(platforms, expected.iter().collect::<Vec<_>>());
}

/// The files of the image for one platform, unpacked by umoci.
fn unpacked(world: &World, architecture: &str, name: &str) -> PathBuf {
    let layout = world.folder(architecture).join("layout");
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--override-arch", architecture, "copy", "--quiet", "--src-tls-verify=false"]);
    tool(skopeo.arg(name).arg(format!("oci:{}:latest", layout.display()))).ok();
    let bundle = world.folder(architecture).join("bundle");
    let image = format!("{}:latest", layout.display());
    tool(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle)).ok();
    bundle.join("rootfs")
}

fn the_foreign_half_runs_under_emulation(world: &World) {
    build(world, &[]).ok();
    let name = in_store(world, "app:1");
    checked(&inspect(&[], &name));
    for (architecture, machine, elf) in
        [("amd64", "x86_64", " 3e 00"), ("arm64", "aarch64", " b7 00")]
    {
        let config = inspect(&["--override-arch", architecture], &name);
        assert_eq!(config["architecture"], architecture);
        let root = unpacked(world, architecture, &name);
        assert_eq!(text(&root, "machine"), format!("{machine}\n"));
        assert_eq!(text(&root, "elf"), format!("{elf}\n"));
        assert_eq!(text(&root, "made"), format!("made for {architecture}\n"));
        let platform = format!("linux/{architecture}");
        let run =
            world.rbuild(&["run", "--network", "none", "--platform", &platform, "app:1"]).ok();
        assert_eq!(run.stdout, format!("{machine}\n"));
        let run = ["run", "--network", "none", "--platform", &platform, "app:1", "uname", "-m"];
        assert_eq!(world.rbuild(&run).ok().stdout, format!("{machine}\n"));
        // By hand, without rbuild.
        let program = root.join("usr/bin/busybox");
        let emulator = format!("qemu-{machine}-static");
        let run = tool(Command::new(emulator).arg(program).args(["uname", "-m"])).ok();
        assert_eq!(run.stdout, format!("{machine}\n"));
    }
    assert_eq!(
        text(&world.folder("arm64"), "bundle/rootfs/compiler"),
        text(&world.folder("amd64"), "bundle/rootfs/compiler"),
        "both were made by the same step"
    );
}

fn what_is_for_the_build_platform_runs_once(world: &World) {
    let run = build(world, &[]).ok();
    let ran = run.steps().ran;
    let count = |part: &str| ran.iter().filter(|title| title.contains(part)).count();
    assert_eq!(count("RUN echo compiled"), 1, "{ran:#?}");
    assert_eq!(run.stderr.matches(" compiled\n").count(), 1, "{}", run.shown());
    let this = if cfg!(target_arch = "x86_64") { ("amd64", "arm64") } else { ("arm64", "amd64") };
    assert_eq!(count(&format!("[linux/{} build 3/3]", this.0)), 1, "{ran:#?}");
    assert_eq!(count(&format!("[linux/{}->{} build 3/3]", this.0, this.1)), 1, "{ran:#?}");
    assert_eq!(count("stage-1 2/3] RUN uname -m"), 2, "{ran:#?}");
    let again = build(world, &[]).ok().steps();
    assert_eq!(again.ran, Vec::<String>::new());
    // A build for one of them finds what the build for both has left.
    let context = app(world);
    let one = world.build(&["--platform", "aarch64", context.arg()]).ok().steps();
    assert_eq!(one.ran, Vec::<String>::new());
}

/// Users, owners, set-id bits, mounts, secrets and the network, in a step that is emulated.
const LIKE_ANY: &str = "FROM busybox:platforms\n\
    RUN mkdir /owned && chown 1234:5678 /owned && chmod 2750 /owned && id -u nobody >/nobody\n\
    RUN cp /bin/busybox /suid && chmod 4755 /suid && ln -s /suid /id\n\
    USER 1000:1000\n\
    RUN /id -u >/tmp/effective && sh -c 'echo $0; uname -m' >/tmp/nested\n\
    USER root\n\
    RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/memory \\\n\
        --mount=type=secret,id=key,target=/key \\\n\
        test \"$(cat /key)\" = word && echo x >/cache/x && echo x >/memory/x && rm -r /mnt\n\
    RUN if sh -c 'printf x >>/proc/1/exe'; then exit 1; fi\n";

fn an_emulated_step_is_a_step_like_any_other(world: &World) {
    let context = Context::new(world, "context", &[("Dockerfile", LIKE_ANY), ("key", "word")]);
    let secret = format!("id=key,src={}/key", context.arg());
    let emulator = fs::read("/usr/bin/qemu-aarch64-static").unwrap();
    let flags = ["--platform", "linux/arm64", "--secret", &secret, "-t", "app:1", context.arg()];
    world.build(&flags).ok();
    assert!(fs::read("/usr/bin/qemu-aarch64-static").unwrap() == emulator, "no step can change it");
    let root = unpacked(world, "arm64", &in_store(world, "app:1"));
    use std::os::unix::fs::MetadataExt;
    let owned = fs::metadata(root.join("owned")).unwrap();
    assert_eq!((owned.uid(), owned.gid(), owned.mode() & 0o7777), (1234, 5678, 0o2750));
    assert_eq!(fs::metadata(root.join("suid")).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(text(&root, "tmp/nested"), "sh\naarch64\n");
    for absent in ["mnt", "cache/x", "memory/x", "key"] {
        assert!(!root.join(absent).exists(), "{absent}");
    }
    let rest = tool(Command::new("find").arg(&root).args(["-name", "*qemu*"])).ok();
    assert_eq!(rest.stdout, "", "nothing of the emulator is in the image");
}

fn an_index_is_pushed_and_pulled(world: &World) {
    let registry = Registry::open();
    let name = registry.name("team/app:1");
    let context = app(world);
    world.build(&["--platform", BOTH, "-t", &name, "--push", context.arg()]).ok();
    let remote = format!("docker://{name}");
    let index = inspect(&[], &remote);
    checked(&index);
    let layout = world.folder("out").join("all");
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--all", "--src-tls-verify=false", &remote]);
    tool(skopeo.arg(format!("oci:{}:all", layout.display()))).ok();
    assert_eq!(inspect(&[], &format!("oci:{}:all", layout.display())), index);
    assert_eq!(text(&unpacked(world, "arm64", &remote), "machine"), "aarch64\n");

    // The same from the store, under another name; and from there as a base.
    let second = registry.name("other/app:2");
    world.rbuild(&["tag", &name, &second]).ok();
    world.rbuild(&["push", &second]).ok();
    assert_eq!(inspect(&[], &format!("docker://{second}")), index);
    context.write("Dockerfile", &format!("FROM {second}\nRUN cat /machine\n"));
    let mut on_top = world.build_command(&["--platform", "linux/arm64", context.arg()]);
    let run = tool(on_top.env("RBUILD_ROOT", world.folder("other-store"))).ok();
    assert!(run.stderr.contains("aarch64"), "{}", run.shown());
}

fn an_index_leaves_in_a_layout(world: &World) {
    let out = world.folder("out");
    let folder = out.join("folder");
    let outputs = [
        ("oci", "oci-archive", out.join("archive"), ""),
        ("oci", "oci", folder.clone(), ",tar=false"),
    ];
    for (kind, transport, path, more) in outputs {
        let output = format!("type={kind},dest={}{more}", path.display());
        build(world, &["-o", &output]).ok();
        let name = format!("{transport}:{}:1", path.display());
        checked(&inspect(&[], &name));
        assert_eq!(inspect(&["--override-arch", "arm64"], &name)["architecture"], "arm64");
    }
    // What comes back is the index.
    world.rbuild(&["load", "-i", out.join("archive").to_str().unwrap()]).ok();
    let loaded = world.rbuild(&["run", "--network", "none", "--platform", "linux/arm64", "app:1"]);
    assert_eq!(loaded.ok().stdout, "aarch64\n");
    build(world, &["-o", "type=docker,dest=/dev/null"]).ended(2).says(&["`docker`", "`type=oci`"]);
}

fn each_platform_has_a_folder(world: &World) {
    let out = world.folder("out");
    let (folder, archive) = (out.join("folder"), out.join("archive.tar"));
    let tar = format!("type=tar,dest={}", archive.display());
    build(world, &["-o", folder.to_str().unwrap(), "-o", &tar]).ok();
    assert_eq!(text(&folder, "linux_arm64/machine"), "aarch64\n");
    assert_eq!(text(&folder, "linux_amd64/machine"), "x86_64\n");
    let unpacked = world.folder("unpacked");
    tool(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&unpacked)).ok();
    assert_eq!(text(&unpacked, "linux_arm64/machine"), "aarch64\n");
    assert_eq!(text(&unpacked, "linux_amd64/machine"), "x86_64\n");
}

fn an_index_is_kept_as_a_whole(world: &World) {
    let out = world.folder("out");
    let (id, description) = (out.join("id"), out.join("description.json"));
    let files =
        ["--iidfile", id.to_str().unwrap(), "--metadata-file", description.to_str().unwrap()];
    build(world, &files).ok();
    let id = text(&out, "id");
    let description: Value = serde_json::from_str(&text(&out, "description.json")).unwrap();
    assert_eq!(description["containerimage.digest"], json!(id));
    assert_eq!(description["containerimage.config.digest"], Value::Null);
    let list = world.rbuild(&["images", "--no-trunc", "-q"]).ok().stdout;
    assert_eq!(list.trim_end(), id);
    let context = app(world);
    let quiet = world.rbuild(&["build", "-q", "--platform", BOTH, context.arg()]).ok();
    assert_eq!(quiet.stdout.trim_end(), id);

    world.rbuild(&["prune", "--force"]).ok();
    for (architecture, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        let platform = format!("linux/{architecture}");
        let run = ["run", "--network", "none", "--platform", &platform, &id[..20]];
        assert_eq!(world.rbuild(&run).ok().stdout, format!("{machine}\n"));
        let inspected = world.rbuild(&["inspect", "--platform", &platform, "app:1"]).ok().stdout;
        let inspected: Value = serde_json::from_str(&inspected).unwrap();
        assert_eq!(inspected[0]["Architecture"], architecture);
        world.rbuild(&["history", "--platform", &platform, "app:1"]).ok();
    }
    world
        .rbuild(&["inspect", "--platform", "linux/s390x", "app:1"])
        .ended(3)
        .says(&["linux/s390x"]);
    world.rbuild(&["rmi", "app:1"]).ok();
    world.rbuild(&["inspect", "app:1"]).ended(3);
}

fn an_index_is_saved_as_a_whole(world: &World) {
    let dockerfile = "FROM scratch\nARG TARGETARCH\nENV FOR=$TARGETARCH\nCOPY Dockerfile /\n";
    let context = Context::new(world, "small", &[("Dockerfile", dockerfile)]);
    world.build(&["--platform", BOTH, "-t", "app:1", context.arg()]).ok();
    let (whole, one) = (world.folder("out").join("whole.tar"), world.folder("out").join("one.tar"));
    let (whole, one) = (whole.to_str().unwrap(), one.to_str().unwrap());
    world.rbuild(&["save", "-o", whole, "app:1"]).ok();
    world.rbuild(&["save", "-o", one, "--platform", "linux/arm64", "app:1"]).ok();

    let index = inspect(&[], &format!("oci-archive:{whole}:1"));
    checked(&index);
    // What knows no platforms gets the image for this machine, or the one that was asked for.
    for (archive, architecture) in [(whole, "amd64"), (one, "arm64")] {
        let config = inspect(&["--override-arch", "s390x"], &format!("docker-archive:{archive}"));
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["Env"][1], format!("FOR={architecture}"));
    }
    world.rbuild(&["rmi", "app:1"]).ok();
    world.rbuild(&["load", "-i", whole]).ok();
    assert_eq!(inspect(&[], &in_store(world, "app:1"))["manifests"].as_array().unwrap().len(), 2);
    let arm = world.rbuild(&["inspect", "--platform", "linux/arm64", "app:1"]).ok().stdout;
    assert!(arm.contains("FOR=arm64"), "{arm}");
    world.rbuild(&["load", "-i", one]).ok();
    world
        .rbuild(&["inspect", "--platform", "linux/amd64", "app:1"])
        .ended(3)
        .says(&["not for linux/amd64, but for linux/arm64"]);
}

fn one_foreign_platform_is_a_plain_image(world: &World) {
    let context = app(world);
    let run = world.build(&["--platform", "aarch64", "-t", "app:1", context.arg()]).ok();
    assert!(run.stderr.contains("[stage-1 2/3] RUN uname -m"), "{}", run.shown());
    let image = Layout::of_store(world, "app:1");
    assert!(image.manifest()["config"].is_object());
    assert_eq!(image.config()["architecture"], "arm64");
    assert_eq!(world.rbuild(&["run", "--network", "none", "app:1"]).ok().stdout, "aarch64\n");
}

/// The programs that rbuild starts, without the emulators.
fn a_missing_emulator_is_told(world: &World) {
    let bin = world.folder("bin");
    for tool in ["newuidmap", "newgidmap", "pasta", "ip"] {
        let path = PathBuf::from("/usr/bin").join(tool);
        if path.exists() {
            symlink(path, bin.join(tool)).unwrap();
        }
    }
    let dockerfile = "FROM busybox:platforms\nRUN echo never\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let mut build = world.build_command(&["--platform", BOTH, context.arg()]);
    let run = tool(build.env("PATH", &bin)).ended(3);
    run.says(&["no emulator for linux/arm64", "qemu-aarch64-static", "Dockerfile:2", "RUN echo"])
        .says(&["help: ", "qemu-user-static"]);
}

fn platforms_that_cannot_be(world: &World) {
    let context = app(world);
    let build = |platform: &str| world.build(&["--platform", platform, context.arg()]);
    build("linux/amd64,nonsense").ended(2).says(&["`nonsense`"]);
    build("linux/amd64,linux/s390x").ended(3).says(&["linux/s390x"]);
    // The same one three times is one.
    let run = build("linux/arm64,aarch64,linux/arm64/v8").ok();
    assert!(run.stderr.contains("[stage-1 2/3]"), "{}", run.shown());
}

fn one_finding_for_all_platforms(world: &World) {
    let dockerfile = "FROM busybox:platforms as x\nARG TARGETARCH\nRUN echo $TARGETARCH\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let run = world.build(&["--platform", BOTH, context.arg()]).ok();
    assert_eq!(run.stderr.matches("FromAsCasing").count(), 1, "{}", run.shown());
    let check = world.rbuild(&["build", "--check", "--platform", BOTH, context.arg()]).ended(1);
    assert_eq!(check.stdout.matches("FromAsCasing").count(), 1, "{}", check.shown());
    assert!(check.stdout.contains("1 warning\n"), "{}", check.shown());
    world.rbuild(&["build", "--call=outline", "--platform", BOTH, context.arg()]).ok();
}
