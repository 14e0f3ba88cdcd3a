//! The sentences that explain a miss.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::stat::StatCache;
use crate::tree::{PathSelector, Tree};

fn manifest(root: &Path) -> Vec<u8> {
    let tree = Tree::open(root, Owners::Root, None).unwrap();
    let selector = PathSelector::everything();
    let selection = tree.select(&selector).unwrap();
    selection.digest(&StatCache::none()).unwrap();
    selection.manifest()
}

type Row = (fn(&Path), Option<&'static str>);

#[test]
fn the_first_change_is_told() {
    let rows: &[Row] = &[
        (|_| {}, None),
        (|root| fs::write(root.join("src/app.go"), "new").unwrap(), Some("src/app.go changed")),
        (|root| fs::write(root.join("src/app.go"), "old").unwrap(), None),
        (|root| fs::write(root.join("x"), "").unwrap(), Some("added x")),
        (|root| fs::remove_file(root.join("y")).unwrap(), Some("removed y")),
        (
            |root| fs::set_permissions(root.join("y"), PermissionsExt::from_mode(0o600)).unwrap(),
            Some("mode 0644 -> 0600 on y"),
        ),
        (
            |root| {
                fs::create_dir(root.join("a")).unwrap();
                fs::write(root.join("a/b"), "").unwrap();
                fs::write(root.join("src/app.go"), "new").unwrap();
            },
            Some("src/app.go changed, and 2 more"),
        ),
    ];
    for (change, expected) in rows {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("src")).unwrap();
        for (path, text) in [("src/app.go", "old"), ("src/apple.go", "1"), ("y", "")] {
            fs::write(root.path().join(path), text).unwrap();
            let mode = PermissionsExt::from_mode(0o644);
            fs::set_permissions(root.path().join(path), mode).unwrap();
        }
        let before = manifest(root.path());
        change(root.path());
        assert_eq!(diff(&before, &manifest(root.path())).as_deref(), *expected);
    }
}

proptest! {
    #[test]
    fn damage_explains_nothing_and_breaks_nothing(bytes: Vec<u8>) {
        let _ = diff(&bytes, &bytes);
    }
}
