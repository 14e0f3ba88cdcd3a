//! rbuild on every case, compared with what is recorded: a test for each section.

use std::io::Write;

use conformance::case::Case;
use conformance::differences::Known;

macro_rules! sections {
    ($($test:ident = $section:literal),+ $(,)?) => {
        const SECTIONS: &[&str] = &[$($section),+];
        $(
            #[test]
            fn $test() {
                conformance::suite::section($section);
            }
        )+
    };
}

sections! {
    lexing = "lexing",
    heredocs = "heredoc",
    expansion = "expansion",
    arguments = "arguments",
    stages = "stages",
    run = "run",
    copy = "copy",
    linked_copies = "link",
    kept_parents = "parents",
    add = "add",
    config = "config",
    onbuild = "onbuild",
    forms_in_use = "practice",
    checks = "check",
    mounts = "mount",
    ignore_files = "ignore",
    contexts = "context",
    named_contexts = "named",
    sources_from_elsewhere = "remote",
}

#[test]
fn every_section_is_run() {
    assert_eq!(Case::sections(), sorted(SECTIONS));
}

/// So that no folder is lost without anybody's seeing it. The count is written past the test
/// runner, which keeps what tests that pass print to itself.
#[test]
fn there_are_many_cases() {
    let (cases, known) = (all(), Known::read());
    let (count, sections) = (cases.len(), SECTIONS.len());
    let (reasons, differ) = (known.reasons(), known.cases().count());
    let told = format!(
        "conformance: {count} cases in {sections} sections; {differ} are listed as different, \
         for {reasons} reasons\n"
    );
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    assert!(count >= 1000, "only {count}");
}

#[test]
fn every_row_of_the_table_is_shown() {
    let faults = conformance::rows::faults(&all());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_list_of_differences_names_cases() {
    let names: Vec<String> = all().into_iter().map(|case| case.name).collect();
    let known = Known::read();
    let strangers: Vec<&String> = known.cases().filter(|case| !names.contains(case)).collect();
    assert!(strangers.is_empty(), "no such cases: {strangers:?}");
}

fn all() -> Vec<Case> {
    Case::sections().iter().flat_map(|section| Case::section(section)).collect()
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}
