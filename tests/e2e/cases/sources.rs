//! What comes from elsewhere: files, repositories, contexts.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use e2e::layout::text;
use e2e::servers::Servers;
use e2e::system::tool;
use e2e::{Context, Layout, Run, World, for_each_user};

for_each_user! {
    a_file_is_fetched_again_only_if_it_changed,
    a_file_without_a_tag_is_asked_for_by_its_time,
    g76_an_archive_from_elsewhere_is_unpacked_if_asked,
    a_checksum_saves_the_request,
    repositories_are_added,
    a_commit_needs_no_server_twice,
    repositories_run_nothing,
    contexts_come_from_elsewhere,
    an_archive_on_standard_input_is_a_context,
    g99_named_contexts_take_the_place_of_images,
    further_targets_fail_the_build,
    what_a_build_can_see_is_listed,
}

/// The files of an image, with their modes.
fn folder(world: &World, run: Run, name: &str) -> PathBuf {
    run.ok();
    world.folder("out").join(name)
}

/// Builds a Dockerfile into a folder.
fn build(world: &World, name: &str, dockerfile: &str, flags: &[&str]) -> Run {
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let out = world.folder("out").join(name).display().to_string();
    world.build(&[&["-o", &out], flags, &[context.arg()]].concat())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn ran(run: &Run) -> Vec<String> {
    run.steps().ran_instructions().into_iter().map(str::to_owned).collect()
}

fn a_file_is_fetched_again_only_if_it_changed(world: &World) {
    let servers = Servers::start();
    let file = servers.file("x.txt");
    fs::write(&file, "one").unwrap();
    let old = UNIX_EPOCH + Duration::from_secs(1_445_412_480);
    fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    let dockerfile = format!(
        "FROM scratch\nADD http://{0}/x.txt /\nADD --chmod=0413 http://{0}/x.txt /mode\n",
        servers.http
    );
    let out = folder(world, build(world, "one", &dockerfile, &[]), "one");
    assert_eq!(text(&out, "x.txt"), "one");
    assert_eq!((mode(&out.join("x.txt")), mode(&out.join("mode"))), (0o600, 0o413), "G76, G81");
    assert_eq!(fs::metadata(out.join("x.txt")).unwrap().mtime(), 1_445_412_480);

    let again = build(world, "two", &dockerfile, &[]).ok();
    assert_eq!(ran(&again), [""; 0], "{}", again.shown());
    assert_eq!(servers.requests(), ["GET /x.txt 200", "GET /x.txt 304"]);

    fs::write(&file, "other").unwrap();
    let changed = build(world, "three", &dockerfile, &[]).ok();
    assert_eq!(ran(&changed).len(), 2, "{}", changed.shown());
    assert_eq!(text(&world.folder("out").join("three"), "x.txt"), "other");
}

/// nginx says `Last-Modified` here and nothing else.
fn a_file_without_a_tag_is_asked_for_by_its_time(world: &World) {
    let servers = Servers::start();
    let file = servers.file("untagged/x");
    fs::write(&file, "one").unwrap();
    let old = UNIX_EPOCH + Duration::from_secs(1_445_412_480);
    let set =
        |time| fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    set(old);
    let dockerfile = format!("FROM scratch\nADD http://{}/untagged/x /\n", servers.http);
    build(world, "one", &dockerfile, &[]).ok();
    let again = build(world, "two", &dockerfile, &[]).ok();
    assert_eq!(ran(&again), [""; 0], "{}", again.shown());
    assert_eq!(servers.requests(), ["GET /untagged/x 200", "GET /untagged/x 304"]);
    fs::write(&file, "two").unwrap();
    set(old + Duration::from_secs(60));
    build(world, "three", &dockerfile, &[]).ok();
    assert_eq!(text(&world.folder("out").join("three"), "x"), "two");
}

fn g76_an_archive_from_elsewhere_is_unpacked_if_asked(world: &World) {
    let servers = Servers::start();
    let folder = world.folder("archive");
    fs::write(folder.join("inside"), "inside").unwrap();
    let archive = servers.file("t.tar.gz");
    tool(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&folder).arg("inside")).ok();
    let dockerfile = format!(
        "FROM scratch\nADD http://{0}/t.tar.gz /kept/\nADD --unpack=true http://{0}/t.tar.gz /un/\n",
        servers.http
    );
    let out = self::folder(world, build(world, "out", &dockerfile, &[]), "out");
    assert_eq!(mode(&out.join("kept/t.tar.gz")), 0o600);
    assert_eq!(text(&out, "un/inside"), "inside");
}

