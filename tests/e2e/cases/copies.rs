//! `COPY --link` and `COPY --parents`, from the Dockerfile to the image.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::layout::text;
use e2e::{Context, Layout, Run, World, for_each_user};
use serde_json::Value;

for_each_user! {
    a_linked_copy_outlives_its_base,
    a_linked_copy_is_the_same_layer_on_every_base,
    a_linked_copy_hides_what_is_of_another_kind,
    g57_a_linked_copy_can_go_to_the_working_directory,
    g67_parents_are_kept,
    g68_parents_are_kept_from_the_pivot_on,
    g69_the_first_pivot_counts,
    g70_wildcards_may_stand_before_the_pivot,
    g71_what_is_named_has_to_be_there_and_what_is_matched_has_not,
}

/// The digests of an image's layers as skopeo sees them, bottom first.
fn layers(world: &World) -> Vec<Value> {
    let manifest = Layout::of_store(world, "app:latest").manifest();
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].clone()).collect()
}

fn a_linked_copy_outlives_its_base(world: &World) {
    let dockerfile = "FROM busybox\n\
        ARG VERSION\n\
        RUN echo $VERSION >/version\n\
        COPY --link a /app/a\n\
        COPY --link --chown=5:6 b /app/\n\
        RUN cat /app/a /version >/both\n\
        COPY --link a /last\n";
    let files = [("Dockerfile", dockerfile), ("a", "a\n"), ("b", "b\n")];
    let context = Context::new(world, "context", &files);
    let build = |version: &str| {
        let argument = format!("VERSION={version}");
        world.build(&["-t", "app", "--build-arg", &argument, context.arg()]).ok()
    };
    let first = build("1");
    assert_eq!(first.steps().ran.len(), 5, "{}", first.shown());
    let before = layers(world);

    let second = build("2");
    let steps = second.steps();
    let ran = ["RUN echo 2 >/version", "RUN cat /app/a /version >/both"];
    assert_eq!(steps.ran_instructions(), ran, "{}", second.shown());
    let cached = [
        "[3/6] COPY --link a /app/a",
        "[4/6] COPY --link --chown=5:6 b /app/",
        "[6/6] COPY --link a /last",
    ];
    assert_eq!(steps.cached, cached, "{}", second.shown());
    let after = layers(world);
    assert_ne!(before[1], after[1], "the changed step");
    assert_eq!([&before[2..4], &before[5..]], [&after[2..4], &after[5..]], "the linked copies");
    let files = Layout::of_store(world, "app:latest").unpack(world);
    assert_eq!(text(&files, "both"), "a\n2\n");

    let third = build("2");
    assert_eq!((third.steps().ran.len(), third.steps().cached.len()), (0, 5), "{}", third.shown());
}

fn a_linked_copy_is_the_same_layer_on_every_base(world: &World) {
    let context = Context::new(world, "context", &[("a", "a\n")]);
    let build = |base: &str| {
        context.write("Dockerfile", &format!("FROM {base}\nCOPY --link a /etc/a\n"));
        let run = world.build(&["-t", "app", context.arg()]).ok();
        (run.steps(), layers(world))
    };
    let (steps, on_busybox) = build("busybox");
    assert_eq!(steps.ran, ["[2/2] COPY --link a /etc/a"]);
    let (steps, on_nothing) = build("scratch");
    assert_eq!((steps.ran.len(), steps.cached), (0, vec!["[1/1] COPY --link a /etc/a".to_owned()]));
    assert_eq!(on_busybox.last(), on_nothing.last());
    assert_eq!(on_nothing.len(), 1);
}

