//! `ADD` of archives, friendly and hostile ones.

use std::fs;
use std::io::Write;

use tar::{EntryType, Header};

use super::*;

/// An archive from lines: `mode uid:gid path=text`, `path/`, `path->target`, `path=>hard link`,
/// `path!` for a character device 0:0. Names go in as they are.
fn archive(lines: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let mode = u32::from_str_radix(words.next().unwrap(), 8).unwrap();
        let (uid, gid) = words.next().unwrap().split_once(':').unwrap();
        let rest = words.next().unwrap();
        let mut header = Header::new_gnu();
        header.set_mode(mode);
        header.set_uid(uid.parse().unwrap());
        header.set_gid(gid.parse().unwrap());
        header.set_mtime(1_000_000_000);
        let (path, link, kind, text) = if let Some((path, link)) = rest.split_once("->") {
            (path, link, EntryType::Symlink, "")
        } else if let Some((path, link)) = rest.split_once("=>") {
            (path, link, EntryType::Link, "")
        } else if let Some((path, text)) = rest.split_once('=') {
            (path, "", EntryType::Regular, text)
        } else if let Some(path) = rest.strip_suffix('!') {
            (path, "", EntryType::Char, "")
        } else {
            (rest, "", EntryType::Directory, "")
        };
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..path.len()].copy_from_slice(path.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        if kind == EntryType::Char {
            header.set_device_major(0).unwrap();
            header.set_device_minor(0).unwrap();
        }
        header.set_entry_type(kind);
        header.set_size(text.len() as u64);
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

type Row = (&'static str, &'static [&'static str], &'static str, &'static [&'static str]);

fn check(rows: &[Row]) {
    if support::skips() {
        return;
    }
    let base = Disk::new(BASE);
    for (case, members, dest, expected) in rows {
        assert_eq!(add(Some(&base), &archive(members), dest), *expected, "{case}");
    }
}

const MEMBERS: &[&str] = &[
    "0750 21:22 sub/",
    "0640 23:24 sub/f=hello",
    "0600 1:1 etc/dnf/x=x",
    "0777 5:5 ln->sub/f",
    "0640 23:24 hl=>sub/f",
];

/// Directories, files, links of both kinds, a name twice.
pub fn sample() -> Vec<u8> {
    archive(&[
        "0750 21:22 sub/",
        "0640 23:24 sub/f=hello",
        "0600 1:1 etc/dnf/x=x",
        "0777 5:5 ln->sub/f",
        "0640 23:24 twin=>sub/f",
        "0600 1:1 a=one",
        "0644 1:1 a=two",
    ])
}

#[test]
fn members_go_below_the_destination() {
    check(&[
        (
            "G75 G79 into a new one",
            MEMBERS,
            "/out",
            &[
                "d 0755 0:0 out",
                "d 0755 0:0 out/etc",
                "d 0755 0:0 out/etc/dnf",
                "f 0600 1:1 out/etc/dnf/x=x",
                "h out/hl=>out/sub/f",
                "l 0777 5:5 out/ln->sub/f",
                "d 0750 21:22 out/sub",
                "f 0640 23:24 out/sub/f=hello",
            ],
        ),
        (
            "into one that is there, which stays as it is",
            &["0777 9:9 ./", "0640 3:4 ./f=1"],
            "/dir",
            &["d 0700 11:12 dir", "f 0640 3:4 dir/f=1"],
        ),
        (
            "through a link of the image",
            &["0640 3:4 f=1"],
            "/linkdir",
            &["d 0755 11:12 real", "f 0640 3:4 real/f=1"],
        ),
        (
            "over a directory",
            &["0755 1:2 dir/", "0711 3:3 dir/nested/"],
            "/",
            &["d 0755 1:2 dir", "d 0711 3:3 dir/nested"],
        ),
        (
            "a name twice",
            &["0600 1:1 a=one", "0644 1:1 a=two"],
            "/o",
            &["d 0755 0:0 o", "f 0644 1:1 o/a=two"],
        ),
        ("onto a file", MEMBERS, "/file", &["error: `/file` is not a directory"]),
    ]);
}

#[test]
fn members_take_the_place_of_what_is_there() {
    check(&[
        ("a file of a directory", &["0640 1:1 dir=x"], "/", &["f 0640 1:1 dir=x"]),
        ("a link of a directory", &["0777 1:1 dir->real"], "/", &["l 0777 1:1 dir->real"]),
        (
            "a directory of a file",
            &["0640 1:1 file/", "0600 1:1 file/x=1"],
            "/",
            &["d 0640 1:1 file", "f 0600 1:1 file/x=1"],
        ),
        (
            "a directory of a link",
            &["0750 3:3 linkdir/", "0600 1:1 linkdir/x=1"],
            "/",
            &["d 0750 3:3 linkdir", "f 0600 1:1 linkdir/x=1"],
        ),
        ("a file of a link", &["0600 1:1 linkfile=1"], "/", &["f 0600 1:1 linkfile=1"]),
        (
            "a directory of a file of a directory",
            &["0600 1:1 dir=1", "0700 1:1 dir/", "0600 1:1 dir/new=1"],
            "/",
            &["o 0700 1:1 dir", "f 0600 1:1 dir/new=1"],
        ),
        (
            "no directory where a file is needed as one",
            &["0600 1:1 file/in=1"],
            "/",
            &["error: `/file` is not a directory"],
        ),
    ]);
}

#[test]
fn g80_links_are_followed_inside() {
    check(&[
        (
            "of the image",
            &["0600 1:1 linkdir/x=1", "0600 1:1 dangling/y=2"],
            "/",
            &[
                "d 0755 0:0 nowhere",
                "d 0755 0:0 nowhere/deep",
                "f 0600 1:1 nowhere/deep/y=2",
                "d 0755 11:12 real",
                "f 0600 1:1 real/x=1",
            ],
        ),
        (
            "absolute, in the archive",
            &["0777 0:0 l->/", "0600 1:1 l/x=1"],
            "/o",
            &["d 0755 0:0 o", "l 0777 0:0 o/l->/", "f 0600 1:1 o/x=1"],
        ),
        (
            "upwards, in the archive",
            &["0777 0:0 l->../../..", "0600 1:1 l/x=1"],
            "/o",
            &["d 0755 0:0 o", "l 0777 0:0 o/l->../../..", "f 0600 1:1 o/x=1"],
        ),
        (
            "in a circle",
            &["0777 0:0 l->m", "0777 0:0 m->l", "0600 1:1 l/x=1"],
            "/o",
            &["error: `/l` leads through too many symbolic links"],
        ),
    ]);
}

#[test]
fn hard_links_lead_to_members_or_to_the_image() {
    check(&[
        (
            "the image's file comes along",
            &["0640 1:1 hl=>file"],
            "/",
            &["f 0644 11:12 file=file", "h hl=>file"],
        ),
        (
            "through links",
            &["0640 1:1 hl=>linkdir/target"],
            "/",
            &["h hl=>real/target", "d 0755 11:12 real", "f 0644 0:0 real/target=t"],
        ),
        ("a link is copied", &["0640 1:1 hl=>linkfile"], "/", &["l 0640 1:1 hl->real/target"]),
        ("to itself", &["0640 1:1 a=1", "0640 1:1 a=>a"], "/", &["f 0640 1:1 a=1"]),
        (
            "to what is only in the image's root",
            &["0640 1:1 h=>/file"],
            "/o",
            &[
                "error: cannot unpack `a.tar`: it has a hard link to `file`, and there is no such file",
            ],
        ),
        (
            "to a directory",
            &["0640 1:1 h=>dir"],
            "/",
            &[
                "error: cannot unpack `a.tar`: it has a hard link to `dir`, and there is no such file",
            ],
        ),
        (
            "out",
            &["0640 1:1 h=>../../etc/passwd"],
            "/o",
            &["error: cannot unpack `a.tar`: `../../etc/passwd` leads out of where it is unpacked"],
        ),
    ]);
}

#[test]
fn hostile_members_are_refused() {
    check(&[
        (
            "a name that leads out",
            &["0600 1:1 ../../x=1"],
            "/o",
            &["error: cannot unpack `a.tar`: `../../x` leads out of where it is unpacked"],
        ),
        (
            "an absolute name stays inside",
            &["0600 1:1 /abs=1"],
            "/o",
            &["d 0755 0:0 o", "f 0600 1:1 o/abs=1"],
        ),
        (
            "a mark of deletion",
            &["0600 1:1 gone!"],
            "/o",
            &[
                "error: cannot copy `/o/gone`: a character device 0:0 stands for a deleted file in an image",
            ],
        ),
    ]);
}

#[test]
fn an_archive_is_known_by_its_bytes() {
    let plain = archive(&["0600 1:1 x=1"]);
    let unpacked = ["d 0755 0:0 o", "f 0600 1:1 o/x=1"];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    for bytes in [plain.clone(), gzip.finish().unwrap(), zstd::encode_all(&plain[..], 1).unwrap()] {
        assert_eq!(add(None, &bytes, "/o"), unpacked);
    }
    let text = add(None, b"no archive", "/o");
    assert_eq!(text, ["f 0644 0:0 o=no archive"], "copied as it is");
    let zeros = add(None, &[0; 4], "/o/");
    assert_eq!(zeros, ["d 0755 0:0 o", "f 0644 0:0 o/a.tar=\0\0\0\0"]);
    let mut cut = archive(&["0600 1:1 x=1", "0600 1:1 y=2"]);
    cut.truncate(700);
    let error = add(None, &cut, "/o");
    assert!(error[0].starts_with("error: cannot unpack `a.tar`: "), "{error:?}");
}

#[test]
fn copy_never_unpacks() {
    let context = Disk::new(&["d/x=1"]);
    fs::write(context.path().join("d/a.tar"), archive(&["0600 1:1 m=1"])).unwrap();
    let op = copy_op("COPY d/a.tar /a");
    let (memory, _) = support::try_run(None, &context, &op).unwrap();
    assert_eq!(memory.entries["a".as_bytes()].1, fs::read(context.path().join("d/a.tar")).unwrap());
    // Nor does ADD below a directory.
    let op = copy_op("ADD d /");
    let (memory, _) = support::try_run(None, &context, &op).unwrap();
    assert!(memory.entries.contains_key("a.tar".as_bytes()));
}

/// G77 and G78: several archives, between other sources, and flags.
#[test]
fn archives_mix_with_other_sources() {
    let context = Disk::new(&["f=f"]);
    let one = archive(&["0600 1:1 a/one=1", "0600 1:1 f=from the archive"]);
    fs::write(context.path().join("1.tar"), one).unwrap();
    fs::write(context.path().join("2.tar"), archive(&["0711 2:2 a/", "0600 2:2 a/two=2"])).unwrap();
    let layer = run(None, &context, "ADD *.tar f /dest/");
    assert_eq!(
        layer,
        [
            "d 0755 0:0 dest",
            "d 0711 2:2 dest/a",
            "f 0600 1:1 dest/a/one=1",
            "f 0600 2:2 dest/a/two=2",
            "f 0644 0:0 dest/f=f",
        ]
    );
    let layer = run(None, &context, "ADD --chown=100:200 1.tar /o/out/");
    assert_eq!(
        layer,
        [
            "d 0755 100:200 o",
            "d 0755 100:200 o/out",
            "d 0755 0:0 o/out/a",
            "f 0600 100:200 o/out/a/one=1",
            "f 0600 100:200 o/out/f=from the archive",
        ]
    );
    let op = copy_op("ADD --chmod=711 1.tar /out/");
    let (memory, copied) = support::try_run(None, &context, &op).unwrap();
    assert_eq!(memory.lines()[0], "d 0755 0:0 out");
    assert_eq!(copied.warnings, ["`--chmod` does nothing to what is unpacked from `1.tar`"]);
}

#[test]
fn pax_headers_are_heard() {
    let mut builder = tar::Builder::new(Vec::new());
    let long = format!("{}/file", "d".repeat(200));
    let pairs = [
        ("mtime", b"1000.25".as_slice()),
        ("SCHILY.xattr.user.mark", b"1"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("path", long.as_bytes()),
    ];
    builder.append_pax_extensions(pairs).unwrap();
    let mut header = Header::new_ustar();
    header.set_path("short").unwrap();
    header.set_size(1);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    builder.append(&header, &b"x"[..]).unwrap();
    let context = Disk::new(&[]);
    fs::write(context.path().join("a"), builder.into_inner().unwrap()).unwrap();
    let (memory, _) = support::try_run(None, &context, &copy_op("ADD a /")).unwrap();
    let entry = &memory.entries[long.as_bytes()].0;
    assert_eq!(entry.mtime, (1000, 250_000_000));
    assert_eq!(entry.xattrs, [(b"user.mark".to_vec(), b"1".to_vec())]);
}

#[test]
fn an_archive_has_limits() {
    if support::skips() {
        return;
    }
    let most = 1 << 20;
    let text = format!("0600 1:1 f={}", "x".repeat(most));
    assert_eq!(add(None, &archive(&[&text]), "/").len(), 1);
    let texts = [text.as_str(), "0600 1:1 g=y"];
    let limit = "RBUILD_SOURCE_LIMIT sets the limit of bytes";
    let large =
        format!("error: cannot unpack `a.tar`: the archive has more than {most} bytes; {limit}");
    assert_eq!(add(None, &archive(&texts), "/"), [large]);
    let many = format!("error: cannot unpack `a.tar`: the archive has more than 20 files; {limit}");
    assert_eq!(add(None, &archive(&["0600 1:1 f="; 21]), "/"), [many]);
}
