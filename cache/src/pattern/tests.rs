use super::rules::{Effect, Rules, clean};
use super::*;

#[test]
fn a_glob_matches_as_filepath_match_does() {
    let rows = [
        ("abc", "abc", true),
        ("*", "abc", true),
        ("*c", "abc", true),
        ("a*", "a", true),
        ("a*", "ab/c", false),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("**", "a/b", false),
        ("ab[b-d]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^b-d]", "abc", false),
        ("ab[!c]", "ab!", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "ab", false),
        ("a?b", "a☺b", true),
        ("a[^a]b", "a☺b", true),
        ("a???b", "a☺b", false),
        ("[a-ζ]*", "α", true),
        ("*[a-ζ]", "A", false),
        ("a?b", "a/b", false),
        ("[\\]a]", "]", true),
        ("[\\-x]", "-", true),
        ("[x\\-]", "z", false),
        ("*x", "xxx", true),
        ("{a,b}", "{a,b}", true),
        ("{a,b}", "a", false),
        ("", "", true),
    ];
    for (pattern, name, expected) in rows {
        assert_eq!(matches(pattern, name), Ok(expected), "{pattern} on {name}");
    }
}

#[test]
fn malformed_patterns_say_why() {
    let rows = [
        ("[]a]", BadReason::EmptyRange),
        ("[-]", BadReason::EmptyRange),
        ("[x-]", BadReason::EmptyRange),
        ("[-x]", BadReason::EmptyRange),
        ("a[", BadReason::OpenClass),
        ("[^", BadReason::OpenClass),
        ("[^bc", BadReason::OpenClass),
        ("a\\", BadReason::LoneEscape),
    ];
    for (pattern, reason) in rows {
        let error = Glob::new(pattern).unwrap_err();
        assert_eq!((error.pattern.as_str(), error.reason), (pattern, reason));
    }
}

#[test]
fn names_that_are_no_text_match_too() {
    assert_eq!(matches("a?c", b"a\xffc"), Ok(true));
    assert_eq!(matches("*.\\x", b"\xff\xfe.x"), Ok(true));
    assert_eq!(matches("[^a]", b"\xc3"), Ok(true));
}

#[test]
fn a_pattern_without_wildcards_is_a_literal() {
    assert_eq!(Glob::new("a\\*b").unwrap().literal(), Some(b"a*b".as_slice()));
    assert_eq!(Glob::new("a*").unwrap().literal(), None);
    assert_eq!(Glob::components("a//b*/c").unwrap().len(), 3);
    for (text, expected) in [("a*", true), ("a\\*", false), ("[a]", true), ("a\\\\?", true)] {
        assert_eq!(has_wildcards(text), expected, "{text}");
    }
}

#[test]
fn paths_are_cleaned_as_go_does() {
    let rows = [
        ("", ""),
        ("./a", "a"),
        ("a//b/", "a/b"),
        ("x/../y", "y"),
        ("/../a", "/a"),
        ("../a", "../a"),
        ("a/..", "."),
        ("/", "/"),
        ("../../a/../b", "../../b"),
    ];
    for (path, expected) in rows {
        assert_eq!(clean(path), expected, "{path}");
    }
}

