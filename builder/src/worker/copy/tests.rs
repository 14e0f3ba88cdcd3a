//! `COPY` and `ADD` as Docker does them: each row was compared with what it makes.

use std::path::Path;

use rbuild_cache::layer::Kind;
use rbuild_cache::tree::{Owners, Tree};

use super::*;

mod archives;
mod changes;
mod parents;
pub(crate) mod support;

use support::{Disk, Memory, add, copy_op, run};

const BASE: &[&str] = &[
    "0700 11:12 dir/",
    "0701 11:12 dir/nested/",
    "11:12 dir/y=was",
    "dir/ylink->/real/target",
    "dir/nlink->../real",
    "11:12 file=file",
    "linkdir->real",
    "linkfile->real/target",
    "dangling->nowhere/deep",
    "danglefile->/real/newfile",
    "11:12 real/",
    "real/target=t",
    "etc/passwd=root:x:0:0::/:\napp:x:500:600::/:\n",
    "etc/group=root:x:0:\nstaff:x:77:\n",
];

const CONTEXT: &[&str] = &[
    "f=f",
    "0600 g=g",
    "0700 s1/",
    "s1/y=y",
    "s1/ylink=yl",
    "0750 s1/nested/",
    "0640 s1/nested/z=z",
    "s2/y/q=q",
    "s3/file/",
    "s5/nlink/five=5",
    "s6/nested->foo",
    "s8/y->foo",
    "w/a.go=a",
    "w/b.go=b",
    "w/dd/in=1",
    "w/de/in2=2",
    "link->f",
    "wl->w",
];

/// What the layer holds after an instruction, or the error.
type Row = (&'static str, &'static str, &'static [&'static str]);

fn check(rows: &[Row]) {
    if support::skips() {
        return;
    }
    let (base, context) = (Disk::new(BASE), Disk::new(CONTEXT));
    for (case, instruction, expected) in rows {
        let layer = run(Some(&base), &context, instruction);
        assert_eq!(layer, *expected, "{case}: {instruction}");
    }
}

#[test]
fn files_go_where_the_destination_says() {
    check(&[
        ("a new name", "COPY f /new", &["f 0644 0:0 new=f"]),
        (
            "missing parents",
            "COPY f /a/b/c",
            &["d 0755 0:0 a", "d 0755 0:0 a/b", "f 0644 0:0 a/b/c=f"],
        ),
        ("a slash makes a directory", "COPY f /new/", &["d 0755 0:0 new", "f 0644 0:0 new/f=f"]),
        ("so does a dot", "COPY f /new/.", &["d 0755 0:0 new", "f 0644 0:0 new/f=f"]),
        ("dots are resolved first", "COPY f /linkdir/../z", &["f 0644 0:0 z=f"]),
        (
            "into a directory that is there",
            "COPY f /dir",
            &["d 0700 11:12 dir", "f 0644 0:0 dir/f=f"],
        ),
        ("over a file", "COPY f /file", &["f 0644 0:0 file=f"]),
        (
            "G58 through a link to a directory",
            "COPY f /linkdir/",
            &["d 0755 11:12 real", "f 0644 0:0 real/f=f"],
        ),
        (
            "through a link to a file",
            "COPY f /linkfile",
            &["d 0755 11:12 real", "f 0644 0:0 real/target=f"],
        ),
        (
            "through a link to nothing",
            "COPY f /dangling",
            &["d 0755 0:0 nowhere", "f 0644 0:0 nowhere/deep=f"],
        ),
        (
            "into a link to nothing",
            "COPY f /dangling/",
            &["d 0755 0:0 nowhere", "d 0755 0:0 nowhere/deep", "f 0644 0:0 nowhere/deep/f=f"],
        ),
        (
            "through an absolute link",
            "COPY f /danglefile",
            &["d 0755 11:12 real", "f 0644 0:0 real/newfile=f"],
        ),
        (
            "a link in the directory is replaced",
            "COPY s1/ylink /dir/",
            &["d 0700 11:12 dir", "f 0644 0:0 dir/ylink=yl"],
        ),
        (
            "a link that is named is followed",
            "COPY s1/ylink /dir/ylink",
            &["d 0755 11:12 real", "f 0644 0:0 real/target=yl"],
        ),
        (
            "G46 the name is the link's own",
            "COPY link /n/",
            &["d 0755 0:0 n", "f 0644 0:0 n/link=f"],
        ),
        ("G55 one match", "COPY w/a*.go /dst", &["f 0644 0:0 dst=a"]),
        (
            "several",
            "COPY w/*.go f /m/",
            &["d 0755 0:0 m", "f 0644 0:0 m/a.go=a", "f 0644 0:0 m/b.go=b", "f 0644 0:0 m/f=f"],
        ),
        (
            "several into a directory",
            "COPY f w/a.go /dir",
            &["d 0700 11:12 dir", "f 0644 0:0 dir/a.go=a", "f 0644 0:0 dir/f=f"],
        ),
        ("several to one", "COPY f w/a.go /nx", &["f 0644 0:0 nx=a"]),
        ("several matches to one", "COPY w/*.go /nx", &["f 0644 0:0 nx=b"]),
        ("G45 nothing matches", "COPY nomatch* f /x", &["f 0644 0:0 x=f"]),
        ("nothing at all", "COPY nomatch* /x/", &[]),
        ("through a file", "COPY f /file/x", &["error: `/file` is not a directory"]),
        ("into a file", "COPY f /file/", &["error: `/file` is not a directory"]),
    ]);
}

