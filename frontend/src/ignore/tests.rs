use proptest::prelude::*;

use super::*;

fn excluded_at(file: &str, path: &str) -> Option<usize> {
    match IgnoreFile::parse(file.as_bytes()).unwrap().verdict(path) {
        Verdict::Included => None,
        Verdict::Excluded { line } => Some(line),
    }
}

#[test]
fn a_verdict_names_its_line() {
    let rows = [
        ("a\nb\n", "b", Some(2)),
        ("a\nb\n", "c", None),
        ("# a comment\n\n  \na\n", "a", Some(4)),
        (" # no comment\n", "# no comment", Some(1)),
        ("#a\n\\#a\n", "#a", Some(2)),
        ("\u{feff}a\n", "a", Some(1)),
        ("\u{feff}# a\na\n", "a", Some(2)),
        ("a\r\nb\r\n", "b", Some(2)),
        ("  a  \n", "a", Some(1)),
        ("/a\n", "a", Some(1)),
        ("/a/../b/\n", "b/c", Some(1)),
        ("../a\n", "a", None),
        ("a/./b\n", "a/b", Some(1)),
        ("*\n!a\na/b\n", "a/b", Some(3)),
        ("*\n!a\na/b\n", "a/c", None),
        ("a/*\n!a\n", "a/b", Some(1)),
        ("a/*\n!a/b\n", "a/b/c", None),
        ("a\n!a/b\na\n", "a/b", None),
        ("**/b\n!a\n", "a/b", Some(1)),
        ("a/b\n!a/**\n", "a/b/c", None),
        ("*\n!/a\n", "a", None),
        ("*\n! a\n", "a", None),
        ("a", "b/a", None),
        ("**/a", "b/a/c", Some(1)),
        ("*.md", "docs/x.md", None),
        ("", "a", None),
    ];
    for (file, path, expected) in rows {
        assert_eq!(excluded_at(file, path), expected, "{file:?} on {path}");
    }
}

#[test]
fn g96_the_last_rule_that_matches_decides() {
    let file = "ba*\nDockerfile\n!bay\n.dockerignore\n";
    let seen: Vec<&str> = ["foo", "bay", "bar", "baz", "Dockerfile", ".dockerignore"]
        .into_iter()
        .filter(|path| excluded_at(file, path).is_none())
        .collect();
    assert_eq!(seen, ["foo", "bay"]);
}

#[test]
fn g97_a_lone_negation_is_an_error() {
    for file in ["a\n!\n", "a\n ! \n", "a\n!/\n", "a\n!/a/..\n"] {
        let error = IgnoreFile::parse(file.as_bytes()).unwrap_err();
        assert_eq!((error.line, error.error.reason), (2, BadReason::LoneNegation));
    }
    let error = IgnoreFile::parse(b"!").unwrap_err();
    assert_eq!(error.to_string(), "line 1: `!` is not a valid pattern: nothing follows the `!`");
}

#[test]
fn a_malformed_pattern_names_its_line() {
    let error = IgnoreFile::parse(b"# x\na\n\n[b\n").unwrap_err();
    assert_eq!((error.line, error.error.reason), (4, BadReason::OpenClass));
}

#[test]
fn ignored_directories_need_not_be_entered() {
    let file = IgnoreFile::parse(b"node_modules\ntarget\n!target/keep.txt\n").unwrap();
    assert!(file.prunes("node_modules"));
    assert!(!file.prunes("target"));
    assert!(file.prunes("target/debug"));
    assert!(!file.prunes("src"));
}

#[test]
fn nothing_is_ignored_without_rules() {
    let file = IgnoreFile::parse(b"# nothing\n").unwrap();
    assert!(file.is_empty());
    assert_eq!(file, IgnoreFile::default());
    assert_eq!(file.verdict("a"), Verdict::Included);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), path in "\\PC*") {
        if let Ok(file) = IgnoreFile::parse(&bytes) {
            file.verdict(&path);
            file.prunes(&path);
        }
    }
}
