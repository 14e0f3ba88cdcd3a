//! Stores that somebody or something else has changed.

use proptest::prelude::*;

use super::*;

fn with_record() -> tempfile::TempDir {
    let (dir, store) = fixture::store();
    let layer = fixture::layer(&store, b"x", None).unwrap();
    for key in 1..40 {
        store.records().put(&record(key, vec![layer])).unwrap();
    }
    store.ground().db.shrink().unwrap();
    dir
}

#[test]
fn a_damaged_index_is_put_aside_and_begun_anew() {
    let dir = with_record();
    let path = dir.path().join("records.db");
    std::fs::write(&path, b"this is no database, and long enough to be sure".repeat(100)).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(store.warnings()[0].contains("begins anew"));
    assert_eq!(store.records().get(&[1; 32]), None);
    assert!(dir.path().join("records.db.damaged-1").exists());
    let layer = fixture::layer(&store, b"y", None).unwrap();
    store.records().put(&record(1, vec![layer])).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.warnings(), Vec::<String>::new());
    assert!(store.records().get(&[1; 32]).is_some());
}

#[test]
fn an_index_that_was_lost_or_emptied_is_begun_anew() {
    for lose in [|path: &Path| std::fs::remove_file(path), |path: &Path| std::fs::write(path, "")] {
        let dir = with_record();
        lose(&dir.path().join("records.db")).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.records().get(&[1; 32]), None);
        store.records().put(&record(1, vec![])).unwrap();
        assert!(store.records().get(&[1; 32]).is_some());
    }
}

#[test]
fn damage_inside_the_index_is_a_miss_and_put_aside_at_the_next_opening() {
    let dir = with_record();
    let path = dir.path().join("records.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // The first page is needed to open it.
    bytes[4096..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.records().get(&[1; 32]), None);
    assert!(store.warnings()[0].contains("malformed"));
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert!(store.warnings()[0].contains("begins anew"));
    store.records().put(&record(1, vec![])).unwrap();
    drop(store);
    assert_eq!(Store::open(dir.path()).unwrap().warnings(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_damage_to_any_file_keeps_a_store_from_working(
        file in prop::sample::select(vec!["records.db", "index.json", "oci-layout"]),
        at in 0.0..1.0f64,
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        cut in any::<bool>(),
    ) {
        let dir = with_record();
        let path = dir.path().join(file);
        let mut all = std::fs::read(&path).unwrap();
        let at = (at * all.len() as f64) as usize;
        if cut {
            all.truncate(at);
        } else {
            all.splice(at..(at + bytes.len()).min(all.len()), bytes);
        }
        std::fs::write(&path, all).unwrap();
        // At the latest the second one finds what the first one met.
        for _ in 0..2 {
            let store = Store::open(dir.path()).unwrap();
            for key in 1..40 {
                let found = store.records().get(&[key; 32]);
                prop_assert!(found.is_none_or(|record| record.key == [key; 32]));
            }
            prop_assert_eq!(store.images().list().unwrap(), []);
        }
    }
}
