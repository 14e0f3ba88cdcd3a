use super::*;
use crate::fixture::{self, names, record};

mod crash;
mod damage;
mod processes;

#[test]
fn a_store_is_made_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b");
    let digest = Store::open(&root).unwrap().blobs().put(b"x").unwrap();
    let store = Store::open(&root).unwrap();
    assert!(store.blobs().contains(&digest));
    assert_eq!(store.warnings(), Vec::<String>::new());
}

#[test]
fn nobody_else_can_look_into_a_store() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, store) = fixture::store();
    for folder in ["layers", "active", "tmp", "blobs", "blobs/sha256", "logs", "locks"] {
        let mode = dir.path().join(folder).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
    drop(store);
}

#[test]
fn a_folder_with_other_things_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { ref found, .. } if found == "thesis.tex"));
    assert_eq!(fs::list(dir.path()).unwrap(), ["thesis.tex"]);
}

#[test]
fn a_store_of_another_format_is_refused() {
    let (dir, store) = fixture::store();
    drop(store);
    std::fs::write(dir.path().join("version"), "2\n").unwrap();
    let text = Store::open(dir.path()).unwrap_err().to_string();
    assert!(text.ends_with("has the format `2`, this rbuild knows `1`"), "{text}");
}

#[test]
fn opening_and_reading_an_existing_store_changes_nothing() {
    let (dir, store) = fixture::store();
    let layer = fixture::layer(&store, b"x", None).unwrap();
    store.records().put(&record(1, vec![layer])).unwrap();
    drop(store);
    // Were one change tried, it would fail: the first one and all after it.
    fs::fault::arm(1, fs::fault::Then::Die, rustix::io::Errno::IO);
    let store = Store::open(dir.path()).unwrap();
    let record = store.records().get(&[1; 32]);
    let (tagged, warnings) = (store.images().list().unwrap(), store.warnings());
    drop(store);
    assert!(!fs::fault::disarm());
    assert!(record.is_some() && tagged.is_empty() && warnings.is_empty());
}

#[test]
fn logs_stay_in_their_folder() {
    use std::io::Write;
    let (_dir, store) = fixture::store();
    writeln!(store.log_file("step-1").unwrap(), "one").unwrap();
    writeln!(store.log_file("step-1").unwrap(), "two").unwrap();
    let path = store.log_path("step-1").unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
    for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\0"] {
        assert!(matches!(store.log_file(name), Err(LogError::Name(_))), "{name}");
    }
}

#[test]
fn a_layer_counts_after_a_reboot_if_it_was_settled_or_is_as_long_as_it_was() {
    let (dir, store) = fixture::store();
    let layers = [b"settled", b"present", b"cut off"].map(|bytes| {
        let layer = fixture::layer(&store, bytes, None).unwrap();
        if bytes == b"settled" {
            store.settle().unwrap();
        }
        layer
    });
    drop(store);
    let file = |n: usize| dir.path().join(format!("layers/{}/fs/file", layers[n]));
    std::fs::write(file(2), b"cut").unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(store.ground().has_layer(&layers[2]), "nobody looks within one boot");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    store.ground().pretend_boot("the next");
    let there = layers.map(|layer| store.ground().has_layer(&layer));
    assert_eq!(there, [true, true, false]);
    assert!(store.warnings()[0].contains("lost bytes"));
    let boots = layers.map(|layer| store.ground().db.layer(&layer).unwrap().unwrap().boot);
    assert!(boots[0].is_none() && boots[1].is_none() && boots[2].is_some());
}

#[test]
fn use_is_written_down_once_an_hour() {
    let (dir, store) = fixture::store();
    let layer = fixture::layer(&store, b"x", None).unwrap();
    store.records().put(&record(1, vec![layer])).unwrap();
    let used = |store: &Store| store.ground().db.all_records().unwrap()[0].used;
    let first = used(&store);
    store.records().get(&[1; 32]);
    store.ground().flush_used();
    assert_eq!(used(&store), first);
    store.ground().db.write(|t| t.execute("UPDATE records SET used = 1", [])).unwrap();
    store.records().get(&[1; 32]);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert!(used(&store) >= first);
    assert_eq!(names(&store, "tmp"), Vec::<String>::new());
}
