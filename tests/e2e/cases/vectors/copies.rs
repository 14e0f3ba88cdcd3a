//! Which files a `COPY` or `ADD` takes, and what they are called then.

use std::fs;
use std::os::unix::net::UnixListener;

use e2e::{Listing, World, for_each_user};

use super::{context, image, link};

for_each_user! {
    g45_a_pattern_without_a_match_copies_nothing,
    g52_a_folder_means_what_is_in_it,
    g53_a_pattern_of_folders_means_what_is_in_them,
    g54_a_pattern_in_the_middle_can_name_one_file,
    g55_a_pattern_with_one_match_can_be_renamed,
    g56_a_file_is_added_by_another_name,
    g65_a_file_can_take_the_place_of_a_folder,
    g66_a_socket_becomes_an_empty_file,
    g72_exclusions_are_of_one_depth,
    g73_exclusions_are_seen_from_each_source,
    g74_a_destination_is_made_for_nothing,
    g98_a_dockerfile_can_have_an_ignore_file_of_its_own,
}

fn g45_a_pattern_without_a_match_copies_nothing(world: &World) {
    let listing = image(world, "FROM scratch\nCOPY foo nomatch* /\n", &[("foo", "foo")]);
    assert_eq!(listing.paths(), ["foo"]);
}

fn g52_a_folder_means_what_is_in_it(world: &World) {
    let dockerfile = "FROM scratch\nCOPY sub/dir1/ d4\nCOPY sub/dir1/. d5\nCOPY sub/dir1 d6\n";
    let files = [("sub/dir1/dir2/foo", "foo"), ("sub/dir1/bar", "bar")];
    let listing = image(world, dockerfile, &files);
    for folder in ["d4", "d5", "d6"] {
        assert_eq!(listing.below(folder), ["bar", "dir2/", "dir2/foo"]);
    }
}

fn g53_a_pattern_of_folders_means_what_is_in_them(world: &World) {
    let listing = image(
        world,
        "FROM scratch\nCOPY sub/* /subdest/\n",
        &[("sub/dir1/dir2/foo", "foo"), ("sub/top", "top")],
    );
    assert_eq!(listing.below("subdest"), ["dir2/", "dir2/foo", "top"]);
    assert_eq!(listing.text("subdest/dir2/foo"), "foo");
}

fn g54_a_pattern_in_the_middle_can_name_one_file(world: &World) {
    let dockerfile = "FROM scratch\nCOPY sub/*/dir2/foo /s3/bar\n";
    let listing = image(world, dockerfile, &[("sub/dir1/dir2/foo", "foo")]);
    assert_eq!(listing.paths(), ["s3/", "s3/bar"]);
    assert_eq!(
        (listing.line("s3/bar"), &*listing.text("s3/bar")),
        ("-rw-r--r-- 0/0 3 s3/bar", "foo")
    );
}

fn g55_a_pattern_with_one_match_can_be_renamed(world: &World) {
    let files = [("foo.go", "package"), ("bar.go", "other")];
    let listing = image(world, "FROM scratch\nCOPY f*.go foo2.go\n", &files);
    assert_eq!((listing.paths(), &*listing.text("foo2.go")), (vec!["foo2.go"], "package"));
}

fn g56_a_file_is_added_by_another_name(world: &World) {
    let listing = image(world, "FROM scratch\nADD foo ./bar/baz\n", &[("foo", "foo")]);
    assert_eq!((listing.paths(), &*listing.text("bar/baz")), (vec!["bar/", "bar/baz"], "foo"));
}

/// Between two builds, also in the other direction.
fn g65_a_file_can_take_the_place_of_a_folder(world: &World) {
    let context = context(world, "FROM scratch\nCOPY . /d/\n", &[("foo/bar", "bar")]);
    context.write(".dockerignore", "Dockerfile\n.dockerignore\n");
    assert_eq!(Listing::of(world, &context, &[]).below("d"), ["foo/", "foo/bar"]);
    fs::remove_dir_all(context.path().join("foo")).unwrap();
    context.write("foo", "now a file");
    let listing = Listing::of(world, &context, &[]);
    assert_eq!((listing.below("d"), &*listing.text("d/foo")), (vec!["foo"], "now a file"));
    fs::remove_file(context.path().join("foo")).unwrap();
    context.write("foo/other", "other");
    assert_eq!(Listing::of(world, &context, &[]).below("d"), ["foo/", "foo/other"]);
}

fn g66_a_socket_becomes_an_empty_file(world: &World) {
    let context = context(world, "FROM scratch\nCOPY tree /d/\n", &[("tree/a", "a")]);
    let _listener = UnixListener::bind(context.path().join("tree/sock")).unwrap();
    let listing = Listing::of(world, &context, &[]);
    let line = listing.line("d/sock");
    assert!(line.starts_with("-rw") && line.ends_with(" 0/0 0 d/sock"), "{line}");
}

fn g72_exclusions_are_of_one_depth(world: &World) {
    let dockerfile = "FROM scratch\nCOPY --exclude=*/*.png --exclude=*/*.jpeg . /1\n";
    let files = [
        ("top.png", "1"),
        ("dir/a.png", "2"),
        ("dir/b.jpeg", "3"),
        ("dir/c.txt", "4"),
        ("dir/deep/d.png", "5"),
        (".dockerignore", "Dockerfile\n.dockerignore\n"),
    ];
    let context = context(world, dockerfile, &files);
    link(&context, "dir/link", "a.png");
    let listing = Listing::of(world, &context, &[]);
    let expected = ["dir/", "dir/c.txt", "dir/deep/", "dir/deep/d.png", "dir/link", "top.png"];
    assert_eq!(listing.below("1"), expected);
    assert_eq!(listing.line("1/dir/link"), "lrwxrwxrwx 0/0 0 1/dir/link -> a.png");
}

const SOUNDS: [(&str, &str); 5] = [
    ("dir1/a.mp3", "a"),
    ("dir1/b.txt", "b"),
    ("dir1/deep/c.mp4", "c"),
    ("dir2/d.mp3", "d"),
    ("dir2/e", "e"),
];

fn g73_exclusions_are_seen_from_each_source(world: &World) {
    let listing = image(world, "FROM scratch\nADD --exclude=*.mp* dir* /5\n", &SOUNDS);
    assert_eq!(listing.below("5"), ["b.txt", "deep/", "deep/c.mp4", "e"]);
}

fn g74_a_destination_is_made_for_nothing(world: &World) {
    let listing = image(world, "FROM scratch\nADD --exclude=* dir* /6\n", &SOUNDS);
    assert_eq!(listing.paths(), ["6/"]);
}

fn g98_a_dockerfile_can_have_an_ignore_file_of_its_own(world: &World) {
    let dockerfile = "FROM scratch\nCOPY . /d/\n";
    let files = [
        ("Dockerfile2", dockerfile),
        (".dockerignore", "foo\n"),
        ("Dockerfile2.dockerignore", "bar\n*Dockerfile*\n.dockerignore\n"),
        ("foo", "foo"),
        ("bar", "bar"),
    ];
    let context = context(world, dockerfile, &files);
    let other = context.path().join("Dockerfile2").display().to_string();
    assert_eq!(Listing::of(world, &context, &["-f", &other]).below("d"), ["foo"]);
    let usual = Listing::of(world, &context, &[]);
    assert!(usual.below("d").contains(&"bar") && !usual.below("d").contains(&"foo"));
}
