//! Files that change between the moment that the key was made and the copy.

use std::fs;

use rbuild_cache::stat::StatCache;
use rbuild_cache::tree::PathSelector;

use super::*;

/// Selects and digests everything, changes it, and copies.
fn copy_after(lines: &[&str], change: impl FnOnce(&Path)) -> Result<(Memory, Copied), CopyError> {
    let context = Disk::new(lines);
    let tree = Tree::open(context.path(), Owners::Root, None).unwrap();
    let everything = PathSelector::everything();
    let selection = tree.select(&everything).unwrap();
    selection.digest(&StatCache::none()).unwrap();
    change(context.path());
    let op = copy_op("COPY . /").op;
    let mut memory = Memory::default();
    let selections = [selection];
    let (below, time) = (Below::Seen(None), support::NOW);
    let job = Copy { op: &op, below, selections: &selections, time, limits: support::LIMITS };
    let copied = copy(&job, &mut memory)?;
    Ok((memory, copied))
}

/// A change, and the files that it is reported for.
type Row = (&'static str, fn(&Path), &'static [&'static str]);

#[test]
fn a_change_is_reported_and_what_is_copied_is_whole() {
    let rows: &[Row] = &[
        ("nothing", |_| {}, &[]),
        ("other bytes", |root| fs::write(root.join("d/f"), "eno").unwrap(), &["d/f"]),
        ("longer", |root| fs::write(root.join("d/f"), "one and more").unwrap(), &["d/f"]),
        ("empty", |root| fs::write(root.join("d/f"), "").unwrap(), &["d/f"]),
    ];
    for (case, change, expected) in rows {
        let (memory, copied) = copy_after(&["d/f=one", "g=two"], change).unwrap();
        assert_eq!(copied.changed, *expected, "{case}");
        assert!(memory.lines().contains(&"f 0644 0:0 g=two".to_owned()), "{case}");
    }
}

#[test]
fn a_large_file_is_streamed_and_compared_too() {
    let size = 3 << 20;
    let large = |byte: u8| vec![byte; size];
    let line = format!("large={}", "a".repeat(size));
    let (memory, copied) = copy_after(&[&line], |_| {}).unwrap();
    assert_eq!(copied.changed, Vec::<String>::new());
    assert_eq!(memory.entries["large".as_bytes()].1, large(b'a'));

    let change = |root: &Path| fs::write(root.join("large"), large(b'b')).unwrap();
    let (memory, copied) = copy_after(&[&line], change).unwrap();
    assert_eq!(copied.changed, ["large"]);
    assert_eq!(memory.entries["large".as_bytes()].1, large(b'b'));
}

#[test]
fn what_vanished_or_became_something_else_is_an_error() {
    let gone = |root: &Path| fs::remove_file(root.join("f")).unwrap();
    let error = copy_after(&["f=1"], gone).err().unwrap();
    assert_eq!(error.to_string(), "cannot read `f`");

    let swapped = |root: &Path| {
        fs::remove_dir_all(root.join("d")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("d")).unwrap();
    };
    let error = copy_after(&["d/passwd=1"], swapped).err().unwrap();
    assert_eq!(error.to_string(), "cannot read `d/passwd`");
}
