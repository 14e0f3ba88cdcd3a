use std::sync::mpsc;
use std::thread;

use super::*;
use crate::fixture::{names, store};
use crate::layer::Kind;
use crate::{Prune, Store};

fn name(id: &str) -> VolumeName {
    VolumeName { namespace: String::new(), id: id.to_owned(), base: String::new() }
}

fn take(store: &Store, id: &str, sharing: Sharing) -> Volume {
    match store.volumes().take(&name(id), sharing, &|| false).unwrap() {
        Taken::Ready(volume) => volume,
        Taken::New(new) => new.finish(0o755, (0, 0)).unwrap(),
    }
}

/// Whether one that is used like this by somebody can be had at once.
fn can_take(store: &Store, id: &str, sharing: Sharing) -> bool {
    store.volumes().take(&name(id), sharing, &|| true).is_ok()
}

#[test]
fn what_is_written_stays() {
    let (_dir, store) = store();
    std::fs::write(take(&store, "a", Sharing::Shared).path().join("file"), "kept").unwrap();
    let again = take(&store, "a", Sharing::Locked).path();
    assert_eq!(std::fs::read_to_string(again.join("file")).unwrap(), "kept");
    assert!(!take(&store, "b", Sharing::Shared).path().join("file").exists());
}

#[test]
fn no_name_is_a_path() {
    let (dir, store) = store();
    for id in ["../../out", "/etc", "", ".", "a/b", "x\0y", "-1"] {
        let path = take(&store, id, Sharing::Shared).path();
        let below = path.strip_prefix(dir.path()).unwrap().to_owned();
        assert!(
            below.to_str().unwrap().starts_with("store/volumes/") || below.starts_with("volumes")
        );
        assert_eq!(path.file_name().unwrap(), "data");
    }
    let with = |namespace: &str, id: &str| VolumeName { namespace: namespace.into(), ..name(id) };
    assert_ne!(with("a", "bc").digest(), with("ab", "c").digest());
    assert_ne!(name("a").digest(), VolumeName { base: "x".into(), ..name("a") }.digest());
}

#[test]
fn who_waits_and_who_does_not() {
    use Sharing::{Locked, Private, Shared};
    let rows = [
        (Shared, Shared, true),
        (Shared, Locked, false),
        (Locked, Locked, false),
        (Locked, Shared, false),
        (Locked, Private, true),
        (Private, Private, true),
    ];
    for (first, second, expected) in rows {
        let (_dir, store) = store();
        let held = take(&store, "a", first);
        assert_eq!(can_take(&store, "a", second), expected, "{first:?} {second:?}");
        drop(held);
        assert!(can_take(&store, "a", second));
    }
}

#[test]
fn private_ones_are_used_again() {
    let (_dir, store) = store();
    let (one, two) = (take(&store, "a", Sharing::Private), take(&store, "a", Sharing::Private));
    let paths = [one.path(), two.path()];
    assert_ne!(paths[0], paths[1]);
    drop(one);
    assert_eq!(take(&store, "a", Sharing::Private).path(), paths[0]);
}

#[test]
fn who_waits_gets_it_when_it_is_free() {
    let (_dir, store) = store();
    let held = take(&store, "a", Sharing::Locked);
    let (asked, asks) = mpsc::channel();
    let waiter = thread::spawn({
        let store = store.clone();
        move || {
            let cancelled = move || asked.send(()).is_err();
            store.volumes().take(&name("a"), Sharing::Locked, &cancelled).is_ok()
        }
    });
    asks.recv().unwrap();
    drop(held);
    assert!(waiter.join().unwrap());
    drop(asks);
}

#[test]
fn a_new_one_is_seen_when_it_is_complete() {
    let (_dir, store) = store();
    let Taken::New(mut new) = store.volumes().take(&name("a"), Sharing::Shared, &|| false).unwrap()
    else {
        panic!("it is there")
    };
    let data = &mut &b"seed"[..];
    new.add(&Entry::new("sub/file", Kind::File { size: 4 }, 0o600), Some(data)).unwrap();
    assert!(!can_take(&store, "a", Sharing::Shared));
    let volume = new.finish(0o1777, (0, 0)).unwrap();
    let meta = std::fs::metadata(volume.path()).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&meta) & 0o7777, 0o1777);
    assert_eq!(std::fs::read(volume.path().join("sub/file")).unwrap(), b"seed");
    assert!(can_take(&store, "a", Sharing::Shared));
    // One that is given up leaves nothing to be taken for it.
    drop(store.volumes().take(&name("b"), Sharing::Shared, &|| false).unwrap());
    assert!(matches!(
        store.volumes().take(&name("b"), Sharing::Shared, &|| false).unwrap(),
        Taken::New(_)
    ));
}

#[test]
fn a_renewed_one_begins_anew() {
    let (_dir, store) = store();
    std::fs::write(take(&store, "a", Sharing::Shared).path().join("file"), "old").unwrap();
    store.volumes().renew(&name("a"), &|| false).unwrap();
    assert!(!take(&store, "a", Sharing::Shared).path().join("file").exists());
    let held = take(&store, "a", Sharing::Shared);
    let refused = store.volumes().renew(&name("a"), &|| true);
    assert!(matches!(refused, Err(VolumeError::Cancelled)));
    drop(held);
}

#[test]
fn volumes_are_counted_and_pruned() {
    let (_dir, store) = store();
    std::fs::write(take(&store, "npm", Sharing::Shared).path().join("file"), [1; 100_000]).unwrap();
    let usage = store.usage().unwrap();
    assert_eq!(usage.volumes[0].name, name("npm"));
    assert!(usage.volumes[0].size >= 100_000 && usage.total() >= 100_000);
    let kept = store.prune(Prune::ToSize(usage.total()), &|| false).unwrap();
    assert_eq!(kept.volumes, 0);
    let pruned = store.prune(Prune::Unreferenced, &|| false).unwrap();
    assert!(pruned.volumes == 1 && pruned.freed >= 100_000, "{pruned:?}");
    assert_eq!(names(&store, "volumes"), Vec::<String>::new());
}