#[test]
fn directories_merge() {
    check(&[
        (
            "G52 contents into a new one, without its mode",
            "COPY s1 /new",
            &[
                "d 0755 0:0 new",
                "d 0750 0:0 new/nested",
                "f 0640 0:0 new/nested/z=z",
                "f 0644 0:0 new/y=y",
                "f 0644 0:0 new/ylink=yl",
            ],
        ),
        (
            "into one that is there: it keeps mode and owner, inner ones do not",
            "COPY s1 /dir",
            &[
                "d 0700 11:12 dir",
                "d 0750 0:0 dir/nested",
                "f 0640 0:0 dir/nested/z=z",
                "f 0644 0:0 dir/y=y",
                "f 0644 0:0 dir/ylink=yl",
            ],
        ),
        ("through a link", "COPY w/dd /linkdir", &["d 0755 11:12 real", "f 0644 0:0 real/in=1"]),
        (
            "to where a link leads",
            "COPY w/dd /dangling",
            &["d 0755 0:0 nowhere", "d 0755 0:0 nowhere/deep", "f 0644 0:0 nowhere/deep/in=1"],
        ),
        ("onto the root", "COPY w/dd /", &["f 0644 0:0 in=1"]),
        (
            "G53 of each match",
            "COPY w/d* /dst",
            &["d 0755 0:0 dst", "f 0644 0:0 dst/in=1", "f 0644 0:0 dst/in2=2"],
        ),
        (
            "a file after a directory",
            "COPY w/dd f /dst",
            &["d 0755 0:0 dst", "f 0644 0:0 dst/f=f", "f 0644 0:0 dst/in=1"],
        ),
        ("a directory after a file", "COPY f w/dd /dst", &["error: `/dst` is not a directory"]),
        (
            "a link takes the place of a file",
            "COPY s8 /dir",
            &["d 0700 11:12 dir", "l 0777 0:0 dir/y->foo"],
        ),
        ("a directory onto a file", "COPY s2 /dir", &["error: `/dir/y` is not a directory"]),
        (
            "a directory onto the file itself",
            "COPY s1 /file",
            &["error: `/file` is not a directory"],
        ),
        (
            "a directory onto a link to one",
            "COPY s5 /dir",
            &["error: `/dir/nlink` is not a directory"],
        ),
        ("onto a file in the root", "COPY s3 /", &["error: `/file` is not a directory"]),
        (
            "a link onto a directory",
            "COPY s6 /dir",
            &["error: cannot replace the directory `/dir/nested` with a file"],
        ),
    ]);
}