#[test]
fn one_rule_matches() {
    let rows = [
        ("**", "file", true),
        ("**/", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("dir/**", "dir", false),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir", "a/xdir", false),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir3/file", true),
        ("**file", "dir/dir/file", true),
        ("**file", "dir/myfile", true),
        ("**file", "dir/myfile/x", true),
        ("**file*", "dir/myfile", false),
        ("**/file*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/x**y", "x/xy", true),
        ("*a**b", "aab", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a**b", "ab", true),
        ("a**b", "ax/b", true),
        ("a**b", "axb", false),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt**", "a/file.txt", true),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcZdef", false),
        ("a\\\\", "a\\", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("**/.foo", "bar.foo", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        ("a\\*b", "a*b", true),
        ("{a,b}", "a", false),
        ("{a,b}", "{a,b}/c", true),
        ("[!a]", "!", true),
        ("[!a]", "b", false),
        ("./x", "x", true),
        ("x/../y", "y/z", true),
        ("  y  ", "y", true),
        ("foo/", "foo", true),
        ("foo", "dir/foo", false),
        ("foo", "foobar", false),
        ("*", "a/b/c", true),
        ("/foo", "foo", false),
        (".", "foo", false),
    ];
    for (pattern, path, expected) in rows {
        let rules = Rules::new([pattern]).unwrap();
        assert_eq!(rules.excludes(path), expected, "{pattern} on {path}");
    }
}

#[test]
fn the_last_rule_that_matches_decides() {
    type Row = (&'static [&'static str], &'static str, Option<(usize, Effect)>);
    let rows: &[Row] = &[
        (&["**", "!util/docker/web"], "util/docker/web/foo", Some((1, Effect::Include))),
        (&["**", "!a/b", "a/b/c"], "a/b/c", Some((2, Effect::Exclude))),
        (&["**", "!dist/*.whl"], "dist/a.whl", Some((1, Effect::Include))),
        (&["!fileutils.go", "*.go"], "fileutils.go", Some((1, Effect::Exclude))),
        (&["docs/", "!docs/README.md"], "docs/README.md", Some((1, Effect::Include))),
        (&["!docs/sub", "docs"], "docs/sub/x", Some((1, Effect::Exclude))),
        (&["a", "", "b"], "b", Some((2, Effect::Exclude))),
        // What `!a` had nothing to take back in of, it does not take back in below.
        (&["a/*", "!a"], "a/b", Some((0, Effect::Exclude))),
        (&["a/*", "!a"], "a/b/c", Some((0, Effect::Exclude))),
        (&["a", "!a"], "a/b", Some((1, Effect::Include))),
        (&["a", "!a/b", "a"], "a/b", Some((1, Effect::Include))),
        (&["a", "!a/b", "a/b"], "a/b/c", Some((2, Effect::Exclude))),
        (&["!*", "a"], "a/b", Some((1, Effect::Exclude))),
        (&["a"], "b", None),
        (&[], "b", None),
    ];
    for (patterns, path, expected) in rows {
        let rules = Rules::new(*patterns).unwrap();
        let decision = rules.decide(path).map(|decision| (decision.rule, decision.effect));
        assert_eq!(decision, *expected, "{patterns:?} on {path}");
    }
}

#[test]
fn a_malformed_rule_is_named_by_its_position() {
    let (position, error) = Rules::new(["a", "! "]).unwrap_err();
    assert_eq!((position, error.reason), (1, BadReason::LoneNegation));
    assert_eq!(Rules::new(["["]).unwrap_err().1.reason, BadReason::OpenClass);
}

#[test]
fn a_directory_is_pruned_unless_something_below_can_come_back() {
    let rows: &[(&[&str], &str, bool)] = &[
        (&["node_modules"], "node_modules", true),
        (&["node_modules"], "src", false),
        (&["target", "!target/keep/x"], "target", false),
        (&["target", "!target/keep/x"], "target/debug", true),
        (&["target", "!target/keep/x"], "target/keep", false),
        (&["target", "!targets/x"], "target", true),
        (&["!a/b", "a"], "a", true),
        (&["a", "!**/*.md"], "a/b", false),
        (&["a", "!*/keep"], "a", false),
        (&["a", "!*/keep"], "a/b", true),
        (&["a", "!*.md"], "a", true),
        (&["a", "!b*/**"], "a", true),
        (&["a", "!a*/**"], "a/c", false),
        (&["a", "!**x"], "a", false),
        (&["*", "!a/[bc]/d"], "a", false),
        (&["*", "!a/[bc]/d"], "a/b", false),
        (&["*", "!a/[bc]/d"], "a/d", true),
        (&["a", "!a"], "a", false),
    ];
    for (patterns, path, expected) in rows {
        let rules = Rules::new(*patterns).unwrap();
        assert_eq!(rules.prunes(path), *expected, "{patterns:?} on {path}");
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn pattern() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            prop_oneof![
                Just("a"),
                Just("b"),
                Just("*"),
                Just("?"),
                Just("/"),
                Just("[^a]"),
                Just("**")
            ],
            1..8,
        )
        .prop_map(|parts| parts.concat())
    }

    fn path() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab]{1,2}", 1..4).prop_map(|parts| parts.join("/"))
    }

    /// The meaning by exhaustion: every way in which the stars can be filled is tried.
    fn slow(tokens: &[token::Token], text: &[u8]) -> bool {
        use token::Token;
        match tokens.split_first() {
            None => text.is_empty(),
            Some((Token::Rest, _)) => true,
            Some((Token::Deep, rest)) => (0..=text.len())
                .filter(|at| *at == 0 || text[at - 1] == b'/')
                .any(|at| slow(rest, &text[at..])),
            Some((Token::Star, rest)) => (0..=text.len())
                .take_while(|at| *at == 0 || text[at - 1] != b'/')
                .any(|at| slow(rest, &text[at..])),
            Some((Token::Literal(literal), rest)) => {
                text.strip_prefix(literal.as_slice()).is_some_and(|text| slow(rest, text))
            }
            Some((Token::One | Token::Class { .. }, rest)) => {
                let single = Glob { tokens: tokens[..1].to_vec() };
                !text.is_empty() && single.matches(&text[..1]) && slow(rest, &text[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn matching_equals_trying_everything(pattern in pattern(), path in path()) {
            let tokens = token::parse(&pattern, Stars::Deep).unwrap();
            let fast = token::matches(&tokens, path.as_bytes(), token::Until::End);
            prop_assert_eq!(fast, slow(&tokens, path.as_bytes()));
        }

        #[test]
        fn nothing_below_a_pruned_directory_is_included(
            patterns in proptest::collection::vec((any::<bool>(), pattern()), 1..5),
            directory in path(),
            below in path(),
        ) {
            let patterns = patterns.into_iter().map(|(negated, pattern)| {
                if negated { format!("!{pattern}") } else { pattern }
            });
            let rules = Rules::new(patterns).unwrap();
            if rules.prunes(&directory) {
                let path = format!("{directory}/{below}");
                prop_assert!(rules.excludes(path));
            }
        }

        #[test]
        fn no_text_makes_the_compiler_panic(pattern in "\\PC*", path in "\\PC*") {
            if let Ok(rules) = Rules::new([&pattern]) {
                rules.prunes(&path);
            }
        }
    }
}

#[test]
fn an_escaped_path_matches_itself_only() {
    for text in ["a", "a*b", "?", "[a]", r"a\*", r"\[x]\\", "a*b?[c", r"plain\back"] {
        let pattern = escaped(text);
        let literal = !has_wildcards(&pattern);
        assert!(literal && pattern == text || matches(&pattern, text).unwrap(), "{text} {pattern}");
        assert!(literal || !matches(&pattern, text.replace(['*', '?'], "x") + "y").unwrap());
    }
}
