//! Archives read back by other readers.

use std::process::{Command, Stdio};

use super::*;
use crate::archive::{Stream, TarReader};
use crate::layer::unpack::{Member, member};

fn write(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (entry, data) in entries {
        let start = tar.add(entry, &mut &data[..]).unwrap();
        assert_eq!(start % BLOCK, 0);
    }
    tar.finish().unwrap()
}

fn names() -> Vec<Vec<u8>> {
    let deep = |n: usize| vec!["d".repeat(49); n].join("/").into_bytes();
    vec![
        b"plain".to_vec(),
        vec![b'n'; 100],
        vec![b'n'; 101],
        vec![b'n'; 255],
        deep(3),
        deep(5),
        deep(6),
        deep(80),
        "\u{e4}\u{1F980}".as_bytes().to_vec(),
        b"\xff\xfe not utf-8".to_vec(),
        b"line\nbreak\xff".to_vec(),
    ]
}

#[test]
fn what_is_written_is_read_back() {
    let kinds = |name: &[u8]| {
        [
            Kind::Dir,
            Kind::File { size: 3 },
            Kind::Symlink { target: name.to_vec() },
            Kind::HardLink { target: name.to_vec() },
            Kind::Char { major: 1, minor: 300 },
            Kind::Block { major: 8, minor: 1 },
            Kind::Fifo,
            Kind::Whiteout,
        ]
    };
    for name in names() {
        for kind in kinds(&name) {
            if kind == Kind::Whiteout && split(&name).1.len() > 251 {
                continue;
            }
            let mut entry = Entry::new(name.clone(), kind.clone(), 0o7751);
            if kind == Kind::Whiteout {
                entry.mode = 0;
            } else {
                (entry.uid, entry.gid) = (3_000_000, 4_000_000_000);
                entry.mtime = (-3, 0);
                entry.xattrs = vec![(b"user.\xc3\xa4".to_vec(), b"a\n=\0b".to_vec())];
            }
            let bytes = write(&[(entry.clone(), b"abc")]);
            let mut archive = TarReader::new(Stream(bytes.as_slice()));
            let found = archive.next().unwrap().unwrap();
            let mut data = Vec::new();
            archive.data(&found).read_to_end(&mut data).unwrap();
            let is_file = matches!(kind, Kind::File { .. });
            assert_eq!(data, if is_file { b"abc".as_slice() } else { b"" });
            assert_eq!(member(&found).unwrap(), Member::Entry(entry));
            assert!(archive.next().unwrap().is_none());
        }
    }
}

#[test]
fn small_entries_need_no_extended_header() {
    let entry = Entry { mtime: (1, 999), ..Entry::new("a/b", Kind::File { size: 1 }, 0o644) };
    assert_eq!(write(&[(entry, b"x")]).len(), 512 + 512 + 1024);
    let long = Entry::new(format!("{}/{}", "d".repeat(155), "n".repeat(100)), Kind::Fifo, 0);
    assert_eq!(write(&[(long, b"")]).len(), 512 + 1024);
    let max = Entry { uid: 0o7_777_777, gid: 0o7_777_777, ..Entry::new("f", Kind::Fifo, 0) };
    assert_eq!(write(&[(max, b"")]).len(), 512 + 1024);
}

#[test]
fn gnu_tar_lists_it() {
    let entries: Vec<(Entry, &[u8])> = names()
        .into_iter()
        .filter(|name| name.is_ascii() && !name.contains(&b'\n'))
        .map(|name| (Entry::new(name, Kind::File { size: 5 }, 0o640), b"12345".as_slice()))
        .collect();
    let bytes = write(&entries);
    let mut child = Command::new("tar")
        .args(["-tf", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let expected: Vec<u8> =
        entries.iter().flat_map(|(entry, _)| [&entry.path, b"\n".as_slice()].concat()).collect();
    assert_eq!(output.stdout, expected);
}
