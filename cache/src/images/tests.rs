use super::*;
use crate::fixture::{self, store};
use crate::store::Store;

fn image_of(store: &Store, bytes: &[u8]) -> Descriptor {
    store.blobs().put(bytes).unwrap();
    fixture::descriptor(bytes)
}

fn names(store: &Store) -> Vec<String> {
    store.images().list().unwrap().into_iter().map(|image| image.name).collect()
}

#[test]
fn a_tag_names_one_image_at_a_time() {
    let (_dir, store) = store();
    let (one, two) = (image_of(&store, b"1"), image_of(&store, b"2"));
    let name = "docker.io/library/app:latest";
    store.images().tag(name, &one).unwrap();
    store.images().tag("localhost/b:1", &one).unwrap();
    store.images().tag(name, &two).unwrap();
    assert_eq!(names(&store), [name, "localhost/b:1"]);
    let image = store.images().get(name).unwrap().unwrap();
    assert_eq!(image.descriptor.digest, two.digest);
    assert_eq!(image.descriptor.annotations[REF_NAME], "app:latest");
    assert_eq!(image.descriptor.annotations[CANONICAL_NAME], name);
    assert!(store.images().untag(name).unwrap());
    assert!(!store.images().untag(name).unwrap());
    assert_eq!(names(&store), ["localhost/b:1"]);
}

#[test]
fn what_is_not_in_the_store_cannot_be_tagged() {
    let (_dir, store) = store();
    let mut absent = image_of(&store, b"1");
    absent.digest = Digest::of(b"elsewhere");
    let error = store.images().tag("docker.io/library/app:1", &absent).unwrap_err();
    assert!(matches!(error, ImageError::Absent { .. }), "{error}");
}

#[test]
fn what_others_wrote_stays() {
    let (dir, store) = store();
    let digest = Digest::of(b"theirs");
    let theirs = format!(
        r#"{{"schemaVersion":2,"manifests":[
            {{"mediaType":"m","digest":"{digest}","size":6,"platform":{{"os":"linux"}}}},
            {{"mediaType":"m","digest":"{digest}","size":6,
              "annotations":{{"{REF_NAME}":"theirs"}}}}],
            "annotations":{{"a":"b"}}}}"#
    );
    std::fs::write(dir.path().join("index.json"), theirs).unwrap();
    assert_eq!(names(&store), ["docker.io/library/theirs:latest"]);
    let ours = image_of(&store, b"1");
    store.images().tag("docker.io/library/app:1", &ours).unwrap();
    let index = std::fs::read(dir.path().join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 3);
    assert_eq!(index["manifests"][0]["platform"]["os"], "linux");
    assert_eq!(index["annotations"]["a"], "b");
}

#[test]
fn a_damaged_or_missing_index_is_made_anew() {
    let (dir, store) = store();
    let name = "docker.io/library/app:1";
    store.images().tag(name, &image_of(&store, b"1")).unwrap();
    let path = dir.path().join("index.json");
    for damage in [&b"{\"schemaVersion\":2,\"manif"[..], b"", b"\0\0\0\0", b"[]"] {
        std::fs::write(&path, damage).unwrap();
        assert_eq!(names(&store), [name]);
        assert_eq!(store.warnings().len(), 1);
    }
    assert_eq!(std::fs::read(dir.path().join("index.json.damaged-2")).unwrap(), b"");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(names(&store), [name]);
    assert!(store.warnings()[0].contains("missing"));
}

#[test]
fn many_threads_and_handles_tag_at_once_and_none_is_lost() {
    let (dir, store) = store();
    let image = image_of(&store, b"1");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (dir, image) = (&dir, &image);
            scope.spawn(move || {
                let store = Store::open(dir.path()).unwrap();
                for n in 0..5 {
                    store.images().tag(&format!("localhost/t{thread}:{n}"), image).unwrap();
                }
            });
        }
    });
    assert_eq!(names(&store).len(), 20);
}