#[test]
fn owners_and_modes_are_what_the_flags_say() {
    check(&[
        ("G62 also of parents", "COPY --chmod=777 f /p/f", &["d 0777 0:0 p", "f 0777 0:0 p/f=f"]),
        ("G63 none at all", "COPY --chmod=0 f /f2", &["f 0000 0:0 f2=f"]),
        (
            "set-id bits not of parents",
            "COPY --chown=7:8 --chmod=4711 w/dd /o/d",
            &["d 0711 7:8 o", "d 0711 7:8 o/d", "f 4711 7:8 o/d/in=1"],
        ),
        (
            "files and inner directories",
            "COPY --chmod=600 s1 /new",
            &[
                "d 0600 0:0 new",
                "d 0600 0:0 new/nested",
                "f 0600 0:0 new/nested/z=z",
                "f 0600 0:0 new/y=y",
                "f 0600 0:0 new/ylink=yl",
            ],
        ),
        (
            "symbolic, each from its own, parents untouched",
            "COPY --chmod=go-rwx s1 /n1/n2",
            &[
                "d 0755 0:0 n1",
                "d 0755 0:0 n1/n2",
                "d 0700 0:0 n1/n2/nested",
                "f 0600 0:0 n1/n2/nested/z=z",
                "f 0600 0:0 n1/n2/y=y",
                "f 0600 0:0 n1/n2/ylink=yl",
            ],
        ),
        ("G64", "COPY --chmod=a+X g /x", &["f 0600 0:0 x=g"]),
        (
            "links have none",
            "COPY --chmod=700 s6 /x",
            &["d 0700 0:0 x", "l 0777 0:0 x/nested->foo"],
        ),
        (
            "a top that is there keeps them",
            "COPY --chown=3:4 --chmod=711 s1 /dir/",
            &[
                "d 0700 11:12 dir",
                "d 0711 3:4 dir/nested",
                "f 0711 3:4 dir/nested/z=z",
                "f 0711 3:4 dir/y=y",
                "f 0711 3:4 dir/ylink=yl",
            ],
        ),
        (
            "names",
            "COPY --chown=app:staff f /linkdir/n/",
            &["d 0755 11:12 real", "d 0755 500:77 real/n", "f 0644 500:77 real/n/f=f"],
        ),
        ("a number is its own group", "COPY --chown=500 f /x", &["f 0644 500:500 x=f"]),
        (
            "G63 no mode",
            "COPY --chmod=64a f /x",
            &[
                "error: `64a` is not a mode: expected octal digits from 0 to 07777, or a form like `u=rwX,go=rX`",
            ],
        ),
        ("no such user", "COPY --chown=nobody9 f /x", &["f 0644 0:0 x=f"]),
    ]);
}

#[test]
fn what_was_hardly_meant_is_told_once() {
    let (base, context) = (Disk::new(BASE), Disk::new(CONTEXT));
    let rows: &[(&str, &[&str])] = &[
        ("COPY f w/a.go /m/", &[]),
        (
            "COPY f w/*.go link /nx",
            &[
                "several files are copied to `/nx`, and only the last of them stays: if it is to be \
               a folder, end it with a `/`",
            ],
        ),
        (
            "COPY --chown=ap f w/a.go /dir",
            &["user `ap` is not in the image's `/etc/passwd`: it is taken for user 0, root; did \
               you mean `app`?"],
        ),
    ];
    for (line, expected) in rows {
        let (_, copied) = support::try_run(Some(&base), &context, &copy_op(line)).unwrap();
        assert_eq!(copied.warnings, *expected, "{line}");
    }
}