fn a_checksum_saves_the_request(world: &World) {
    let servers = Servers::start();
    fs::write(servers.file("x"), "text").unwrap();
    let sum = tool(Command::new("sha256sum").arg(servers.file("x"))).ok().stdout;
    let sum = sum.split(' ').next().unwrap().to_owned();
    let line = |sum: &str| {
        format!("FROM scratch\nADD --checksum=sha256:{sum} http://{}/x /\n", servers.http)
    };
    build(world, "one", &line(&sum), &[]).ok();
    build(world, "two", &line(&sum), &[]).ok();
    assert_eq!(servers.requests().len(), 1);
    let wrong = build(world, "three", &line(&"0".repeat(64)), &[]).ended(1);
    wrong.says(&["has the digest sha256:", "expected sha256:0000"]);
}

fn repositories_are_added(world: &World) {
    let servers = Servers::start();
    let library = servers.repository("library");
    library.push("main", &[("lib.txt", "lib")]);
    let app = servers.repository("app");
    let files = [("app.txt", "one"), ("sub/run*", "#!/bin/sh\n"), ("odd [1]/x", "odd")];
    app.push("main", &files);
    app.submodule(&format!("http://{}/library.git", servers.http), "vendor");
    app.push("main", &[]);
    app.tag("v1");
    app.push("refs/pull/7/head", &[("app.txt", "seven")]);
    let first = app.push("main", &[("app.txt", "two")]);
    let (git, http) = (&servers.git, &servers.http);
    let dockerfile = format!(
        "FROM scratch\n\
         ADD git://{git}/app.git#v1 /tag/\n\
         ADD http://{http}/app.git#main /branch/\n\
         ADD http://{http}/app.git?branch=main&subdir=sub /sub/\n\
         ADD http://{http}/app.git?branch=main&subdir=odd%20%5B1%5D /odd/\n\
         ADD git://{git}/app.git#refs/pull/7/head:sub/ /pull/\n\
         ADD git://{git}/app.git?submodules=false&commit={first} /commit/\n\
         ADD --keep-git-dir http://{http}/app.git /kept/\n"
    );
    let out = folder(world, build(world, "one", &dockerfile, &[]), "one");
    assert_eq!(text(&out, "tag/app.txt"), "one");
    assert_eq!(text(&out, "tag/vendor/lib.txt"), "lib");
    assert!(!out.join("tag/.git").exists() && !out.join("tag/vendor/.git").exists());
    assert_eq!(text(&out, "branch/app.txt"), "two");
    assert_eq!((mode(&out.join("sub/run")), mode(&out.join("branch/app.txt"))), (0o755, 0o644));
    assert_eq!(text(&out, "odd/x"), "odd");
    assert!(out.join("pull/run").exists());
    assert_eq!(text(&out, "commit/app.txt"), "two");
    assert_eq!(fs::read_dir(out.join("commit/vendor")).unwrap().count(), 0);
    let head = fs::read_to_string(out.join("kept/.git/HEAD")).unwrap();
    assert_eq!(head.trim(), first);

    let again = build(world, "two", &dockerfile, &[]).ok();
    assert_eq!(ran(&again), [""; 0], "{}", again.shown());
    app.push("main", &[("app.txt", "three")]);
    let changed = build(world, "three", &dockerfile, &[]).ok();
    assert!(ran(&changed).iter().any(|step| step.contains("/branch/")), "{}", changed.shown());
    assert_eq!(text(&world.folder("out").join("three"), "branch/app.txt"), "three");
}

