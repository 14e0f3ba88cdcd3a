use super::*;
use crate::fixture::{self, names, record, store};

#[test]
fn a_good_store_has_no_damage() {
    let (_dir, store) = store();
    let image = fixture::image(&store, b"tar");
    store.images().tag("localhost/a:1", &image).unwrap();
    let layer = fixture::layer(&store, b"x", None).unwrap();
    store.records().put(&record(1, vec![layer])).unwrap();
    let report = store.verify().unwrap();
    assert_eq!(report, Report { blobs: 3, layers: 1, records: 1, damage: vec![] });
}

#[test]
fn all_damage_is_found_and_dropped_and_the_rest_stays() {
    let (_dir, store) = store();
    let image = fixture::image(&store, b"tar");
    store.images().tag("localhost/broken:1", &image).unwrap();
    store.images().tag("localhost/good:1", &fixture::image(&store, b"other")).unwrap();
    let gone = store.blobs().put(b"gone").unwrap();
    let layers = ["good", "gone", "changed"]
        .map(|bytes| fixture::layer(&store, bytes.as_bytes(), None).unwrap());
    for (key, layer) in (1..).zip(layers) {
        store.records().put(&record(key, vec![layers[0], layer])).unwrap();
    }
    std::fs::write(store.blobs().path(&image.digest), "?").unwrap();
    std::fs::remove_file(store.blobs().path(&gone)).unwrap();
    std::fs::remove_dir_all(store.ground().layer(&layers[1])).unwrap();
    std::fs::write(store.ground().layer(&layers[2]).join("fs/file"), "").unwrap();

    let slot = "app 2".to_owned();
    let expected = [
        Damage::BlobChanged(image.digest),
        Damage::BlobGone(gone),
        Damage::LayerGone(layers[1]),
        Damage::LayerChanged(layers[2]),
        Damage::Record { key: [2; 32], slot: slot.clone() },
        Damage::Record { key: [3; 32], slot },
        Damage::Image { name: "localhost/broken:1".to_owned() },
    ];
    for report in [store.verify().unwrap(), store.repair(&|| true).unwrap()] {
        assert_eq!(report.damage.len(), expected.len());
        assert!(expected.iter().all(|damage| report.damage.contains(damage)), "{report:?}");
    }
    assert_eq!(store.verify().unwrap().damage, []);
    assert!(store.records().get(&[1; 32]).is_some());
    assert_eq!(store.images().list().unwrap().len(), 1);
    assert_eq!(names(&store, "layers"), [layers[0].to_string()]);
}

#[test]
fn an_index_without_one_of_its_images_is_damage() {
    let (_dir, store) = store();
    let images = [b"one", b"two"].map(|tar| fixture::image(&store, tar));
    store.images().tag("localhost/both:1", &fixture::index(&store, &images)).unwrap();
    assert_eq!(store.verify().unwrap().damage, []);
    std::fs::remove_file(store.blobs().path(&images[1].digest)).unwrap();
    let damage = store.verify().unwrap().damage;
    assert!(damage.contains(&Damage::BlobGone(images[1].digest)), "{damage:?}");
    assert!(damage.contains(&Damage::Image { name: "localhost/both:1".to_owned() }), "{damage:?}");
}

#[test]
fn a_broken_index_is_found_and_put_aside_at_the_next_opening() {
    let (dir, store) = store();
    for key in 1..40 {
        store.records().put(&record(key, vec![])).unwrap();
    }
    // A row that the index by slot does not know.
    let script = "PRAGMA writable_schema = ON; \
                  DELETE FROM sqlite_schema WHERE name = 'records_by_slot';";
    store.ground().db.write(|t| t.execute_batch(script)).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let report = store.repair(&|| true).unwrap();
    assert!(matches!(report.damage[..], [Damage::Index { .. }]), "{report:?}");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert!(store.warnings()[0].contains("begins anew"));
    assert_eq!(store.verify().unwrap().damage, []);
}

#[test]
fn a_changed_byte_in_a_layer_that_is_a_tar_is_found() {
    let (_dir, store) = store();
    let folder = store.ground().temporary().unwrap();
    fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("layer.tar"), "the tar").unwrap();
    let diff_id = Some(Digest::of(b"the tar"));
    let layer = store.ground().place_layer(&folder, Form::Erofs, diff_id, None).unwrap();
    assert_eq!(store.verify().unwrap().damage, []);
    std::fs::write(store.ground().layer(&layer).join("layer.tar"), "the rat").unwrap();
    assert_eq!(store.verify().unwrap().damage, [Damage::LayerChanged(layer)]);
}
