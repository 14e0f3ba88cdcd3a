//! `--parents`: one path below the matches, with the directories on the way.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const PATHS: &[&str] = &[
    "foo1/foo2/bar",
    "foo1/foo2/baz",
    "foo1/other",
    "test/a/b/c/d/foo",
    "test/a/b/c/d/bar",
    "test/a/b/c/e",
    "test/a/b2/c/x/e",
    "test/a/file",
    "test/link -> a/b",
    "test/a/b/named -> c/e",
    "!odd/x",
    "empty/",
];

/// `pattern`, or `pattern ./ include`, as the source of a copy divides them.
fn kept(pattern: &str, include: &str) -> PathSelector {
    PathSelector { include: Some(include.to_owned()), ..PathSelector::of(pattern) }
}

/// Paths; `?` behind those that are only on the way.
fn paths(root: &TempDir, selector: &PathSelector) -> Vec<String> {
    match tree(root).select(selector) {
        Err(error) => vec![error.to_string()],
        Ok(selection) => selection
            .all()
            .filter(|(_, found)| !found.path.is_empty())
            .map(|(_, found)| {
                let mark = if found.reason == Reason::OnTheWay { "?" } else { "" };
                format!("{}{mark}", String::from_utf8_lossy(&found.path))
            })
            .collect(),
    }
}

#[test]
fn what_is_included_comes_with_its_parents() {
    let rows: &[(&str, &str, &[&str])] = &[
        // G67
        ("", "foo1/foo2/ba*", &["foo1?", "foo1/foo2?", "foo1/foo2/bar", "foo1/foo2/baz"]),
        ("", "foo1/foo2", &["foo1?", "foo1/foo2", "foo1/foo2/bar", "foo1/foo2/baz"]),
        // G68
        ("test/a/b", "c/d", &["c?", "c/d", "c/d/bar", "c/d/foo"]),
        // G70
        ("test/a/b*", "c/**/e", &["c?", "c/e", "c?", "c/x?", "c/x/e"]),
        ("test/link", "c/e", &["c?", "c/e"]),
        ("", "**/baz", &["foo1?", "foo1/foo2?", "foo1/foo2/baz"]),
        ("", "empty", &["empty"]),
        ("", "!odd/x", &["!odd?", "!odd/x"]),
        ("test/a/b", "named", &["named"]),
        // G71
        ("", "test/a/b9*/c", &[]),
        ("", "test/link/*/e", &[]),
        ("test/a/*", "c/d/foo", &["c?", "c/d?", "c/d/foo"]),
        ("test/a/fi*", "x", &[]),
        ("", "test/nonexistent", &["`test/nonexistent` not found"]),
        ("test/a/b", "c/f", &["`test/a/b/c/f` not found; there is `test/a/b/c/d`"]),
        ("test/nowhere", "c", &["`test/nowhere` not found"]),
        ("test/a/file", "c", &["`test/a/file` is not a directory"]),
        (
            "",
            "test/link/c/e",
            &["`test/link/c/e` leads through a symbolic link to `test/a/b/c/e`: parents are kept \
               of paths without links"],
        ),
    ];
    let root = layout(PATHS);
    for (pattern, include, expected) in rows {
        assert_eq!(paths(&root, &kept(pattern, include)), *expected, "{pattern} ./ {include}");
    }
}

#[test]
fn what_is_left_out_is_not_included() {
    let root = layout(PATHS);
    let without = |include: &str, exclude: &str| {
        let exclude = vec![exclude.to_owned()];
        paths(&root, &PathSelector { exclude, ..kept("", include) })
    };
    assert_eq!(without("foo1", "foo1/foo2"), ["foo1", "foo1/other"]);
    assert_eq!(without("foo1/foo2", "**/bar"), ["foo1?", "foo1/foo2", "foo1/foo2/baz"]);
    assert_eq!(
        without("foo1/other", "foo1/other"),
        ["`foo1/other` not found: left out by `--exclude`"]
    );
}

/// Counts what it is asked about, and hides nothing.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Filter for Counting {
    fn verdict(&self, _: &[u8]) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        Verdict::Included
    }

    fn prunes(&self, _: &[u8]) -> bool {
        false
    }

    fn describe(&self, _: usize) -> String {
        String::new()
    }
}

#[test]
fn a_walk_enters_only_what_can_lead_there() {
    let many: Vec<String> = (0..50).map(|n| format!("modules/{n}/file")).collect();
    let mut paths: Vec<&str> = many.iter().map(String::as_str).collect();
    paths.push("a/b/c");
    let root = layout(&paths);
    let filter = Arc::new(Counting::default());
    let tree = Tree::open(root.path(), Owners::Root, Some(filter.clone())).unwrap();
    assert_eq!(tree.select(&kept("", "a/b/c")).unwrap().len(), 4);
    assert!(filter.0.load(Ordering::Relaxed) < 10);
}

/// A copy makes its destination for an empty directory, and not for no match.
#[test]
fn a_digest_sees_whether_there_was_a_match() {
    let root = layout(PATHS);
    let digest = |selector: &PathSelector| {
        tree(&root).select(selector).unwrap().digest(&StatCache::none()).unwrap()
    };
    assert_ne!(digest(&PathSelector::of("empty")), digest(&PathSelector::of("nothing*")));
    assert_ne!(digest(&kept("test", "n*")), digest(&kept("no*", "n*")));
}

#[test]
fn a_digest_sees_which_directories_were_asked_for() {
    let root = layout(&["a/b", "c/a/b"]);
    let digest = |selector: &PathSelector| {
        tree(&root).select(selector).unwrap().digest(&StatCache::none()).unwrap()
    };
    assert_ne!(digest(&kept("", "a")), digest(&kept("", "a/b")));
    fs::write(root.path().join("a/b"), "same").unwrap();
    fs::write(root.path().join("c/a/b"), "same").unwrap();
    assert_eq!(digest(&kept("", "a/b")), digest(&kept("c", "a/b")));
}
