use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_store_is_made_and_opened_again() {
    let dir = folder();
    let root = dir.path().join("a/b");
    let digest = Store::open(&root).unwrap().blobs().put(b"x").unwrap();
    let store = Store::open(&root).unwrap();
    assert!(store.blobs().contains(&digest));
    assert_eq!(store.warnings(), Vec::<String>::new());
}

#[test]
fn a_folder_with_other_things_is_refused() {
    let dir = folder();
    std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { ref found, .. } if found == "thesis.tex"));
    assert_eq!(fs::list(dir.path()).unwrap(), ["thesis.tex"]);
}
