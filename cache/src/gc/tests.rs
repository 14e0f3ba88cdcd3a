use super::*;
use crate::digest::Digest;
use crate::fixture::{self, names, record, store};

/// A tagged image whose layer is there as a tree too, and a result above it; and loose things.
fn fill(store: &Store) -> [crate::LayerId; 2] {
    let image = fixture::image(store, b"tar");
    store.images().tag("localhost/a:1", &image).unwrap();
    let base = fixture::layer(store, &[1; 10_000], Some(Digest::of(b"tar"))).unwrap();
    let top = fixture::layer(store, &[2; 50_000], None).unwrap();
    store.records().put(&record(1, vec![base])).unwrap();
    store.records().put(&record(2, vec![base, top])).unwrap();
    store.blobs().put(b"loose").unwrap();
    store.log_file("step").unwrap();
    [base, top]
}

#[test]
fn usage_tells_sizes_and_who_holds_what() {
    let (_dir, store) = store();
    let [base, top] = fill(&store);
    let usage = store.usage().unwrap();
    let layer = |id| usage.layers.iter().find(|layer| layer.id == id).unwrap();
    assert!(layer(base).held && !layer(top).held);
    assert!(layer(top).size >= 50_000 && layer(top).size % 512 == 0);
    let held: Vec<bool> = usage.records.iter().map(|record| record.held).collect();
    assert_eq!(held, [true, false]);
    assert_eq!(usage.records[0].size, 0);
    assert_eq!(usage.records[1].size, layer(top).size);
    assert_eq!(usage.records[1].took, Duration::from_secs(2));
    assert_eq!(usage.blobs.iter().filter(|blob| blob.held).count(), 3);
    assert_eq!(usage.blobs.len(), 4);
}

#[test]
fn pruning_leaves_what_images_hold() {
    let (_dir, store) = store();
    let [base, _] = fill(&store);
    let pruned = store.prune(Prune::Unreferenced, &|| true).unwrap();
    assert_eq!((pruned.records, pruned.layers, pruned.blobs), (1, 1, 1));
    assert!(pruned.freed >= 50_000);
    assert_eq!(names(&store, "layers"), [base.to_string()]);
    assert_eq!(names(&store, "blobs/sha256").len(), 3);
    assert_eq!(names(&store, "logs"), Vec::<String>::new());
    assert!(store.records().get(&[1; 32]).is_some());
    assert!(store.records().get(&[2; 32]).is_none());
    assert_eq!(store.verify().unwrap().damage, []);
    // Untagged, it goes too.
    store.images().untag("localhost/a:1").unwrap();
    store.prune(Prune::Unreferenced, &|| true).unwrap();
    assert_eq!((names(&store, "layers").len(), names(&store, "blobs/sha256").len()), (0, 0));
}

#[test]
fn an_index_holds_all_its_images() {
    let (_dir, store) = store();
    let images = [b"one", b"two"].map(|tar| fixture::image(&store, tar));
    store.images().tag("localhost/both:1", &fixture::index(&store, &images)).unwrap();
    let layers = [b"one", b"two"]
        .map(|tar| fixture::layer(&store, tar, Some(Digest::of(tar))).unwrap().to_string());
    let pruned = store.prune(Prune::Unreferenced, &|| true).unwrap();
    assert_eq!((pruned.layers, pruned.blobs), (0, 0));
    let left = names(&store, "layers");
    assert!(layers.iter().all(|layer| left.contains(layer)), "{left:?}");
    store.images().untag("localhost/both:1").unwrap();
    store.prune(Prune::Unreferenced, &|| true).unwrap();
    assert_eq!((names(&store, "layers").len(), names(&store, "blobs/sha256").len()), (0, 0));
}

#[test]
fn everything_is_everything() {
    let (_dir, store) = store();
    fill(&store);
    let pruned = store.prune(Prune::Everything, &|| true).unwrap();
    assert_eq!((pruned.records, pruned.layers, pruned.blobs), (2, 2, 4));
    assert_eq!(store.images().list().unwrap(), []);
    let usage = store.usage().unwrap();
    assert_eq!((usage.records.len(), usage.layers.len(), usage.blobs.len()), (0, 0, 0));
    assert_eq!(store.verify().unwrap().damage, []);
}

#[test]
fn a_size_is_kept_and_the_rest_still_works() {
    let (_dir, store) = store();
    let layers: Vec<_> =
        (1..=9).map(|n| fixture::layer(&store, &vec![n; 100_000], None).unwrap()).collect();
    for (key, layer) in (1..).zip(&layers) {
        store.records().put(&record(key, vec![*layer])).unwrap();
    }
    let limit = store.usage().unwrap().total() - 250_000;
    let pruned = store.prune(Prune::ToSize(limit), &|| true).unwrap();
    assert!(pruned.left <= limit && pruned.layers == 3, "{pruned:?}");
    // The first ones took the fewest seconds.
    for (key, expected) in (1..=9).zip([false, false, false, true, true, true, true, true, true]) {
        assert_eq!(store.records().get(&[key; 32]).is_some(), expected, "{key}");
    }
    assert_eq!(store.prune(Prune::ToSize(limit), &|| true).unwrap().layers, 0);
}

#[test]
fn layers_without_a_row_and_layers_that_nobody_names_go() {
    let (_dir, store) = store();
    fixture::layer(&store, b"a step that failed later", None).unwrap();
    std::fs::create_dir_all(store.ground().layers().join("stray/fs")).unwrap();
    store.prune(Prune::ToSize(u64::MAX), &|| true).unwrap();
    assert_eq!(names(&store, "layers"), Vec::<String>::new());
}

#[test]
fn who_shares_the_store_keeps_it_from_being_pruned_until_they_leave() {
    let (dir, store) = store();
    let other = Store::open(dir.path()).unwrap();
    let error = store.prune(Prune::Everything, &|| true).unwrap_err();
    assert!(matches!(error, PruneError::Busy { .. }), "{error}");
    // Two that want it at once do not wait for each other for ever.
    std::thread::scope(|scope| {
        for store in [store, other] {
            scope.spawn(move || store.prune(Prune::Everything, &|| false).unwrap());
        }
    });
}

#[test]
fn bytes_with_two_names_are_counted_once() {
    let (_dir, store) = store();
    let layer = fixture::layer(&store, &[1; 50_000], None).unwrap();
    store.records().put(&record(1, vec![layer])).unwrap();
    let before = store.usage().unwrap().total();
    let tar = Digest::of(&[1; 50_000]);
    let file = store.ground().layer(&layer).join("fs/file");
    std::fs::hard_link(file, store.blobs().path(&tar)).unwrap();
    assert!(store.blobs().contains(&tar));
    store.ground().db.put_tar(&layer, None, &tar, 50_000).unwrap();
    let usage = store.usage().unwrap();
    assert!(usage.blobs[0].is_tar && usage.blobs[0].size == 0);
    assert_eq!(
        usage.layers.iter().map(|layer| layer.size).sum::<u64>() + usage.other,
        usage.total()
    );
    assert!(usage.total() < before + 40_000);
}
