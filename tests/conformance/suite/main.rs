//! rbuild on every case, compared with what is recorded: a test for each section.

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
    checks = "check",
    mounts = "mount",
    ignore_files = "ignore",
}

#[test]
fn every_section_is_run() {
    assert_eq!(Case::sections(), sorted(SECTIONS));
}

/// So that no folder is lost without anybody's seeing it.
#[test]
fn there_are_many_cases() {
    let count: usize = Case::sections().iter().map(|section| Case::section(section).len()).sum();
    assert!(count >= 250, "only {count}");
}

#[test]
fn the_list_of_differences_names_cases() {
    let names: Vec<String> = Case::sections()
        .iter()
        .flat_map(|section| Case::section(section))
        .map(|case| case.name)
        .collect();
    let known = Known::read();
    let strangers: Vec<&String> = known.cases().filter(|case| !names.contains(case)).collect();
    assert!(strangers.is_empty(), "no such cases: {strangers:?}");
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}
