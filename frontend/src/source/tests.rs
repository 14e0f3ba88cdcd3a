use super::*;

#[test]
fn positions_count_lines_and_characters_from_one() {
    let source = Source::new("x", "é1\n\n22".into());
    for (offset, expected) in
        [(0, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 1)), (5, (3, 1)), (7, (3, 3))]
    {
        assert_eq!(source.position(offset), expected, "{offset}");
    }
}

#[test]
fn lines_keep_their_ends() {
    for (text, expected) in
        [("", &[][..]), ("a", &["a"]), ("a\n", &["a\n"]), ("a\r\n\nb", &["a\r\n", "\n", "b"])]
    {
        let source = Source::new("x", text.into());
        let lines: Vec<_> = source.lines().map(|line| &source.text()[line]).collect();
        assert_eq!(lines, expected, "{text:?}");
    }
}

#[test]
fn a_byte_order_mark_is_dropped() {
    assert_eq!(Source::new("x", b"\xef\xbb\xbfFROM".to_vec()).text(), "FROM");
}

#[test]
fn bytes_that_are_not_text_are_remembered() {
    let source = Source::new("x", b"a\xffb\n\xe9\xe9 \xef\xbf\xbd".to_vec());
    assert_eq!(source.text(), "a\u{fffd}b\n\u{fffd}\u{fffd} \u{fffd}");
    assert_eq!(source.undecodable_in(&(0..6)), Some(1));
    assert_eq!(source.undecodable_in(&(4..6)), None);
    assert_eq!(source.undecodable_in(&(6..20)), Some(6));
    assert_eq!(source.undecodable_in(&(12..20)), None, "a real U+FFFD is fine");
}