/// The step that sees the stack, the archive and the folder show the same.
fn a_linked_copy_hides_what_is_of_another_kind(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN mkdir -p /dir/sub /real && echo x >/file && echo x >/dir/below && ln -s real /link\n\
        COPY --link a /dir\n\
        COPY --link a /file/deep/\n\
        COPY --link a /link/a\n\
        RUN find /dir /file /link /real | sort >/seen\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile), ("a", "a\n")]);
    let out = world.folder("out").join("files");
    let into = out.to_str().unwrap();
    world.build(&["-t", "app", "-o", into, "--load", context.arg()]).ok();
    let seen = "/dir\n/file\n/file/deep\n/file/deep/a\n/link\n/link/a\n/real\n";
    for files in [Layout::of_store(world, "app:latest").unpack(world), out] {
        assert_eq!(text(&files, "seen"), seen);
        for path in ["dir", "file/deep/a", "link/a"] {
            assert_eq!(text(&files, path), "a\n", "{path}");
        }
        assert!(fs::symlink_metadata(files.join("link")).unwrap().is_dir());
        assert_eq!(fs::read_dir(files.join("real")).unwrap().count(), 0);
    }
}

fn g57_a_linked_copy_can_go_to_the_working_directory(world: &World) {
    let dockerfile = "FROM busybox\n\
        WORKDIR /work\n\
        COPY --link testfile \"\"\n\
        COPY --link other $NOTHING\n\
        RUN cat testfile other >both\n";
    let files = [("Dockerfile", dockerfile), ("testfile", "one\n"), ("other", "two\n")];
    let context = Context::new(world, "context", &files);
    world.build(&["-t", "app", context.arg()]).ok();
    let files = Layout::of_store(world, "app:latest").unpack(world);
    assert_eq!(text(&files, "work/both"), "one\ntwo\n");
}

/// Builds on the files of the vectors.
fn with_parents(world: &World, instructions: &str) -> (Run, PathBuf) {
    let dockerfile = format!("FROM scratch\n{instructions}\n");
    let files = [
        ("foo1/foo2/bar", "bar"),
        ("foo1/foo2/baz", "baz"),
        ("foo1/other", "other"),
        ("test/a/b/c/d/e", "e"),
        ("test/a/b/c/x", "x"),
        ("test/a/b2/c/y/e", "e2"),
        ("Dockerfile", &dockerfile),
    ];
    let context = Context::new(world, "context", &files);
    let out = world.folder("out").join("files");
    let _ = fs::remove_dir_all(&out);
    (world.build(&["-o", out.to_str().unwrap(), context.arg()]), out)
}

/// The files of a build, with their paths.
fn files_of(world: &World, instructions: &str) -> Vec<String> {
    let (run, out) = with_parents(world, instructions);
    run.ok();
    let mut found = Vec::new();
    list(&out, &out, &mut found);
    found.sort();
    found
}

fn list(root: &Path, at: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => list(root, &path, found),
            false => found.push(path.strip_prefix(root).unwrap().display().to_string()),
        }
    }
}

fn g67_parents_are_kept(world: &World) {
    let files = files_of(world, "WORKDIR /test\nCOPY --parents foo1/foo2/ba* .");
    assert_eq!(files, ["test/foo1/foo2/bar", "test/foo1/foo2/baz"]);
}

fn g68_parents_are_kept_from_the_pivot_on(world: &World) {
    let files = files_of(world, "COPY --parents /test/a/b/./c/d /out/");
    assert_eq!(files, ["out/c/d/e"]);
}

fn g69_the_first_pivot_counts(world: &World) {
    let files = files_of(world, "COPY --parents /test/a/./b/./c /out/");
    assert_eq!(files, ["out/b/c/d/e", "out/b/c/x"]);
}

fn g70_wildcards_may_stand_before_the_pivot(world: &World) {
    let files = files_of(world, "COPY --parents /test/a/b*/./c/**/e /out/");
    assert_eq!(files, ["out/c/d/e", "out/c/y/e"]);
}

fn g71_what_is_named_has_to_be_there_and_what_is_matched_has_not(world: &World) {
    let (run, _) = with_parents(world, "COPY --parents /test/nonexistent /out/");
    run.ended(1).says(&["`test/nonexistent` not found", "Dockerfile:2"]);
    assert_eq!(files_of(world, "COPY --parents /test/a/b9*/c /out/"), [""; 0]);
}
