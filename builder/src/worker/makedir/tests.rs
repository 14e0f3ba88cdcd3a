//! `WORKDIR` as Docker does it.

use super::super::copy::tests::support::{self, Disk, Memory, NOW};
use super::*;

const BASE: &[&str] = &[
    "0700 11:12 dir/",
    "file=1",
    "11:12 real/",
    "linkdir->real",
    "dangling->nowhere/deep",
    "danglefile->/real/new",
    "loop->loop",
    "etc/passwd=app:x:500:600::/:\n",
    "etc/group=staff:x:77:\n",
];

#[test]
fn what_is_missing_is_made() {
    if support::skips() {
        return;
    }
    let rows: &[(&str, &str, &[&str])] = &[
        ("/dir", "app", &[]),
        ("/linkdir", "app", &[]),
        ("/", "", &[]),
        ("/w1/w2", "", &["d 0755 0:0 w1", "d 0755 0:0 w1/w2"]),
        ("/w1/w2", "1000", &["d 0755 1000:1000 w1", "d 0755 1000:1000 w1/w2"]),
        ("/w", "app", &["d 0755 500:600 w"]),
        ("/w", ":staff", &["d 0755 0:77 w"]),
        ("/dir/w", "app:12", &["d 0700 11:12 dir", "d 0755 500:12 dir/w"]),
        ("/linkdir/w", "app:staff", &["d 0755 11:12 real", "d 0755 500:77 real/w"]),
        (
            "/dangling/y",
            "",
            &["d 0755 0:0 nowhere", "d 0755 0:0 nowhere/deep", "d 0755 0:0 nowhere/deep/y"],
        ),
        ("/danglefile", "", &["d 0755 11:12 real", "d 0755 0:0 real/new"]),
        ("/file", "", &["error: `/file` is not a directory"]),
        ("/file/x", "", &["error: `/file` is not a directory"]),
        ("/loop/x", "", &["error: `/loop/x` leads through too many symbolic links"]),
        ("/w", "nobody9", &["d 0755 0:0 w"]),
    ];
    let base = Disk::new(BASE);
    for (path, user, expected) in rows {
        let op = MakeDirOp {
            base: Some(0),
            path: (*path).to_owned(),
            user: (*user).to_owned(),
            mode: 0o755,
        };
        let mut memory = Memory::default();
        let made = make_dir(&op, Below::Seen(Some(base.path())), NOW, &mut memory);
        let lines = made.map(|_| memory.lines());
        assert_eq!(
            lines.unwrap_or_else(|e| vec![format!("error: {e}")]),
            *expected,
            "{path} {user}"
        );
    }
}

#[test]
fn without_a_base_it_is_made() {
    let op = MakeDirOp { base: None, path: "/a/b".into(), user: String::new(), mode: 0o755 };
    let mut memory = Memory::default();
    make_dir(&op, Below::Seen(None), NOW, &mut memory).unwrap();
    assert_eq!(memory.lines(), ["d 0755 0:0 a", "d 0755 0:0 a/b"]);
}
