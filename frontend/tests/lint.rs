//! Goldens of the rules: one folder for each, with files in which it finds something and files in
//! which it does not, each beside what all rules say of it.
//!
//! `<name>.flags` holds flags of the command line, one on each line, and `ignore` what the ignore
//! file of the context would. `UPDATE=1` rewrites what differs.

#![allow(clippy::unwrap_used)] // What these helpers cannot do is a failed test.

#[allow(dead_code)] // Lowering's own tests need more of it.
#[path = "lower/support.rs"]
mod support;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use rbuild_frontend::diagnostic::{Color, Diagnostic, render};
use rbuild_frontend::ignore::{IgnoreFile, Verdict};
use rbuild_frontend::lint::{Facts, Finding, Findings, OnWarning, RULES, lint};
use rbuild_frontend::parser::parse;
use rbuild_frontend::stage::{Bases, stages};
use support::Build;

#[test]
fn rules_find_what_they_should() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut differing = Vec::new();
    for rule in &RULES {
        for file in files(rule.name) {
            let build = build(&file);
            let findings = findings(&build, &ignore(&file)).unwrap().findings;
            let fires = findings.iter().any(|finding| finding.rule.name == rule.name);
            let should = file.file_stem().unwrap() == "fires";
            assert_eq!(fires, should, "{} with {findings:#?}", file.display());
            let golden = file.with_extension("txt");
            let actual = shown(&findings, &build);
            if fs::read_to_string(&golden).unwrap_or_default() == actual {
                continue;
            }
            if update {
                fs::write(&golden, actual).unwrap();
            } else {
                differing.push(format!("{} should hold:\n{actual}", golden.display()));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_folder_is_a_rule() {
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(RULES.iter().any(|rule| rule.name == name), "{name}");
    }
}

#[test]
fn a_file_says_which_rules_it_wants() {
    let body = "FROM scratch AS Up\nCMD a\nENV a b\n";
    let own = "# why\n# check=skip=LegacyKeyValueFormat\n# more\nENV c d\n";
    let rows: &[(&str, &str, &[&str])] = &[
        ("", "", &["StageNameCasing", "JSONArgsRecommended", "LegacyKeyValueFormat"]),
        ("skip=all", "", &[]),
        ("skip=StageNameCasing", "", &["JSONArgsRecommended", "LegacyKeyValueFormat"]),
        ("skip=StageNameCasing, JSONArgsRecommended", own, &["LegacyKeyValueFormat"]),
        ("error=true;skip=StageNameCasing,JSONArgsRecommended", "", &["LegacyKeyValueFormat"]),
        (
            "skip=legacykeyvalueformat",
            own,
            &["StageNameCasing", "JSONArgsRecommended", "LegacyKeyValueFormat"],
        ),
        ("skip=all;experimental=all", "# x\nARG y\n", &["InvalidDefinitionDescription"]),
    ];
    for (check, more, expected) in rows {
        let build = Build::of(&format!("# check={check}\n{body}{more}"));
        assert_eq!(names(&build), *expected, "{check} {more}");
    }
}

#[test]
fn a_build_argument_replaces_what_the_file_says() {
    let text = "# check=skip=StageNameCasing;error=true\nFROM scratch AS Up\nCMD a\n";
    let build =
        Build::of(text).flag("--build-arg BUILDKIT_DOCKERFILE_CHECK=skip=JSONArgsRecommended");
    assert_eq!(names(&build), ["StageNameCasing"]);
    let found = findings(&build, &IgnoreFile::default()).unwrap();
    assert_eq!(found.on_warning, OnWarning::Continue);
    let found = findings(&Build::of(text), &IgnoreFile::default()).unwrap();
    assert_eq!(found.on_warning, OnWarning::Fail);
}

#[test]
fn a_malformed_check_line_is_an_error() {
    let rows = [
        ("skp=A", "did you mean `skip`?"),
        ("error=maybe", "it is `true` or `false`"),
        ("nonsense", "its options are `skip`, `error` and `experimental`"),
    ];
    for (check, help) in rows {
        let build = Build::of(&format!("# check={check}\nFROM scratch\n"));
        let errors = findings(&build, &IgnoreFile::default()).unwrap_err();
        assert_eq!(errors[0].help.as_deref(), Some(help), "{check}");
        assert!(build.source.text()[errors[0].span.clone()].starts_with(check), "{check}");
    }
}

/// An image that nobody could look up may have any variable.
#[test]
fn a_base_that_is_unknown_leaves_out_what_depends_on_it() {
    let build = Build::of("FROM busybox\nENV A=$FROM_BASE\nCMD a\n");
    let graph = stages(&parse(&build.source).ast, &build.source, &build.options).unwrap();
    let ast = parse(&build.source).ast;
    let bases = Bases::new();
    let facts = Facts::new(&ast, &graph, &bases, &build.options, &|_| false);
    let found = lint(&facts).unwrap().findings;
    let names: Vec<&str> = found.iter().map(|finding| finding.rule.name).collect();
    assert_eq!(names, ["JSONArgsRecommended"]);
}

/// Rules about steps look at what is built; rules about how a file is written look at all of it.
#[test]
fn a_target_leaves_out_other_stages() {
    let text = "FROM scratch AS a\nENV A=$X\nENV b c\nFROM scratch AS b\nENV A=$Y\n";
    let build = Build::of(text).flag("--target b");
    let graph = stages(&parse(&build.source).ast, &build.source, &build.options).unwrap();
    let ast = parse(&build.source).ast;
    let bases = Bases::new();
    let facts = Facts::new(&ast, &graph, &bases, &build.options, &|_| false);
    let lines = |finding: &Finding| build.source.position(finding.lines.start).0;
    let found: Vec<_> =
        lint(&facts).unwrap().findings.iter().map(|it| (it.rule.name, lines(it))).collect();
    assert_eq!(found, [("LegacyKeyValueFormat", 3), ("UndefinedVar", 5)]);
}

fn names(build: &Build) -> Vec<&'static str> {
    let found = findings(build, &IgnoreFile::default()).unwrap().findings;
    found.iter().map(|finding| finding.rule.name).collect()
}

fn findings(build: &Build, ignore: &IgnoreFile) -> Result<Findings, Vec<Diagnostic>> {
    let ast = parse(&build.source).ast;
    let graph = stages(&ast, &build.source, &build.options).unwrap().with_all_stages();
    let bases = support::resolve(&graph);
    let hidden = |path: &str| ignore.verdict(path) != Verdict::Included;
    lint(&Facts::new(&ast, &graph, &bases, &build.options, &hidden))
}

/// Each finding, and the lines that it counts for.
fn shown(findings: &[Finding], build: &Build) -> String {
    let mut shown = String::new();
    for Finding { diagnostic, lines, .. } in findings {
        let line = |at| build.source.position(at).0;
        let text = render(std::slice::from_ref(diagnostic), &build.source, Color::Never);
        writeln!(shown, "{text}lines {}-{}\n", line(lines.start), line(lines.end)).unwrap();
    }
    shown
}

fn build(file: &Path) -> Build {
    let mut build = Build::of(&fs::read_to_string(file).unwrap());
    for flag in fs::read_to_string(file.with_extension("flags")).unwrap_or_default().lines() {
        build = build.flag(flag);
    }
    build
}

fn ignore(file: &Path) -> IgnoreFile {
    let text = fs::read(file.with_file_name("ignore")).unwrap_or_default();
    IgnoreFile::parse(&text).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/lint")
}

fn files(rule: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder().join(rule)).unwrap().map(|entry| entry.unwrap().path());
    let is_case = |path: &PathBuf| path.extension().is_some_and(|end| end == "Dockerfile");
    let mut files: Vec<_> = entries.filter(is_case).collect();
    files.sort();
    assert!(files.len() >= 2, "{rule} has only {} files", files.len());
    files
}
