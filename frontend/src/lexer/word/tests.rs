use super::*;

fn strings(words: &[Text]) -> Vec<&str> {
    words.iter().map(Text::as_str).collect()
}

#[test]
fn plain_words_know_no_quotes() {
    for (text, expected) in [
        ("", &[][..]),
        ("a", &["a"]),
        (" a \t\x0b\x0c\r b ", &["a", "b"]),
        ("\"a b\"", &["\"a", "b\""]),
        ("a\u{a0}b", &["a\u{a0}b"]),
    ] {
        assert_eq!(strings(&split(&Text::verbatim(text, 0))), expected, "{text:?}");
    }
}

#[test]
fn the_first_word_ends_at_a_blank() {
    for (text, first, rest) in
        [("", "", ""), ("RUN", "RUN", ""), ("RUN \t a  b", "RUN", "a  b"), (" a", "", "a")]
    {
        let (word, following) = split_first(&Text::verbatim(text, 0));
        assert_eq!((word.as_str(), following.as_str()), (first, rest), "{text:?}");
    }
}

#[test]
fn quoted_words_keep_their_blanks_quotes_and_escapes() {
    for (text, expected) in [
        ("", &[][..]),
        ("a=1 b=\"c d\"  e='f g'", &["a=1", "b=\"c d\"", "e='f g'"]),
        ("a=b\\ c d=e\\\\ f", &["a=b\\ c", "d=e\\\\", "f"]),
        ("a=\"b\\\" c\" d", &["a=\"b\\\" c\"", "d"]),
        ("a='b\\' c", &["a='b\\'", "c"]),
        ("a=\"b c", &["a=\"b c"]),
        ("a\u{a0}b \"\"", &["a", "b", "\"\""]),
        ("a\\", &["a\\"]),
    ] {
        let words = split_quoted(&Text::verbatim(text, 0), Escape::Backslash);
        assert_eq!(strings(&words), expected, "{text:?}");
    }
}

#[test]
fn the_escape_character_is_the_files_own() {
    let text = Text::verbatim("a`  b\\ c", 0);
    assert_eq!(strings(&split_quoted(&text, Escape::Backtick)), ["a` ", "b\\", "c"]);
}
