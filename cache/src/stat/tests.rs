//! What the stat cache trusts, and what it survives.

use std::fs::{self, File};
use std::time::SystemTime;

use tempfile::TempDir;

use super::*;
use crate::tree::{Owners, PathSelector, Tree};

fn node(root: &Path) -> Node {
    let tree = Tree::open(root, Owners::Root, None).unwrap();
    let selector = PathSelector::of("file");
    tree.select(&selector).unwrap().matches[0].top.node.clone()
}

fn later() -> Time {
    Time { seconds: Time::now().seconds + 10, nanos: 0 }
}

/// Writes until the file system's clock has moved on: within one tick nobody can tell.
fn change(root: &Path, bytes: &str, mtime: SystemTime) {
    let before = node(root).ctime;
    while node(root).ctime == before {
        fs::write(root.join("file"), bytes).unwrap();
        File::options().write(true).open(root.join("file")).unwrap().set_modified(mtime).unwrap();
    }
}

#[test]
fn a_change_that_restores_size_and_mtime_is_seen() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "old").unwrap();
    let before = node(root.path());
    let cache = StatCache::none();
    cache.put(&before, ContentDigest::of(b"old"), later());
    assert_eq!(cache.get(&before), Some(ContentDigest::of(b"old")));

    let mtime = fs::metadata(root.path().join("file")).unwrap().modified().unwrap();
    change(root.path(), "new", mtime);
    let after = node(root.path());
    assert_eq!((after.size, after.mtime, after.identity), (3, before.mtime, before.identity));
    assert_eq!(cache.get(&after), None);
}

#[test]
fn what_was_just_changed_is_not_trusted() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let mut node = node(root.path());
    let at = |nanos| Time { seconds: 1000, nanos };
    let rows = [
        // ctime, looked, trusted
        (at(123_456_789), at(123_456_789), false),
        (at(123_456_789), at(143_456_788), false),
        (at(123_456_789), at(143_456_789), true),
        (at(0), at(999_999_999), false),
        (at(0), Time { seconds: 1002, nanos: 0 }, true),
        (Time { seconds: 2000, nanos: 1 }, at(0), false),
    ];
    for (ctime, looked, trusted) in rows {
        let cache = StatCache::none();
        node.ctime = ctime;
        cache.put(&node, ContentDigest::of(b"x"), looked);
        assert_eq!(cache.get(&node).is_some(), trusted, "{ctime:?} {looked:?}");
    }
}

#[test]
fn a_saved_cache_is_read_back_and_merged() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let mut nodes = Vec::new();
    for inode in 0..300 {
        let mut node = node(root.path());
        node.identity.1 = inode * 7919 % 300;
        nodes.push(node);
    }
    let caches = root.path().join("stat");
    let open = || StatCache::open(&caches, root.path().join("tmp"), Path::new("/some/context"));
    let (one, two) = (open(), open());
    for (index, node) in nodes.iter().enumerate() {
        let cache = if index % 2 == 0 { &one } else { &two };
        cache.put(node, ContentDigest::of(&node.identity.1.to_be_bytes()), later());
    }
    one.save().unwrap();
    two.save().unwrap();
    let both = open();
    for node in &nodes {
        let expected = ContentDigest::of(&node.identity.1.to_be_bytes());
        assert_eq!(both.get(node), Some(expected));
    }
    let other = StatCache::open(&caches, root.path().join("tmp"), Path::new("/other"));
    assert_eq!(other.get(&nodes[0]), None);
}

#[test]
fn a_damaged_file_is_an_empty_cache() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let node = node(root.path());
    let caches = root.path().join("stat");
    let open = || StatCache::open(&caches, root.path().join("tmp"), Path::new("/c"));
    let cache = open();
    cache.put(&node, ContentDigest::of(b"x"), later());
    cache.save().unwrap();
    let file = fs::read_dir(&caches).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    for cut in [0, 10, HEADER, whole.len() - 1] {
        fs::write(&file, &whole[..cut]).unwrap();
        assert_eq!(open().get(&node), None, "cut at {cut}");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(open().get(&node), None, "bit {at}");
    }
    fs::write(&file, whole).unwrap();
    assert_eq!(open().get(&node), Some(ContentDigest::of(b"x")));
}

#[test]
fn a_known_file_is_not_read() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let cache = StatCache::none();
    let wrong = ContentDigest::of(b"not what the file holds");
    cache.put(&node(root.path()), wrong, later());
    let tree = Tree::open(root.path(), Owners::Root, None).unwrap();
    let selector = PathSelector::of("file");
    let selection = tree.select(&selector).unwrap();
    selection.digest(&cache).unwrap();
    assert_eq!(selection.file_digests().unwrap(), [Some(wrong)]);
}
