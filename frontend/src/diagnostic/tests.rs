use super::*;

const TEXT: &str = "FROM scratch\nRUN one\nRUN two \\\n  three\nRUN four\nRUN five\n";

fn source() -> Source {
    Source::new("dir/Dockerfile", TEXT.into())
}

fn failed_step() -> Diagnostic {
    let start = TEXT.find("RUN two").unwrap();
    let end = TEXT.find("\nRUN four").unwrap();
    Diagnostic::error("step-failed", start..end, "the step ended with exit code 2")
        .with_label("here")
        .with_help("look at the log")
        .with_note("first note")
        .with_note("second note")
}

#[test]
fn a_finding_shows_place_label_help_and_notes() {
    let rendered = render(&[failed_step()], &source(), Color::Never);
    assert_eq!(
        rendered,
        "\
error[step-failed]: the step ended with exit code 2
 --> dir/Dockerfile:3:1
  |
3 | / RUN two \\
4 | |   three
  | |_______^ here
  |
  = help: look at the log
  = note: first note
  = note: second note
"
    );
}

#[test]
fn a_password_is_not_shown_and_marks_stay_in_place() {
    let source = Source::new("Dockerfile", b"ADD http://u:p@h/x d e f\n".into());
    let rendered = render(&[Diagnostic::error("a", 21..22, "why")], &source, Color::Never);
    assert!(
        rendered.contains("1 | ADD http://u:x@h/x d e f\n  |                      ^"),
        "{rendered}"
    );
}

#[test]
fn context_adds_lines_on_both_sides() {
    let rendered = render_with_context(&failed_step(), &source(), Color::Never, 1);
    assert!(rendered.contains("2 |   RUN one\n3 | / RUN two"), "{rendered}");
    assert!(rendered.contains("5 |   RUN four"), "{rendered}");
    assert!(!rendered.contains("FROM") && !rendered.contains("five"), "{rendered}");
}

#[test]
fn context_ends_with_the_file() {
    let rendered = render_with_context(&failed_step(), &source(), Color::Never, 99);
    assert!(rendered.contains("1 |   FROM scratch"), "{rendered}");
    assert!(rendered.contains("6 |   RUN five"), "{rendered}");
}

#[test]
fn findings_are_separated_by_a_blank_line() {
    let found = [Diagnostic::error("a", 0..4, "first"), Diagnostic::warning("b", 5..12, "second")];
    let rendered = render(&found, &source(), Color::Never);
    assert_eq!(rendered.matches("\n\n").count(), 1, "{rendered}");
    assert!(rendered.contains("\n\nwarning[b]: second\n"), "{rendered}");
    assert_eq!(render(&[], &source(), Color::Never), "");
}

#[test]
fn colours_are_there_only_when_asked_for() {
    let found = [failed_step()];
    assert!(!render(&found, &source(), Color::Never).contains('\x1b'));
    assert!(render(&found, &source(), Color::Always).contains("\x1b["));
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let source = Source::new("Dockerfile", b"RUN \x1b[31m\n".to_vec());
    let found = Diagnostic::error("x", 0..3, "a \x1b[1m message")
        .with_label("a \x1b[1m label")
        .with_help("a \x1b[1m help")
        .with_note("a \x1b[1m note");
    assert!(!render(&[found], &source, Color::Never).contains('\x1b'));
}

#[test]
fn spans_outside_of_the_text_are_cut() {
    let source = Source::new("Dockerfile", "é".into());
    for span in [0..1, 1..1, 1..2, 2..2, 7..9, Span { start: 2, end: 0 }] {
        let found = Diagnostic::error("x", span.clone(), "message");
        assert!(render(&[found], &source, Color::Never).contains("1 | é"), "{span:?}");
    }
}
