use std::fs;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

fn file(path: &str) -> Entry {
    Entry::new(path, Kind::File { size: 1 }, 0o644)
}

#[test]
fn a_folder_goes_with_its_owner() {
    let (_folder, store) = store();
    let scratch = store.scratch().unwrap();
    fs::write(scratch.path().join("x"), "x").unwrap();
    let path = scratch.path().to_owned();
    drop(scratch);
    assert!(!path.exists());
}

#[test]
fn nothing_outside_is_written() {
    let (folder, store) = store();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let scratch = store.scratch().unwrap();
    let mut writer = store.fill(&scratch, "files").unwrap();
    let link =
        |path, target: &str| Entry::new(path, Kind::Symlink { target: target.into() }, 0o777);
    writer.add(&link("absolute", outside.to_str().unwrap()), None).unwrap();
    writer.add(&link("up", "../../../outside"), None).unwrap();
    for path in ["absolute/x", "up/x"] {
        // It may be refused or land inside; what counts is where it does not land.
        let _ = writer.add(&file(path), Some(&mut &b"x"[..]));
    }
    for path in ["../x", "/x", "a/../../x"] {
        assert!(writer.add(&file(path), Some(&mut &b"x"[..])).is_err(), "{path}");
    }
    writer.add(&file("kept"), Some(&mut &b"x"[..])).unwrap();
    let files = writer.finish().unwrap();
    assert_eq!(fs::read(files.join("kept")).unwrap(), b"x");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!scratch.path().join("x").exists());
}
