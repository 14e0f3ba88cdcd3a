//! What an index cannot hold. What it holds is judged by the kernel, in `layer/tests/forms.rs`.

use super::*;
use crate::layer::{Entry, Kind};

fn tree(entries: Vec<Entry>) -> Tree {
    let mut tree = Tree::new();
    for entry in entries {
        tree.add(&entry, 512).unwrap();
    }
    tree
}

fn file(path: &str, size: u64) -> Entry {
    Entry::new(path, Kind::File { size }, 0o644)
}

#[test]
fn what_the_format_cannot_say_is_refused() {
    let mut long = file("f", 1);
    long.xattrs = vec![(b"user.a".to_vec(), vec![0; 70_000])];
    let mut many = file("f", 1);
    many.xattrs = (0..5).map(|n| (format!("user.{n}").into_bytes(), vec![0; 60_000])).collect();
    let rows =
        [file("f", 1 << 50), Entry::new("d", Kind::Char { major: 5000, minor: 1 }, 0), long, many];
    for entry in rows {
        let refused = write(&tree(vec![entry]), 1 << 20, &mut Vec::new());
        assert_eq!(refused.map_err(|error| error.kind()), Err(io::ErrorKind::Unsupported));
    }
    let refused = write(&tree(vec![]), 3 << 40, &mut Vec::new());
    assert_eq!(refused.map_err(|error| error.kind()), Err(io::ErrorKind::Unsupported));
}