fn a_commit_needs_no_server_twice(world: &World) {
    let mut servers = Servers::start();
    let app = servers.repository("app");
    let commit = app.push("main", &[("app.txt", "one")]);
    app.push("main", &[("app.txt", "two")]);
    let dockerfile = format!("FROM scratch\nADD git://{}/app.git#{commit} /\n", servers.git);
    let out = folder(world, build(world, "one", &dockerfile, &[]), "one");
    assert_eq!(text(&out, "app.txt"), "one");
    servers.stop();
    build(world, "two", &dockerfile, &[]).ok();
    let gone = format!("FROM scratch\nADD git://{}/app.git#main /\n", servers.git);
    build(world, "three", &gone, &[]).ended(3).says(&["git ls-remote failed"]);
}

/// A repository names programs in every place that it can.
fn repositories_run_nothing(world: &World) {
    let servers = Servers::start();
    let mark = world.folder("marks").join("mark");
    let app = servers.repository("app");
    let command = format!("ext::sh -c touch% {}", mark.display());
    let module = format!("[submodule \"m\"]\n\tpath = m\n\turl = {command}\n");
    app.push("main", &[(".gitmodules", &module), (".gitattributes", "* filter=evil\n")]);
    let line = format!("FROM scratch\nADD git://{}/app.git /\n", servers.git);
    // Without an entry in the tree, the submodule is only a text.
    build(world, "one", &line, &[]).ok();
    app.link("m", &"1".repeat(40));
    app.push("main", &[]);
    build(world, "four", &line, &[]).ended(3).says(&["transport 'ext' not allowed"]);
    let direct = format!("FROM scratch\nADD {} /\n", command.replace(' ', "%20"));
    build(world, "two", &direct, &[]).ended(1);
    world.build(&[&command]).ended(1);
    let option = format!("FROM scratch\nADD git://{}/app.git#--upload-pack=touch /\n", servers.git);
    build(world, "three", &option, &[]).ended(1).says(&["git allows no ref of that name"]);
    assert!(!mark.exists());
}

fn contexts_come_from_elsewhere(world: &World) {
    let servers = Servers::start();
    let app = servers.repository("app");
    let dockerfile = "FROM scratch\nCOPY . /all/\n";
    app.push("main", &[("Dockerfile", dockerfile), ("sub/Dockerfile", dockerfile), ("f", "f")]);
    app.push("main", &[(".dockerignore", "f\n")]);
    let out = |name: &str| world.folder("out").join(name);
    let to = |name: &str| out(name).display().to_string();
    let repository = format!("http://{}/app.git", servers.http);
    world.build(&["-o", &to("git"), &repository]).ok();
    assert_eq!(text(&out("git"), "all/f"), "f", "ignore files count for folders only");
    world.build(&["-o", &to("sub"), &format!("{repository}#main:sub")]).ok();
    assert!(out("sub").join("all/Dockerfile").exists() && !out("sub").join("all/f").exists());

    let local = Context::new(world, "local", &[("File", "FROM scratch\nCOPY f /local\n")]);
    let file = local.path().join("File").display().to_string();
    world.build(&["-o", &to("local"), "-f", &file, &repository]).ok();
    assert_eq!(text(&out("local"), "local"), "f");

    let archive = servers.file("context.tar.xz");
    let files = Context::new(world, "files", &[("Dockerfile", dockerfile), ("x", "x")]);
    tool(Command::new("tar").arg("-cJf").arg(archive).arg("-C").arg(files.path()).arg(".")).ok();
    world.build(&["-o", &to("http"), &format!("http://{}/context.tar.xz", servers.http)]).ok();
    assert_eq!(text(&out("http"), "all/x"), "x");

    fs::write(servers.file("Plain"), "FROM scratch\nCOPY <<EOF /plain\nplain\nEOF\n").unwrap();
    world.build(&["-o", &to("plain"), &format!("http://{}/Plain", servers.http)]).ok();
    assert_eq!(text(&out("plain"), "plain"), "plain\n");
    world.build(&[&format!("http://{}/none", servers.http)]).ended(1).says(&["404"]);
}