#[test]
fn inline_files_are_files() {
    check(&[
        ("a name", "COPY <<a=hi /i", &["f 0644 0:0 i=hi"]),
        (
            "with others",
            "COPY <<a=hi w/dd /i/",
            &["d 0755 0:0 i", "f 0644 0:0 i/a=hi", "f 0644 0:0 i/in=1"],
        ),
        (
            "with flags",
            "COPY --chmod=g+w --chown=1:2 <<a=hi /i/x",
            &["d 0755 1:2 i", "f 0664 1:2 i/x=hi"],
        ),
    ]);
}

#[test]
fn without_a_base_everything_is_new() {
    let context = Disk::new(CONTEXT);
    let layer = run(None, &context, "COPY w/dd /a/b");
    assert_eq!(layer, ["d 0755 0:0 a", "d 0755 0:0 a/b", "f 0644 0:0 a/b/in=1"]);
    assert_eq!(run(None, &context, "COPY w/dd /"), ["f 0644 0:0 in=1"]);
    let error = "error: no user `app`: there is no image with a `/etc/passwd` below; use a number";
    assert_eq!(run(None, &context, "COPY --chown=app f /"), [error]);
}

/// G59, G60 and G61: what comes from a stage keeps its owners, but for the top. What comes from a
/// context is root's.
#[test]
fn a_stage_keeps_its_owners() {
    if support::skips() {
        return;
    }
    let stage =
        Disk::new(&["0710 100:200 dir/", "0711 101:201 dir/sub/", "0640 102:202 dir/sub/f=f"]);
    let base = Disk::new(&["0750 500:600 dir/"]);
    let rows: &[(Option<&Disk>, &str, &[&str])] = &[
        (
            None,
            "COPY --from dir /dir",
            &["d 0755 0:0 dir", "d 0711 101:201 dir/sub", "f 0640 102:202 dir/sub/f=f"],
        ),
        (
            Some(&base),
            "COPY --from dir /dir",
            &["d 0750 500:600 dir", "d 0711 101:201 dir/sub", "f 0640 102:202 dir/sub/f=f"],
        ),
        (
            None,
            "COPY --from --chown=300:400 dir /dir",
            &["d 0755 300:400 dir", "d 0711 300:400 dir/sub", "f 0640 300:400 dir/sub/f=f"],
        ),
        (
            None,
            "COPY dir /dir",
            &["d 0755 0:0 dir", "d 0711 0:0 dir/sub", "f 0640 0:0 dir/sub/f=f"],
        ),
        (
            Some(&base),
            "COPY --from --chown=300:400 dir /dir",
            &["d 0750 500:600 dir", "d 0711 300:400 dir/sub", "f 0640 300:400 dir/sub/f=f"],
        ),
    ];
    for (base, instruction, expected) in rows {
        assert_eq!(run(*base, &stage, instruction), *expected, "{instruction}");
    }
}

/// G66, G88: hard links, sockets, pipes.
#[test]
fn special_files_are_what_an_image_can_hold() {
    let context = Disk::new(&["sp/h1=h", "0600 sp/other=o"]);
    let at = |path: &str| context.path().join(path);
    std::fs::hard_link(at("sp/h1"), at("sp/h2")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("sp/sock")).unwrap();
    support::mode(&at("sp/sock"), 0o755);
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, at("sp/fifo"), fifo, mode, 0).unwrap();
    let expected = [
        "d 0755 0:0 sp",
        "p 0600 0:0 sp/fifo",
        "f 0644 0:0 sp/h1=h",
        "h sp/h2=>sp/h1",
        "f 0600 0:0 sp/other=o",
        "f 0755 0:0 sp/sock=",
    ];
    assert_eq!(run(None, &context, "COPY sp /sp"), expected);
    let alone = ["f 0644 0:0 a=h"];
    assert_eq!(run(None, &context, "COPY sp/h2 /a"), alone);
}

