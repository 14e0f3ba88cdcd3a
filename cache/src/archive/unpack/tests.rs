//! Hostile archives: nothing of them lands outside of the folder.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{Scratch, Store};

const LIMITS: Limits = Limits { bytes: 1 << 20, files: 8 };

struct Lab {
    folder: TempDir,
    store: Store,
}

impl Lab {
    fn new() -> Lab {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Lab { folder, store }
    }

    fn unpack(&self, archive: &[u8]) -> (Scratch, Result<std::path::PathBuf, ArchiveError>) {
        let scratch = self.store.scratch().unwrap();
        let mut writer = self.store.fill(&scratch, "files").unwrap();
        let done = unpack(archive, &mut writer, LIMITS);
        let path = done.map(|()| writer.finish().unwrap());
        (scratch, path)
    }
}

/// One member with a name that the library would refuse to write.
fn member(kind: tar::EntryType, name: &str, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    header.set_cksum();
    let padding = vec![0; data.len().next_multiple_of(512) - data.len()];
    [header.as_bytes().as_slice(), data, &padding].concat()
}

#[test]
fn names_that_lead_out_are_refused() {
    let lab = Lab::new();
    for name in ["../x", "a/../../x", "/../x"] {
        let (_scratch, done) = lab.unpack(&member(tar::EntryType::Regular, name, "", b"x"));
        assert!(matches!(done, Err(ArchiveError::Unsound(_))), "{name}: {done:?}");
    }
    assert!(!lab.folder.path().join("x").exists());
}

#[test]
fn absolute_names_land_inside() {
    let lab = Lab::new();
    let (_scratch, done) = lab.unpack(&member(tar::EntryType::Regular, "/etc/x", "", b"x"));
    assert_eq!(fs::read(done.unwrap().join("etc/x")).unwrap(), b"x");
}

#[test]
fn links_lead_nowhere_else() {
    let lab = Lab::new();
    let outside = lab.folder.path().display().to_string();
    let link = member(tar::EntryType::Symlink, "out", &outside, b"");
    let through = member(tar::EntryType::Regular, "out/x", "", b"x");
    let (_scratch, _) = lab.unpack(&[link, through].concat());
    assert!(!lab.folder.path().join("x").exists());
    let hard = member(tar::EntryType::Link, "hard", &format!("{outside}/secret"), b"");
    let (_scratch, done) = lab.unpack(&hard);
    assert!(done.is_err(), "{done:?}");
    let up = member(tar::EntryType::Link, "hard", "../../../secret", b"");
    let (_scratch, done) = lab.unpack(&up);
    assert!(matches!(done, Err(ArchiveError::Unsound(_))), "{done:?}");
}

#[test]
fn devices_and_pipes_are_left_out() {
    let lab = Lab::new();
    let members = [
        member(tar::EntryType::Char, "null", "", b""),
        member(tar::EntryType::Fifo, "pipe", "", b""),
        member(tar::EntryType::Regular, "file", "", b"x"),
    ];
    let mut members = members;
    for device in &mut members[..1] {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes().copy_from_slice(device);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        device.copy_from_slice(header.as_bytes());
    }
    let (_scratch, done) = lab.unpack(&members.concat());
    let names: Vec<_> =
        fs::read_dir(done.unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["file"]);
}

#[test]
fn a_bomb_ends_before_the_disk_is_full() {
    let lab = Lab::new();
    // Each claims a size that it does not have; the claim is enough.
    for size in [(1 << 20) + 1, 1 << 40, 1 << 60] {
        let mut header = tar::Header::new_gnu();
        header.set_path("bomb").unwrap();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        let (_scratch, done) = lab.unpack(header.as_bytes());
        assert!(matches!(done, Err(ArchiveError::Large(_))), "{size}: {done:?}");
    }
    // A hundred kilobytes of gzip that are as many megabytes of names.
    let names = member(tar::EntryType::GNULongName, "n", "", &vec![b'n'; 1 << 20]).repeat(100);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &names).unwrap();
    let (_scratch, done) = lab.unpack(&packed.finish().unwrap());
    assert!(matches!(done, Err(ArchiveError::Unsound(_))), "{done:?}");
    let many: Vec<u8> =
        (0..9).flat_map(|n| member(tar::EntryType::Regular, &format!("f{n}"), "", b"x")).collect();
    let (_scratch, done) = lab.unpack(&many);
    assert!(matches!(done, Err(ArchiveError::Files(8))), "{done:?}");
}
