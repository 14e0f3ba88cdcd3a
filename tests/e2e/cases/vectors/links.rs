//! Symbolic links in sources and in destinations.

use e2e::{Listing, World, for_each_user};

use super::{context, image, link};

for_each_user! {
    g46_a_link_that_is_named_is_followed,
    g47_links_that_a_pattern_finds_are_followed,
    g48_a_link_inside_a_folder_stays_one,
    g49_a_link_that_is_named_inside_a_folder_is_followed,
    g50_a_source_can_lead_through_a_link,
    g51_a_source_in_a_stage_can_lead_through_a_link,
    g58_a_destination_can_lead_through_a_link,
}

fn g46_a_link_that_is_named_is_followed(world: &World) {
    let context = context(world, "FROM scratch\nCOPY foo /\n", &[("bar", "bar-content")]);
    link(&context, "foo", "bar");
    let listing = Listing::of(world, &context, &[]);
    assert_eq!((listing.paths(), &*listing.text("foo")), (vec!["foo"], "bar-content"));
    assert_eq!(listing.line("foo"), "-rw-r--r-- 0/0 11 foo");
}

fn g47_links_that_a_pattern_finds_are_followed(world: &World) {
    let dockerfile = "FROM scratch\nCOPY sub/l* all/\n";
    let context = context(world, dockerfile, &[("zero", "0"), ("sub/one", "1")]);
    link(&context, "sub/l0", "../zero");
    link(&context, "sub/l1", "../next");
    link(&context, "next", "sub/one");
    let listing = Listing::of(world, &context, &[]);
    assert_eq!(listing.below("all"), ["l0", "l1"]);
    assert_eq!((&*listing.text("all/l0"), &*listing.text("all/l1")), ("0", "1"));
    assert!(listing.line("all/l1").starts_with("-rw-r--r--"));
}

fn g48_a_link_inside_a_folder_stays_one(world: &World) {
    let context = context(world, "FROM scratch\nCOPY foo /\n", &[("bar", "bar"), ("foo/x", "x")]);
    link(&context, "foo/sub", "../bar");
    let listing = Listing::of(world, &context, &[]);
    assert_eq!(listing.paths(), ["sub", "x"]);
    assert_eq!(listing.line("sub"), "lrwxrwxrwx 0/0 0 sub -> ../bar");
}

fn g49_a_link_that_is_named_inside_a_folder_is_followed(world: &World) {
    let context =
        context(world, "FROM scratch\nCOPY foo/sub bar\n", &[("bar", "bar"), ("foo/x", "x")]);
    link(&context, "foo/sub", "../bar");
    let listing = Listing::of(world, &context, &[]);
    assert_eq!((listing.line("bar"), &*listing.text("bar")), ("-rw-r--r-- 0/0 3 bar", "bar"));
    assert_eq!(listing.paths(), ["bar"]);
}

fn g50_a_source_can_lead_through_a_link(world: &World) {
    let context = context(world, "FROM scratch\nCOPY link/foo .\n", &[("sub/foo", "one")]);
    link(&context, "link", "sub");
    assert_eq!(Listing::of(world, &context, &[]).text("foo"), "one");
    // What is behind the link decides over the cache.
    context.write("sub/foo", "two");
    assert_eq!(Listing::of(world, &context, &[]).text("foo"), "two");
}

fn g51_a_source_in_a_stage_can_lead_through_a_link(world: &World) {
    let dockerfile = "FROM busybox AS b\n\
        RUN mkdir -p /out/sub && echo made >/out/sub/foo && ln -s out/sub /sub2\n\
        FROM scratch\n\
        COPY --from=b /sub2/foo bar\n";
    let listing = image(world, dockerfile, &[]);
    assert_eq!((listing.paths(), &*listing.text("bar")), (vec!["bar"], "made\n"));
}

/// The link comes with an earlier `ADD`, and the image never has a folder that it could leave to.
fn g58_a_destination_can_lead_through_a_link(world: &World) {
    let dockerfile = "FROM scratch\nADD links /\nCOPY foo /symlink/\nCOPY foo /far/\n";
    let context = context(world, dockerfile, &[("foo", "foo"), ("links/tmp/t/x", "x")]);
    link(&context, "links/symlink", "../tmp/t");
    link(&context, "links/far", "../../../../../../tmp/u");
    let listing = Listing::of(world, &context, &[]);
    assert_eq!(listing.line("tmp/t/foo"), "-rw-r--r-- 0/0 3 tmp/t/foo");
    assert_eq!(listing.text("tmp/u/foo"), "foo");
    assert_eq!(listing.line("symlink"), "lrwxrwxrwx 0/0 0 symlink -> ../tmp/t");
}
