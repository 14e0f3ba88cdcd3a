//! A build's worth of changes, ended at every single one of them.

use std::collections::HashSet;
use std::error::Error;

use rustix::io::Errno;

use super::*;
use crate::blob::BlobWriteError;
use crate::digest::Digest;
use crate::fs::fault::{self, Lose, Then};
use crate::gc::Prune;
use crate::id::LayerId;
use crate::record::Record;

/// What a run was told to be done.
#[derive(Default)]
struct Done {
    blobs: Vec<Digest>,
    records: Vec<Record>,
    /// Layers that were settled.
    settled: HashSet<LayerId>,
    /// Name and digest of what was tagged last.
    tags: Vec<(String, Digest)>,
}

/// Does something in the store at a path, and notes what it was told to be done.
type Script = fn(&Path, &mut Done) -> Result<(), Box<dyn Error>>;

/// A layer is written, recorded, tagged, changed; a second one comes on top; all is settled, and
/// pruned to the tagged images.
fn build(root: &Path, done: &mut Done) -> Result<(), Box<dyn Error>> {
    let store = Store::open(root)?;
    done.blobs.push(store.blobs().put(b"config")?);
    let base = fixture::layer(&store, &[1; 5000], None)?;
    record_it(&store, 1, vec![base], done)?;
    tag(&store, "docker.io/library/app:1", b"manifest 1", done)?;
    store.settle()?;
    done.settled = done.records.iter().flat_map(|record| record.layers.clone()).collect();
    let mut writer = store.blobs().writer()?;
    for _ in 0..3 {
        std::io::Write::write_all(&mut writer, &[2; 100_000])?;
    }
    done.blobs.push(writer.finish(None)?.0);
    let top = fixture::layer(&store, &[3; 5000], None)?;
    record_it(&store, 2, vec![base, top], done)?;
    tag(&store, "docker.io/library/app:1", b"manifest 2", done)?;
    tag(&store, "localhost/other:1", b"manifest 2", done)?;
    Ok(())
}

fn prune(root: &Path, done: &mut Done) -> Result<(), Box<dyn Error>> {
    let store = Store::open(root)?;
    done.blobs.clear();
    done.records.clear();
    store.prune(Prune::Unreferenced, &|| true)?;
    Ok(())
}

fn record_it(
    store: &Store,
    key: u8,
    layers: Vec<LayerId>,
    done: &mut Done,
) -> Result<(), Box<dyn Error>> {
    let record = record(key, layers);
    store.records().put(&record)?;
    // The same key of an earlier run is replaced.
    done.records.retain(|old| old.key != record.key);
    done.records.push(record);
    Ok(())
}

fn tag(store: &Store, name: &str, bytes: &[u8], done: &mut Done) -> Result<(), Box<dyn Error>> {
    let digest = store.blobs().put(bytes)?;
    // From here on it may be this or the one before.
    done.tags.retain(|(other, _)| other != name);
    store.images().tag(name, &fixture::descriptor(bytes))?;
    done.tags.push((name.to_owned(), digest));
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Kill,
    PowerCut(Lose),
}

const ENDS: [End; 3] = [End::Kill, End::PowerCut(Lose::Bytes), End::PowerCut(Lose::BytesAndNames)];

/// A folder in memory where there is one: thousands of syncs are waited for.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Runs `script` to its N-th change for all N, and judges what is left each time.
fn at_every_change(prepare: bool, script: Script) {
    for end in ENDS {
        for n in 1.. {
            let (dir, mut done) = (folder(), Done::default());
            if prepare {
                build(dir.path(), &mut done).unwrap();
            }
            fault::arm(n, Then::Die, Errno::IO);
            let ended = script(dir.path(), &mut done);
            let reached = fault::disarm();
            if let End::PowerCut(lose) = end {
                fault::power_cut(lose);
            }
            look(dir.path(), &done, end, n);
            if !reached {
                ended.unwrap();
                assert!(n > 5, "only {n} changes were tried");
                break;
            }
        }
    }
}

