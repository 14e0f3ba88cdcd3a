//! Archives of the build context that `ADD` unpacks.

use std::fs;
use std::process::Command;

use e2e::system::tool;
use e2e::{Context, Listing, World, for_each_user};

use super::{context, link};

for_each_user! {
    g75_archives_are_unpacked_by_add_alone,
    g77_a_pattern_of_archives_unpacks_each,
    g78_an_owner_that_is_given_goes_to_members,
    g79_parents_that_an_archive_does_not_name_are_made,
    g80_an_archive_writes_through_links_of_the_image_only,
}

/// Packs `members` of the folder `from`, as root's, exactly in this order.
fn pack(context: &Context, name: &str, from: &str, members: &[&str]) {
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--no-recursion", "-caf"]).arg(context.path().join(name));
    tar.arg("-C").arg(context.path().join(from)).args(members);
    tool(&mut tar).ok();
}

fn g75_archives_are_unpacked_by_add_alone(world: &World) {
    let dockerfile = "FROM scratch\n\
        COPY t.tar.gz /copied/\n\
        ADD t.tar.gz /added/\n\
        ADD --unpack=false t.tar.gz /kept/\n";
    let context = context(world, dockerfile, &[("in/x", "inside")]);
    pack(&context, "t.tar.gz", "in", &["x"]);
    let listing = Listing::of(world, &context, &[]);
    let expected = ["added/", "added/x", "copied/", "copied/t.tar.gz", "kept/", "kept/t.tar.gz"];
    assert_eq!(listing.paths(), expected);
    assert_eq!(listing.text("added/x"), "inside");
}

fn g77_a_pattern_of_archives_unpacks_each(world: &World) {
    let context =
        context(world, "FROM scratch\nADD *.tar /dest\n", &[("in/a", "a"), ("in/b", "b")]);
    pack(&context, "one.tar", "in", &["a"]);
    pack(&context, "two.tar", "in", &["b"]);
    let listing = Listing::of(world, &context, &[]);
    assert_eq!(listing.paths(), ["dest/", "dest/a", "dest/b"]);
}

fn g78_an_owner_that_is_given_goes_to_members(world: &World) {
    let dockerfile = "FROM scratch\nADD --chown=100:200 t.tar /out/\n";
    let context = context(world, dockerfile, &[("in/dir/file", "file")]);
    pack(&context, "t.tar", "in", &["dir", "dir/file"]);
    let listing = Listing::of(world, &context, &[]);
    assert_eq!(listing.line("out"), "drwxr-xr-x 100/200 0 out/");
    assert_eq!(listing.line("out/dir"), "drwxr-xr-x 100/200 0 out/dir/");
    assert_eq!(listing.line("out/dir/file"), "-rw-r--r-- 100/200 4 out/dir/file");
}

fn g79_parents_that_an_archive_does_not_name_are_made(world: &World) {
    let context = context(world, "FROM scratch\nADD t.tar /\n", &[("in/etc/dnf/x", "x")]);
    pack(&context, "t.tar", "in", &["etc/dnf/x"]);
    let listing = Listing::of(world, &context, &[]);
    assert_eq!(listing.paths(), ["etc/", "etc/dnf/", "etc/dnf/x"]);
    assert_eq!(listing.line("etc"), "drwxr-xr-x 0/0 0 etc/");
    assert_eq!(listing.line("etc/dnf"), "drwxr-xr-x 0/0 0 etc/dnf/");
    assert_eq!(listing.text("etc/dnf/x"), "x");
}

/// The link leads to a folder that this machine has too.
fn g80_an_archive_writes_through_links_of_the_image_only(world: &World) {
    let outside = world.folder("outside").display().to_string();
    let dockerfile = "FROM scratch\nADD links /\nADD t.tar /\n";
    let files = [("in/var/run/x", "x"), ("in/away/y", "y")];
    let context = context(world, dockerfile, &files);
    link(&context, "links/var/run", "/run");
    link(&context, "links/away", &outside);
    fs::hard_link(context.path().join("in/var/run/x"), context.path().join("in/var/run/h"))
        .unwrap();
    pack(&context, "t.tar", "in", &["var/run/x", "var/run/h", "away/y"]);
    let listing = Listing::of(world, &context, &[]);
    assert_eq!(listing.text("run/h"), "x");
    let hard = ["h", "x"].map(|name| listing.line(&format!("run/{name}")));
    assert!(hard[1].ends_with("run/x link to run/h"), "one file by two names: {hard:?}");
    assert_eq!(listing.line("var/run"), "lrwxrwxrwx 0/0 0 var/run -> /run");
    assert_eq!(listing.text(&format!("{}/y", outside.trim_start_matches('/'))), "y");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing went outside");
}