fn an_archive_on_standard_input_is_a_context(world: &World) {
    let files =
        [("Dockerfile", "FROM scratch\nCOPY . /\n"), ("d/Other", "FROM scratch\nCOPY d /\n")];
    let context = Context::new(world, "files", &files);
    for (flag, name) in
        [("", "plain"), ("-z", "gzip"), ("-j", "bzip2"), ("-J", "xz"), ("--zstd", "zstd")]
    {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(context.path()).args(Some(flag).filter(|flag| !flag.is_empty()));
        let archive = tar.args(["-cf", "-", "."]).output().unwrap().stdout;
        let to = world.folder("out").join(name);
        let mut command = world.build_command(&["-o", to.to_str().unwrap(), "-"]);
        Run::of(&mut command, &archive).ok();
        assert!(to.join("d/Other").exists(), "{name}");
        let mut command = world.build_command(&["-q", "-f", "d/Other", "-"]);
        Run::of(&mut command, &archive).ok();
    }
    let store = world.store().join("tmp");
    assert_eq!(fs::read_dir(store).unwrap().count(), 0, "temporary folders are gone");
}

fn g99_named_contexts_take_the_place_of_images(world: &World) {
    let dockerfile = "FROM busybox\nRUN cat /mark >/who; echo $EXTRA >>/who\n";
    let base = Context::new(
        world,
        "base",
        &[("Dockerfile", "FROM alpine:3.19\nENV EXTRA=extra\nRUN echo mark >/mark\n")],
    );
    world.build(&["-t", "other", base.arg()]).ok();
    let flag = "busybox=docker-image://other";
    let out = folder(world, build(world, "image", dockerfile, &["--build-context", flag]), "image");
    assert_eq!(text(&out, "who"), "mark\nextra\n");

    let layout = Layout::of_store(world, "other:latest");
    let flag = format!("busybox={}", layout.name().replace("oci:", "oci-layout://"));
    let out = folder(world, build(world, "oci", dockerfile, &["--build-context", &flag]), "oci");
    assert_eq!(text(&out, "who"), "mark\nextra\n");

    let files =
        Context::new(world, "named", &[(".dockerignore", "no\n"), ("yes", "y"), ("no", "n")]);
    let flag = format!("busybox={}", files.arg());
    let copies = "FROM busybox\nCOPY --from=busybox yes /copied\n";
    let out = folder(world, build(world, "dir", copies, &["--build-context", &flag]), "dir");
    assert_eq!((text(&out, "copied"), out.join("no").exists()), ("y".to_owned(), false));
    let owner = fs::metadata(out.join("yes")).unwrap().uid();
    assert_eq!(owner, world.user().uid, "a folder's owners do not count");
    build(world, "none", copies, &["--build-context", "busybox=target:x"]).ended(2);
}

fn further_targets_fail_the_build(world: &World) {
    let dockerfile = "FROM busybox AS base\nFROM base AS test\nRUN echo tested\n\
        FROM base AS broken\nRUN exit 3\nFROM base\nRUN echo >/made\n";
    let run = build(world, "one", dockerfile, &["--also", "test"]);
    assert!(ran(&run).contains(&"RUN echo tested".to_owned()), "{}", run.shown());
    let out = folder(world, run, "one");
    assert!(out.join("made").exists());
    let run = build(world, "two", dockerfile, &["--also", "test,broken"]);
    run.ended(1).says(&["exited with code 3"]);
    assert!(!world.folder("out").join("two").exists());
}

fn what_a_build_can_see_is_listed(world: &World) {
    let files = [
        ("Dockerfile", "FROM scratch\n"),
        (".dockerignore", "*.log\n!keep.log\n"),
        ("a.log", "1"),
        ("keep.log", "12"),
        ("d/x", "123"),
    ];
    let context = Context::new(world, "seen", &files);
    let list = world.rbuild(&["context", "ls", context.arg()]).ok().stdout;
    let lines: Vec<Vec<&str>> =
        list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(lines.contains(&vec!["2", "keep.log"]) && lines.contains(&vec!["3", "d/x"]), "{list}");
    assert!(!list.contains("a.log"), "{list}");
    let why = |path: &str| world.rbuild(&["context", "ls", "--why", path, context.arg()]);
    assert!(why("a.log").ok().stdout.contains(".dockerignore:1 `*.log`"));
    assert!(why("keep.log").ok().stdout.contains("part of the context"));
    why("none").ended(1);
    let absolute = format!("{}/a.log", context.arg());
    assert!(why(&absolute).ok().stdout.contains("`a.log` is left out by"));
}