fn look(root: &Path, done: &Done, end: End, n: u64) {
    let store = Store::open(root).unwrap();
    if end != End::Kill {
        store.ground().pretend_boot("the next");
    }
    assert_eq!(names(&store, "tmp"), Vec::<String>::new(), "{end:?} at {n}");
    let strays = names(&store, "blobs/sha256").into_iter().filter(|name| name.len() != 64);
    assert_eq!(strays.count(), 0, "{end:?} at {n}");
    for (name, digest) in &done.tags {
        let image = store.images().get(name).unwrap().unwrap();
        assert_eq!(image.descriptor.digest, *digest, "{end:?} at {n}: {name}");
    }
    // Whatever is tagged is there.
    for image in store.images().list().unwrap() {
        assert!(store.blobs().read(&image.descriptor.digest).is_ok(), "{end:?} at {n}");
    }
    for digest in &done.blobs {
        let there = store.blobs().contains(digest);
        assert!(there || end != End::Kill, "{end:?} at {n}: {digest}");
        assert!(!there || store.blobs().read(digest).is_ok(), "{end:?} at {n}: {digest}");
    }
    for record in &done.records {
        let found = store.records().get(&record.key);
        let settled = record.layers.iter().all(|layer| done.settled.contains(layer));
        let must = end == End::Kill || settled;
        assert!(found.is_some() || !must, "{end:?} at {n}: record {}", record.key[0]);
    }
    whole_or_nothing(&store, end, n);
    drop(store);
    build(root, &mut Done::default()).unwrap();
}

/// No record gives a layer that is not as it was made.
fn whole_or_nothing(store: &Store, end: End, n: u64) {
    for key in 1..=2 {
        let found = store.records().get(&[key; 32]);
        for layer in found.into_iter().flat_map(|record| record.layers) {
            let file = store.root().join(format!("layers/{layer}/fs/file"));
            assert_eq!(std::fs::read(file).unwrap().len(), 5000, "{end:?} at {n}");
        }
    }
}

#[test]
fn a_build_that_ends_at_any_change_leaves_a_good_store() {
    at_every_change(false, build);
}

#[test]
fn a_second_build_that_ends_at_any_change_loses_nothing_of_the_first() {
    at_every_change(true, build);
}

#[test]
fn pruning_that_ends_at_any_change_leaves_a_good_store() {
    at_every_change(true, prune);
}

#[test]
fn a_disk_that_is_full_at_any_change_is_told_and_got_over() {
    for n in 1.. {
        let (dir, mut done) = (folder(), Done::default());
        fault::arm(n, Then::GoOn, Errno::NOSPC);
        let ended = build(dir.path(), &mut done);
        if !fault::disarm() {
            break;
        }
        if let Err(error) = ended {
            assert!(error.to_string().contains("No space left on device"), "{n}: {error}");
        }
        // The same store goes on once there is room again, and has nothing half done.
        look(dir.path(), &done, End::Kill, n);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.verify().unwrap().damage, [], "{n}");
    }
}

#[test]
fn a_full_disk_leaves_no_part_of_a_blob() {
    let (_dir, store) = fixture::store();
    store.blobs().put(b"so that there is an owner").unwrap();
    // Making the file, writing, syncing, renaming.
    for n in 1..=4 {
        fault::arm(n, Then::GoOn, Errno::NOSPC);
        let put = store.blobs().put(b"abcdefgh");
        assert!(fault::disarm());
        let told = matches!(put, Err(BlobWriteError::Disk(ref error)) if error.is_full());
        assert!(told, "{n}: {put:?}");
        assert!(!store.blobs().contains(&Digest::of(b"abcdefgh")));
        assert_eq!(names(&store, "blobs/sha256").len(), 1);
        assert_eq!(names(&store, "tmp"), Vec::<String>::new());
    }
    store.blobs().put(b"abcdefgh").unwrap();
    assert!(store.blobs().contains(&Digest::of(b"abcdefgh")));
}
