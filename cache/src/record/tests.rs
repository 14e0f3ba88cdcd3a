use super::*;
use crate::fixture::{self, record, store};
use crate::store::Store;

fn layer(store: &Store, bytes: &[u8]) -> LayerId {
    fixture::layer(store, bytes, None).unwrap()
}

#[test]
fn a_record_comes_back_as_it_was() {
    let (_dir, store) = store();
    let records = store.records();
    let one = record(1, vec![layer(&store, b"a"), layer(&store, b"b")]);
    records.put(&one).unwrap();
    assert_eq!(records.get(&[1; 32]), Some(one.clone()));
    assert_eq!(records.get(&[2; 32]), None);
    let two = record(2, one.layers.clone());
    records.put(&two).unwrap();
    assert_eq!(records.last_in_slot("app 2"), Some(two.clone()));
    assert_eq!(records.by_op(&[7; 32], 10), [two.clone(), one]);
    assert_eq!(records.by_op(&[7; 32], 1), [two]);
    assert_eq!(store.warnings(), Vec::<String>::new());
}

#[test]
fn a_record_without_its_layers_is_a_miss_that_can_be_explained() {
    let (dir, store) = store();
    let one = record(1, vec![layer(&store, b"a")]);
    store.records().put(&one).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    std::fs::remove_dir_all(dir.path().join("layers").join(one.layers[0].to_string())).unwrap();
    assert_eq!(store.records().get(&one.key), None);
    assert_eq!(store.records().by_op(&one.op, 9), []);
    assert_eq!(store.records().last_in_slot(&one.slot), Some(one));
}

#[test]
fn what_a_reference_named_and_where_blobs_are_is_remembered() {
    let (_dir, store) = store();
    let (records, manifest) = (store.records(), Digest::of(b"m"));
    assert_eq!(records.resolution("docker.io/library/a:1", "linux/amd64"), None);
    records.put_resolution("docker.io/library/a:1", "linux/amd64", &manifest).unwrap();
    let found = records.resolution("docker.io/library/a:1", "linux/amd64").unwrap();
    assert_eq!(found.manifest, manifest);
    assert_eq!(records.resolution("docker.io/library/a:1", "linux/arm64"), None);
    let source = BlobSource { registry: "localhost:5000".to_owned(), repository: "a".to_owned() };
    records.put_blob_source(&manifest, &source).unwrap();
    records.put_blob_source(&manifest, &source).unwrap();
    assert_eq!(records.blob_sources(&manifest), [source]);
}

#[test]
fn a_slot_has_one_list_of_files() {
    let (_dir, store) = store();
    assert_eq!(store.records().file_list("app 2"), None);
    store.records().put_file_list("app 2", b"1").unwrap();
    store.records().put_file_list("app 2", b"2").unwrap();
    assert_eq!(store.records().file_list("app 2").unwrap(), b"2");
}