/// What the real thing makes of the same entries.
#[test]
fn a_layer_of_the_store_holds_what_was_copied() {
    if support::skips() {
        return;
    }
    let root = tempfile::TempDir::new().unwrap();
    let store = rbuild_cache::Store::open(&root.path().join("store")).unwrap();
    let (base, context) = (Disk::new(BASE), Disk::new(CONTEXT));
    std::fs::hard_link(context.path().join("f"), context.path().join("w/f")).unwrap();
    std::fs::write(context.path().join("a.tar"), archives::sample()).unwrap();
    let lines =
        ["COPY . /x/y", "COPY s1 w /dir", "ADD a.tar w /dir/", "COPY --chown=app f /dangling"];
    for line in lines {
        let op = copy_op(line);
        let (memory, _) = support::try_run(Some(&base), &context, &op).unwrap();
        let mut layer = store.layers().begin().unwrap();
        support::run_into(&mut layer, Some(&base), &context, &op).unwrap();
        let layer = layer.finish().unwrap();
        let blob = store.layers().tar(&layer, None).unwrap();
        let mut written = support::tar_lines(store.blobs().open(&blob.diff_id).unwrap());
        let mut expected = memory.lines();
        written.sort();
        expected.sort();
        assert_eq!(written, expected, "{line}");
    }
}

/// A later source takes the place of a file that others were linked to.
#[test]
fn links_outlive_the_first_name() {
    let context = Disk::new(&["a/f=first", "b/f=second"]);
    std::fs::hard_link(context.path().join("a/f"), context.path().join("a/g")).unwrap();
    let layer = run(None, &context, "COPY a b /x/");
    assert_eq!(layer, ["d 0755 0:0 x", "f 0644 0:0 x/f=second", "f 0644 0:0 x/g=first"]);
}

#[test]
fn times_and_attributes_come_along() {
    let context = Disk::new(&["d/f=f"]);
    let file = context.path().join("d/f");
    rustix::fs::setxattr(&file, "user.mark", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000, 123_456_789);
    std::fs::File::open(&file).unwrap().set_modified(time).unwrap();
    std::fs::File::open(context.path().join("d")).unwrap().set_modified(time).unwrap();
    let op = copy_op("COPY d /p/x");
    let (memory, _) = support::try_run(None, &context, &op).unwrap();
    let entry = &memory.entries["p/x/f".as_bytes()].0;
    assert_eq!(entry.mtime, (1_000, 123_456_789));
    assert_eq!(entry.xattrs, [(b"user.mark".to_vec(), b"1".to_vec())]);
    assert_eq!(memory.entries["p/x".as_bytes()].0.mtime, (1_000, 123_456_789));
    assert_eq!(memory.entries["p".as_bytes()].0.mtime, support::NOW);
}

/// G65: what was a directory in an earlier build leaves nothing behind.
#[test]
fn every_copy_starts_from_the_base() {
    let context = Disk::new(&["x/old=1"]);
    assert_eq!(run(None, &context, "COPY . /"), ["d 0755 0:0 x", "f 0644 0:0 x/old=1"]);
    std::fs::remove_dir_all(context.path().join("x")).unwrap();
    std::fs::write(context.path().join("x"), "file").unwrap();
    support::mode(&context.path().join("x"), 0o644);
    assert_eq!(run(None, &context, "COPY . /"), ["f 0644 0:0 x=file"]);
}

#[test]
fn many_files_come_in_order_and_once() {
    let files: Vec<String> = (0..1200).map(|n| format!("d/{}/{n}={n}", n % 7)).collect();
    let context = Disk::new(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let layer = run(None, &context, "COPY d d /d/");
    assert_eq!(layer.len(), 1200 + 7 + 1);
    for n in [0, 1023, 1024, 1199] {
        assert!(layer.contains(&format!("f 0644 0:0 d/{}/{n}={n}", n % 7)), "{n}");
    }
}
