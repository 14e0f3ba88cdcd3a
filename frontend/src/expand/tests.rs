use proptest::prelude::*;

use super::*;

/// The environment of the conformance vectors: `PWD`, `SHELL`, an empty `NULL`; `UNSET` is unset.
fn variables() -> BTreeMap<String, String> {
    [("PWD", "/home"), ("SHELL", "bash"), ("NULL", ""), ("FOO", "xxyy"), ("LINES", "a  b\tc")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn word(text: &str) -> Result<String, Problem> {
    let expanded = Style::word('\\').expand(text, &variables());
    expanded.map(|expanded| expanded.text).map_err(|error| error.problem)
}

fn check(rows: &[(&str, Result<&str, Problem>)]) {
    for (text, expected) in rows {
        let expected = expected.clone().map(str::to_owned);
        assert_eq!(word(text), expected, "{text}");
    }
}

fn required(name: &str, message: &str) -> Problem {
    Problem::Required { name: name.to_owned(), message: message.to_owned() }
}

fn unsupported(modifier: &str) -> Problem {
    Problem::UnsupportedModifier(modifier.to_owned())
}

#[test]
fn g1_quotes_join_words() {
    check(&[
        ("he'll'o", Ok("hello")),
        (r"he\'llo", Ok("he'llo")),
        ("he'llo", Err(Problem::OpenSingleQuote)),
        (r"he\\'llo", Err(Problem::OpenSingleQuote)),
        (r#""hel'lo""#, Ok("hel'lo")),
        (r#"'"hello"'"#, Ok("\"hello\"")),
    ]);
}

#[test]
fn g2_an_escape_means_something_else_in_each_quote() {
    check(&[
        (r"abc\tdef", Ok("abctdef")),
        (r#""abc\tdef""#, Ok(r"abc\tdef")),
        (r#""abc\\tdef""#, Ok(r"abc\tdef")),
        (r"'abc\tdef'", Ok(r"abc\tdef")),
    ]);
}

#[test]
fn g3_an_escape_at_the_end_is_dropped() {
    check(&[(r"hello\", Ok("hello")), (r"hello\\", Ok(r"hello\"))]);
}

#[test]
fn g4_single_quotes_know_no_escape() {
    check(&[
        (r#""hello\""#, Err(Problem::OpenDoubleQuote)),
        (r"'hello\'", Ok(r"hello\")),
        (r"'hello\\there'", Ok(r"hello\\there")),
    ]);
}

#[test]
fn g5_digits_are_a_name_and_a_lone_dollar_is_one() {
    check(&[("he$1x", Ok("hex")), ("he$.x", Ok("he$.x")), ("$.", Ok("$.")), ("a$", Ok("a$"))]);
}

#[test]
fn g6_a_dollar_can_be_escaped() {
    check(&[
        (r"he\$PWD", Ok("he$PWD")),
        (r"he\\$PWD", Ok(r"he\/home")),
        (r#""he\$PWD""#, Ok("he$PWD")),
        (r#""he\\$PWD""#, Ok(r"he\/home")),
        (r"'he$PWD'", Ok("he$PWD")),
    ]);
}

#[test]
fn g7_a_substitution_needs_a_name() {
    check(&[
        (r"\${}", Ok("${}")),
        ("${}", Err(Problem::BadSubstitution)),
        ("he${.}", Err(unsupported("."))),
        ("${:-b}", Err(Problem::BadSubstitution)),
        ("${{a}", Err(Problem::BadSubstitution)),
        ("${", Err(Problem::MissingBrace)),
        ("${PWD", Err(Problem::MissingBrace)),
        ("${UNSET:-a", Err(Problem::MissingBrace)),
    ]);
}

#[test]
fn g8_the_first_brace_closes() {
    check(&[("${a}}", Ok("}")), ("${a:-b}}", Ok("b}")), ("${a:-b {c}", Ok("b {c"))]);
}

#[test]
fn g9_defaults_are_expanded() {
    check(&[
        ("he${UNSET:-$PWD}x", Ok("he/homex")),
        ("${UNSET:-${YYY:-z}}", Ok("z")),
        ("${NULL:-d}", Ok("d")),
        ("${NULL-d}", Ok("")),
        ("${UNSET-d}", Ok("d")),
        ("${UNSET:+d}", Ok("")),
        ("${PWD:+d}", Ok("d")),
        ("${NULL:+d}", Ok("")),
        ("${NULL+d}", Ok("d")),
        ("${PWD:+${PWD}:}", Ok("/home:")),
        ("${UNSET:-'a}b'}", Ok("a}b")),
    ]);
}

#[test]
fn g10_an_escape_survives_as_a_dollar() {
    check(&[(r"${UNSET:-\$PWD:}", Ok("$PWD:"))]);
}

#[test]
fn g11_an_escaped_substitution_does_not_nest() {
    check(&[(r"he${UNSET:-\${PWD}z}xx", Ok("he${PWDz}xx"))]);
}

#[test]
fn g12_required_variables() {
    check(&[
        ("${NULL?}", Ok("")),
        ("${NULL:?}", Err(required("NULL", "is not allowed to be empty"))),
        ("${UNSET?}", Err(required("UNSET", "is not set"))),
        ("${UNSET:?set it to $PWD}", Err(required("UNSET", "set it to /home"))),
        ("${PWD:?}", Ok("/home")),
    ]);
}

#[test]
fn g13_unknown_modifiers() {
    check(&[
        ("${PWD:=0}", Err(unsupported(":="))),
        ("${UNSET:Y}", Err(unsupported(":Y"))),
        ("${PWD=0}", Err(unsupported("="))),
        ("${PWD:#x}", Err(unsupported(":#"))),
        ("${PWD:", Err(unsupported(":"))),
    ]);
}

#[test]
fn g14_special_parameters_are_variables_that_are_unset() {
    check(&[
        ("${1:-b}", Ok("b")),
        ("$1", Ok("")),
        ("$999aaa", Ok("aaa")),
        ("$@@@", Ok("@@")),
        ("${#}", Ok("")),
        ("$$", Ok("")),
        ("${?:-b}", Ok("b")),
        ("$*$#$?$-$!$0", Ok("")),
    ]);
}

#[test]
fn g15_names_are_case_sensitive() {
    check(&[("he$pwd.", Ok("he."))]);
}

#[test]
fn g24_prefixes_and_suffixes_are_cut() {
    check(&[
        ("${FOO#x}", Ok("xyy")),
        ("${FOO##x}", Ok("xyy")),
        ("${FOO#x*}", Ok("xyy")),
        ("${FOO##x*}", Ok("")),
        ("${FOO#*y}", Ok("y")),
        ("${FOO##*y}", Ok("")),
        ("${FOO%y}", Ok("xxy")),
        ("${FOO%x*}", Ok("x")),
        ("${FOO%%x*}", Ok("")),
        ("${FOO%%?}", Ok("xxy")),
        ("${FOO#z}", Ok("xxyy")),
        ("${FOO#[x]}", Ok("xxyy")),
        ("${UNSET#x}", Ok("")),
        ("${PWD#*/}", Ok("home")),
        ("${PWD#\\/}", Ok("home")),
        ("${FOO#$FOO}", Ok("")),
        (r"${FOO#\x}", Err(Problem::BadPattern(r"\x".to_owned()))),
    ]);
}

#[test]
fn matches_are_replaced() {
    check(&[
        ("${FOO/x/a}", Ok("axyy")),
        ("${FOO//x/a}", Ok("aayy")),
        ("${FOO/x*/a}", Ok("a")),
        ("${FOO//?/a}", Ok("aaaa")),
        ("${PWD/\\//_}", Ok("_home")),
        ("${FOO/x/$PWD}", Ok("/homexyy")),
        ("${FOO//x/}", Ok("yy")),
        ("${FOO/x/$1}", Ok("xyy")),
        ("${FOO/x/'$0'}", Ok("$0xyy")),
        ("${FOO/x}", Err(Problem::MissingSlash)),
        ("${FOO/x/", Err(Problem::MissingBrace)),
        ("${UNSET/x/y}", Ok("")),
    ]);
}

#[test]
fn g25_a_default_inside_of_text() {
    check(&[("my_arg=${my_arg:-def_val}", Ok("my_arg=def_val"))]);
}

#[test]
fn other_scripts_are_text_like_any() {
    check(&[("안'녕'$1x", Ok("안녕x")), (r"안녕\t하", Ok("안녕t하")), ("$안녕", Ok(""))]);
}

#[test]
fn the_escape_can_be_a_backquote() {
    let expand = |text: &str| Style::word('`').expand(text, &variables()).unwrap().text;
    assert_eq!(expand(r"C:\dir\$PWD"), r"C:\dir\/home");
    assert_eq!(expand("a`$PWD"), "a$PWD");
    assert_eq!(expand("\"a`\"b\""), "a\"b");
}

#[test]
fn values_are_cut_into_words_and_quotes_are_not() {
    let rows: &[(&str, &[&str])] = &[
        ("80 443", &["80", "443"]),
        ("$LINES", &["a", "b", "c"]),
        ("\"$LINES\"", &["a  b\tc"]),
        ("x$LINES", &["xa", "b", "c"]),
        (r"a\ b c", &["a b", "c"]),
        ("'a b'c", &["a bc"]),
        ("$UNSET", &[]),
        ("a${UNSET:-b} c", &["ab", "c"]),
    ];
    for (text, expected) in rows {
        assert_eq!(
            Style::word('\\').expand(text, &variables()).unwrap().words,
            *expected,
            "{text}"
        );
    }
}

#[test]
fn a_heredoc_keeps_its_quotes() {
    let expand = |text: &str| Style::heredoc().expand(text, &variables()).unwrap().text;
    assert_eq!(expand("Hello '$PWD' \"${PWD}\"\n"), "Hello '/home' \"/home\"\n");
    assert_eq!(expand("\\\n\\\\ \\$PWD"), "\n\\ $PWD");
}

#[test]
fn a_shown_command_keeps_what_is_not_known() {
    let expand = |text: &str| Style::shown('\\').expand(text, &variables()).unwrap().text;
    assert_eq!(
        expand("echo '$PWD' \"$PWD\" $UNSET ${UNSET}"),
        "echo '$PWD' \"/home\" $UNSET ${UNSET}"
    );
    assert_eq!(
        expand("${UNSET:-a} ${UNSET#a} ${UNSET/a/b}"),
        "${UNSET:-a} ${UNSET#a} ${UNSET/a/b}"
    );
}

#[test]
fn errors_name_their_bytes() {
    let rows = [("a ${PWD:=0} b", 2..9), ("ab 'c", 3..5), ("x${UNSET?y} z", 1..11), ("a${b", 1..4)];
    for (text, span) in rows {
        let error = Style::word('\\').expand(text, &variables()).unwrap_err();
        assert_eq!(error.span, span, "{text}");
    }
}

#[test]
fn variables_are_told_apart_by_whether_they_are_set() {
    let expanded = Style::word('\\').expand("$PWD ${UNSET:-$YYY} $PWD", &variables()).unwrap();
    assert_eq!(expanded.used, BTreeSet::from(["PWD".to_owned()]));
    assert_eq!(expanded.unset, BTreeSet::from(["UNSET".to_owned(), "YYY".to_owned()]));
}

#[test]
fn endless_growth_is_refused() {
    let mut variables = BTreeMap::from([("a".to_owned(), "x".repeat(700_000))]);
    variables.insert("b".to_owned(), "y".repeat(1000));
    for (text, is_long) in [
        ("$a", false),
        ("$a$a", true),
        ("\"$a$a\"", true),
        ("${c:-$a$a}", true),
        ("${a/x/$b}", false),
        ("${a//x/$b}", true),
        ("${b//y/$b}", false),
        ("${b//y/$b$b}", true),
    ] {
        let expanded = Style::word('\\').expand(text, &variables);
        let found = expanded.err().map(|error| error.problem);
        assert_eq!(found, is_long.then_some(Problem::TooLong), "{text}");
    }
}

#[test]
fn endless_nesting_is_refused() {
    assert_eq!(word(&"${a:-".repeat(10_000)), Err(Problem::TooDeep));
    assert_eq!(word(&format!("{}x{}", "${a:-".repeat(60), "}".repeat(60))), Ok("x".to_owned()));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a$\\{\\}:/#%'\"\\\\ ?+*é-]{0,30}") {
        for style in [Style::word('\\'), Style::heredoc(), Style::shown('`')] {
            let _ = style.expand(&text, &variables());
        }
    }

    #[test]
    fn text_without_special_characters_stays(text in "[^$\\\\'\"]*") {
        prop_assert_eq!(word(&text), Ok(text));
    }
}
