use super::*;

#[test]
fn an_error_tells_what_was_tried_on_what_and_why_not() {
    let error = open(Path::new("/nowhere/file")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open `/nowhere/file`: No such file or directory (os error 2)"
    );
    assert!(error.is_absent() && !error.is_full());
    let full = FsError::new("write", Path::new("/x"), rustix::io::Errno::NOSPC);
    assert!(full.is_full());
    assert_eq!(io::Error::from(full).kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_measure_counts_names_lengths_and_blocks_once() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    create_dir_all(&top.join("a/b")).unwrap();
    std::fs::write(top.join("a/file"), vec![1; 10_000]).unwrap();
    let one = measure(&top).unwrap();
    assert_eq!((one.entries, one.bytes), (3, 10_000));
    assert!(one.allocated >= 10_000);
    // Another name takes no blocks; a link is not followed.
    std::fs::hard_link(top.join("a/file"), top.join("a/b/same")).unwrap();
    std::os::unix::fs::symlink("/", top.join("root")).unwrap();
    let two = measure(&top).unwrap();
    assert_eq!((two.entries, two.bytes, two.allocated), (5, 20_000, one.allocated));
    assert!(!two.same_tree(&one));
    std::fs::write(top.join("a/file"), vec![1; 9_999]).unwrap();
    assert!(!measure(&top).unwrap().same_tree(&two));
}

#[test]
fn trees_are_removed_without_leaving_them() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, tree) = (dir.path().join("kept"), dir.path().join("tree"));
    std::fs::write(&kept, "x").unwrap();
    create_dir_all(&tree.join("a")).unwrap();
    std::os::unix::fs::symlink(dir.path(), tree.join("a/up")).unwrap();
    remove_tree(&tree).unwrap();
    remove_tree(&tree).unwrap();
    assert!(kept.exists() && !tree.exists());
    std::os::unix::fs::symlink(&kept, &tree).unwrap();
    remove_tree(&tree).unwrap();
    assert!(kept.exists() && !tree.is_symlink());
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (path, tmp) = (dir.path().join("file"), dir.path().join("tmp"));
    std::fs::write(&path, "old").unwrap();
    for n in 1..=4 {
        fault::arm(n, fault::Then::GoOn, rustix::io::Errno::IO);
        let replaced = replace(&path, &tmp, b"new");
        assert!(fault::disarm() && replaced.is_err());
        assert_eq!((read(&path).unwrap(), tmp.exists()), (b"old".to_vec(), false));
    }
    replace(&path, &tmp, b"new").unwrap();
    assert_eq!(read(&path).unwrap(), b"new");
}

#[test]
fn what_goes_away_while_it_is_measured_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let busy = dir.path().join("busy");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for name in 0..20 {
                    std::fs::create_dir_all(busy.join(format!("{name}/deep"))).unwrap();
                }
                std::fs::remove_dir_all(&busy).unwrap();
            }
        });
        let measured: Vec<_> = (0..2000).map(|_| measure(dir.path())).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(measured.iter().all(Result::is_ok), "{measured:?}");
    });
}
