use super::*;

fn names(line: &str) -> Vec<String> {
    announced(&Text::verbatim(line, 0)).into_iter().map(|word| word.name).collect()
}

fn only(line: &str) -> Word {
    let mut words = announced(&Text::verbatim(line, 0));
    assert_eq!(words.len(), 1, "{line}");
    words.remove(0)
}

#[test]
fn heredocs_are_words_of_their_own() {
    for (line, expected) in [
        ("RUN <<EOF", &["EOF"][..]),
        ("RUN cat <<A - <<B", &["A", "B"]),
        ("RUN cat << EOF", &["EOF"]),
        ("RUN cat <<\t \"E F\" x", &["E F"]),
        ("RUN cat <<$x <<${y}", &["$x", "${y}"]),
        ("RUN cat <<EOF;", &["EOF;"]),
        ("RUN x=$(cat <<EOF", &["EOF"]),
        ("RUN cat <<E\\OF <<'a'b", &["EOF", "ab"]),
        ("RUN cat <<\"a\\\"b\"", &["a\"b"]),
        ("RUN cat <<é", &["é"]),
        ("RUN cat<<EOF", &[]),
        ("RUN cat<< EOF", &[]),
        ("RUN cat <<- EOF", &[]),
        ("RUN cat <<<EOF", &[]),
        ("RUN cat <<< EOF", &[]),
        ("RUN echo \"<<EOF\" '<<EOF' \\<<EOF", &[]),
        ("RUN echo $((1<<2))", &[]),
        ("RUN cat <<\"\" <<''", &[]),
        ("RUN cat <<", &[]),
        ("RUN echo don't <<EOF", &[]),
    ] {
        assert_eq!(names(line), expected, "{line}");
    }
}

#[test]
fn quotes_make_a_body_literal_and_escapes_do_not() {
    for (line, expected) in [
        ("<<EOF", HeredocExpansion::Expand),
        ("<<E\\OF", HeredocExpansion::Expand),
        ("<<\\\"EOF", HeredocExpansion::Expand),
        ("<<\"EOF\"", HeredocExpansion::Literal),
        ("<<E'O'F", HeredocExpansion::Literal),
    ] {
        assert_eq!(only(line).expansion, expected, "{line}");
    }
}

#[test]
fn descriptors_and_tabs_are_read() {
    let word = only("RUN 3<<-EOF");
    assert_eq!((word.fd, word.tabs), (Some(3), HeredocTabs::Strip));
    assert!(word.ends_at("\t\tEOF") && word.ends_at("EOF"));
    assert!(!word.ends_at(" EOF") && !word.ends_at("EOF "));
    let word = only("RUN <<EOF");
    assert_eq!((word.fd, word.tabs), (None, HeredocTabs::Keep));
    assert!(word.ends_at("EOF") && !word.ends_at("\tEOF"));
}

#[test]
fn within_arithmetic_it_may_be_a_shift() {
    for (line, expected) in [
        ("RUN echo $((1 << 2))", Certainty::IfTerminated),
        ("RUN ((x <<2))", Certainty::IfTerminated),
        ("RUN ((1)) <<EOF", Certainty::Certain),
        ("RUN (cat <<EOF", Certainty::Certain),
    ] {
        assert_eq!(only(line).certainty, expected, "{line}");
    }
}
