//! Owners and modes of what is copied.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use e2e::{Context, Listing, World, for_each_user};

use super::{context, image};

for_each_user! {
    g59_a_new_destination_is_roots,
    g60_a_destination_that_is_there_keeps_its_owner,
    g61_an_owner_that_is_given_goes_to_what_is_new,
    g62_a_mode_goes_to_new_parents_too,
    g63_a_mode_can_be_nothing_but_must_be_octal,
    g64_a_capital_x_is_for_what_can_be_executed,
}

/// A stage whose folder has owners of its own, and a base with a folder of another owner.
const SOURCE: &str = "FROM busybox AS src\n\
    RUN mkdir -p /dir/sub && touch /dir/top /dir/sub/file && \
        chown 100:200 /dir && chown 101:201 /dir/sub && chown 102:202 /dir/top /dir/sub/file && \
        chmod 711 /dir && chmod 750 /dir/sub && chmod 640 /dir/sub/file\n\
    FROM busybox AS there\n\
    RUN mkdir -m 701 /dir && chown 500:600 /dir\n";

fn copied(world: &World, rest: &str) -> Listing {
    image(world, &format!("{SOURCE}{rest}"), &[])
}

fn g59_a_new_destination_is_roots(world: &World) {
    let listing = copied(world, "FROM scratch\nCOPY --from=src /dir /dir\n");
    assert_eq!(listing.line("dir"), "drwxr-xr-x 0/0 0 dir/");
    assert_eq!(listing.line("dir/sub"), "drwxr-x--- 101/201 0 dir/sub/");
    assert_eq!(listing.line("dir/sub/file"), "-rw-r----- 102/202 0 dir/sub/file");
    assert_eq!(listing.line("dir/top"), "-rw-r--r-- 102/202 0 dir/top");
}

fn g60_a_destination_that_is_there_keeps_its_owner(world: &World) {
    let listing = copied(world, "FROM there\nCOPY --from=src /dir /dir\n");
    assert_eq!(listing.line("dir"), "drwx-----x 500/600 0 dir/");
    assert_eq!(listing.line("dir/sub"), "drwxr-x--- 101/201 0 dir/sub/");
    assert_eq!(listing.line("dir/sub/file"), "-rw-r----- 102/202 0 dir/sub/file");
}

fn g61_an_owner_that_is_given_goes_to_what_is_new(world: &World) {
    let rest = "FROM there\n\
        COPY --from=src --chown=300:400 /dir /dir\n\
        COPY --from=src --chown=300:400 /dir /new\n";
    let listing = copied(world, rest);
    assert_eq!(listing.line("dir"), "drwx-----x 500/600 0 dir/");
    assert_eq!(listing.line("new"), "drwxr-xr-x 300/400 0 new/");
    for folder in ["dir", "new"] {
        let sub = format!("drwxr-x--- 300/400 0 {folder}/sub/");
        assert_eq!(listing.line(&format!("{folder}/sub")), sub);
        let file = format!("-rw-r----- 300/400 0 {folder}/sub/file");
        assert_eq!(listing.line(&format!("{folder}/sub/file")), file);
    }
}

fn g62_a_mode_goes_to_new_parents_too(world: &World) {
    let listing =
        image(world, "FROM scratch\nCOPY --chmod=777 foo /parent/foo\n", &[("foo", "foo")]);
    assert_eq!(listing.line("parent"), "drwxrwxrwx 0/0 0 parent/");
    assert_eq!(listing.line("parent/foo"), "-rwxrwxrwx 0/0 3 parent/foo");
}

fn g63_a_mode_can_be_nothing_but_must_be_octal(world: &World) {
    let listing = image(world, "FROM scratch\nCOPY --chmod=0 foo /f\n", &[("foo", "foo")]);
    assert_eq!(listing.line("f"), "---------- 0/0 3 f");
    let broken = context(world, "FROM scratch\nCOPY --chmod=64a foo /f\n", &[]);
    world.build(&[broken.arg()]).ended(1).says(&["`64a`", "7777"]);
}

fn g64_a_capital_x_is_for_what_can_be_executed(world: &World) {
    let dockerfile = "FROM scratch\nCOPY --chmod=a+X file /\nCOPY --chmod=a+X tree /tree\n";
    let context = context(world, dockerfile, &[("file", "file"), ("tree/dir/x", "x")]);
    set_mode(&context, "file", 0o666);
    set_mode(&context, "tree/dir/x", 0o744);
    // Last: whoever does not own it could not enter it any more.
    set_mode(&context, "tree/dir", 0o724);
    let listing = Listing::of(world, &context, &[]);
    assert_eq!(listing.line("file"), "-rw-rw-rw- 0/0 4 file");
    assert_eq!(listing.line("tree/dir"), "drwx-wxr-x 0/0 0 tree/dir/");
    assert_eq!(listing.line("tree/dir/x"), "-rwxr-xr-x 0/0 1 tree/dir/x");
}

fn set_mode(context: &Context, path: &str, mode: u32) {
    fs::set_permissions(context.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
}
