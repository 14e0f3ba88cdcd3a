use super::*;
use crate::fixture::store;

#[test]
fn bytes_come_back_by_their_digest() {
    let (dir, store) = store();
    let digest = store.blobs().put(b"hello").unwrap();
    assert_eq!(digest, Digest::of(b"hello"));
    assert_eq!(store.blobs().read(&digest).unwrap(), b"hello");
    assert_eq!(store.blobs().size(&digest), Some(5));
    assert_eq!(
        std::fs::read(dir.path().join("blobs/sha256").join(digest.hex())).unwrap(),
        b"hello"
    );
}

#[test]
fn pieces_of_any_size_make_the_same_blob() {
    let (_dir, store) = store();
    let bytes: Vec<u8> = (0..500_000u32).map(|n| (n / 7) as u8).collect();
    for piece in [1000, BUFFER - 1, BUFFER, BUFFER + 1, bytes.len()] {
        let mut writer = store.blobs().writer().unwrap();
        bytes.chunks(piece).for_each(|chunk| writer.write_all(chunk).unwrap());
        assert_eq!(writer.finish(None).unwrap(), (Digest::of(&bytes), bytes.len() as u64));
        store.blobs().remove(&Digest::of(&bytes)).unwrap();
    }
}

#[test]
fn other_bytes_than_expected_are_thrown_away() {
    let (dir, store) = store();
    let mut writer = store.blobs().writer().unwrap();
    writer.write_all(b"evil").unwrap();
    let error = writer.finish(Some(&Digest::of(b"good"))).unwrap_err();
    assert!(matches!(error, BlobWriteError::Mismatch { .. }), "{error}");
    assert!(!store.blobs().contains(&Digest::of(b"good")));
    assert!(!store.blobs().contains(&Digest::of(b"evil")));
    assert_eq!(fs::list(&dir.path().join("tmp")).unwrap(), Vec::<String>::new());
}

#[test]
fn an_unfinished_blob_leaves_nothing() {
    let (dir, store) = store();
    let mut writer = store.blobs().writer().unwrap();
    writer.write_all(&vec![1; 2 * BUFFER]).unwrap();
    assert_eq!(fs::list(&dir.path().join("tmp")).unwrap().len(), 1);
    drop(writer);
    assert_eq!(fs::list(&dir.path().join("tmp")).unwrap(), Vec::<String>::new());
}

#[test]
fn a_missing_or_shortened_blob_is_not_contained_and_can_be_put_again() {
    let (_dir, store) = store();
    let digest = store.blobs().put(b"hello").unwrap();
    std::fs::write(store.blobs().path(&digest), b"hell").unwrap();
    assert!(!store.blobs().contains(&digest));
    assert!(matches!(store.blobs().open(&digest), Err(BlobReadError::Absent { .. })));
    store.blobs().put(b"hello").unwrap();
    assert_eq!(store.blobs().read(&digest).unwrap(), b"hello");
    std::fs::remove_file(store.blobs().path(&digest)).unwrap();
    assert!(!store.blobs().contains(&digest));
    store.blobs().put(b"hello").unwrap();
    assert!(store.blobs().contains(&digest));
}

#[test]
fn a_blob_with_changed_bytes_is_found_when_read_and_removed() {
    let (_dir, store) = store();
    let digest = store.blobs().put(b"hello").unwrap();
    std::fs::write(store.blobs().path(&digest), b"jello").unwrap();
    assert!(matches!(store.blobs().read(&digest), Err(BlobReadError::Damaged { .. })));
    assert!(!store.blobs().contains(&digest));
}

#[test]
fn a_blob_that_another_tool_put_there_is_believed_after_a_look() {
    let (_dir, store) = store();
    let (good, bad) = (Digest::of(b"good"), Digest::of(b"bad"));
    std::fs::write(store.blobs().path(&good), b"good").unwrap();
    std::fs::write(store.blobs().path(&bad), b"something else").unwrap();
    assert_eq!(store.blobs().size(&good), Some(4));
    assert!(!store.blobs().contains(&bad));
}

#[test]
fn a_file_can_be_linked_by_several_at_once() {
    let (dir, store) = store();
    let file = dir.path().join("file");
    std::fs::write(&file, b"hello").unwrap();
    let digest = Digest::of(b"hello");
    let link = || (0..100).for_each(|_| assert_eq!(store.blobs().link(&file, &digest).unwrap(), 5));
    std::thread::scope(|threads| (0..4).for_each(|_| drop(threads.spawn(link))));
    assert_eq!(store.blobs().read(&digest).unwrap(), b"hello");
    assert_eq!(fs::list(&dir.path().join("tmp")).unwrap(), Vec::<String>::new());
}
