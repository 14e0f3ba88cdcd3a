use super::*;

/// `ab` from 10, `cd` from 20.
fn joined() -> Text {
    let mut builder = TextBuilder::new(10);
    builder.push_str("ab", 10);
    builder.push_str("cd", 20);
    builder.finish()
}

#[test]
fn ranges_point_at_the_pieces_they_come_from() {
    for (range, expected) in [
        (0..1, 10..11),
        (0..2, 10..12),
        (1..3, 11..21),
        (2..4, 20..22),
        (0..4, 10..22),
        (2..2, 20..20),
        (4..4, 22..22),
        (3..99, 21..22),
        (99..99, 22..22),
    ] {
        assert_eq!(joined().span_of(range.clone()), expected, "{range:?}");
    }
}

#[test]
fn slices_keep_their_places() {
    for (range, text, span) in
        [(0..1, "a", 10..11), (1..3, "bc", 11..21), (2..4, "cd", 20..22), (2..2, "", 20..20)]
    {
        let slice = joined().slice(range.clone());
        assert_eq!((slice.as_str(), slice.span()), (text, span), "{range:?}");
    }
    assert_eq!(joined().slice(1..4).span_of(1..2), 20..21);
}

#[test]
fn decoded_text_points_at_its_escape_sequence() {
    let mut builder = TextBuilder::new(0);
    builder.push_str("a", 5);
    builder.push_decoded("\n", 6..8);
    builder.push_str("é", 8);
    let text = builder.finish();
    assert_eq!(text, "a\né");
    assert_eq!(text.span(), 5..10);
    assert_eq!(text.span_of(1..2).start, 6);
    assert_eq!(text.span_of(2..4), 8..10);
}

#[test]
fn pushing_text_copies_its_places() {
    let mut builder = TextBuilder::new(0);
    builder.push_text(&joined());
    builder.push_text(&Text::verbatim("e", 30));
    let text = builder.finish();
    assert_eq!(text, "abcde");
    assert_eq!(text.span_of(3..5), 21..31);
}

#[test]
fn tabs_are_taken_from_the_begin_of_lines_only() {
    let text = Text::verbatim("\t\ta\tb\n c\n\t\n\td", 0).without_leading_tabs();
    assert_eq!(text, "a\tb\n c\n\nd");
    assert_eq!(text.span_of(0..1), 2..3);
    assert_eq!(text.span_of(8..9), 12..13);
}

#[test]
fn trimming_moves_both_ends() {
    let text = Text::verbatim(" \ta b\u{a0}", 3).trimmed();
    assert_eq!((text.as_str(), text.span()), ("a b", 5..8));
    assert!(Text::verbatim("  ", 3).trimmed().is_empty());
}
