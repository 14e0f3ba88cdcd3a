use super::*;
use crate::ast::{Kind, RunForm};

fn kinds(parsed: &Parsed) -> Vec<&Kind> {
    parsed.ast.instructions.iter().map(|instruction| &instruction.kind).collect()
}

fn codes(text: &str) -> Vec<&'static str> {
    let parsed = parse(&Source::new("Dockerfile", text.into()));
    parsed.diagnostics.iter().map(|found| found.code).collect()
}

#[test]
fn a_trigger_needs_no_from() {
    let parsed = parse_trigger(&Source::new("trigger", "RUN cat <<A\n1\nA".into()));
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let [Kind::Run(run)] = kinds(&parsed)[..] else { panic!("{parsed:?}") };
    assert_eq!(run.form(), RunForm::Shell("cat <<A\n1\nA".into()));
}

#[test]
fn a_stored_trigger_reads_like_the_original() {
    let text = "FROM scratch\nONBUILD COPY <<-A \\\n# why\n  --x /y\n\t1\n\tA\n";
    let parsed = parse(&Source::new("Dockerfile", text.into()));
    let [_, Kind::Onbuild(onbuild)] = kinds(&parsed)[..] else { panic!("{parsed:?}") };
    assert_eq!(onbuild.stored, "COPY <<-A   --x /y\n\t1\nA");
    let again = parse_trigger(&Source::new("trigger", onbuild.stored.clone().into()));
    let ([Kind::Copy(stored)], Kind::Copy(original)) =
        (&kinds(&again)[..], &onbuild.trigger.as_ref().unwrap().kind)
    else {
        panic!("{again:?}")
    };
    assert_eq!(stored.transfer.dest.as_str(), original.transfer.dest.as_str());
    assert_eq!(stored.transfer.sources.len(), original.transfer.sources.len());
}

#[test]
fn directives_mean_nothing_in_a_trigger() {
    let parsed = parse_trigger(&Source::new("trigger", "# escape=`\nCMD a \\\nb".into()));
    assert_eq!(kinds(&parsed).len(), 1);
}

#[test]
fn long_lines_are_read() {
    let word = "x".repeat(70_000);
    let text = format!("FROM scratch\nCMD {word}\nEXPOSE {}\n", "80 ".repeat(30_000));
    let parsed = parse(&Source::new("Dockerfile", text.into()));
    let [_, Kind::Cmd(crate::ast::Command::Shell(command)), Kind::Expose(ports)] =
        kinds(&parsed)[..]
    else {
        panic!("{:?}", parsed.diagnostics)
    };
    assert_eq!(command.as_str(), word);
    assert_eq!(ports.len(), 30_000);
}

#[test]
fn order_is_judged_by_what_was_meant() {
    for (text, expected) in [
        ("", &["no-instructions"][..]),
        ("# only a comment\n", &["no-instructions"]),
        ("ARG a\n", &["missing-from"]),
        ("RUN a\n", &["instruction-before-from"]),
        ("RUN a\nRUN b\n", &["instruction-before-from"]),
        ("RUN a\nFROM scratch\nRUN b\n", &["instruction-before-from"]),
        ("FORM scratch\nRUN b\n", &["unknown-instruction"]),
        ("FROM\nRUN b\n", &["missing-argument"]),
        ("foo\n", &["unknown-instruction"]),
        ("foo\nFROM scratch\n", &["unknown-instruction"]),
    ] {
        assert_eq!(codes(text), expected, "{text:?}");
    }
}

#[test]
fn near_names_are_suggested_and_far_ones_are_not() {
    let keywords = || Keyword::ALL.iter().map(|keyword| keyword.name());
    for (word, expected) in [
        ("RUM", Some("RUN")),
        ("FORM", Some("FROM")),
        ("workdri", Some("WORKDIR")),
        ("ENTRYPIONT", Some("ENTRYPOINT")),
        ("HEALTHCHEK", Some("HEALTHCHECK")),
        ("hello", None),
        ("&&", None),
        ("x", None),
    ] {
        assert_eq!(suggest::nearest(word, keywords()), expected, "{word}");
    }
}
