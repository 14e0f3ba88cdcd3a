//! Goldens of the parser: a Dockerfile beside its printed tree, or beside the messages about it.
//!
//! `UPDATE=1` rewrites what differs.

#[path = "parse/print.rs"]
mod print;

use std::fs;
use std::path::{Path, PathBuf};

use rbuild_frontend::diagnostic::{Color, render};
use rbuild_frontend::parser::parse;
use rbuild_frontend::source::Source;

#[test]
fn understood_files_match_their_trees() {
    check("ok", "ast", |source| {
        let parsed = parse(source);
        assert!(!parsed.has_errors(), "{}", render(&parsed.diagnostics, source, Color::Never));
        let tree = print::ast(&parsed.ast, source);
        match parsed.diagnostics.as_slice() {
            [] => tree,
            found => format!("{tree}\n{}", render(found, source, Color::Never)),
        }
    });
}

#[test]
fn broken_files_match_their_messages() {
    check("err", "stderr", |source| {
        let parsed = parse(source);
        assert!(parsed.has_errors(), "no error in:\n{}", source.text());
        render(&parsed.diagnostics, source, Color::Never)
    });
}

fn check(folder: &str, extension: &str, actual: impl Fn(&Source) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/parse").join(folder);
    let update = std::env::var_os("UPDATE").is_some();
    let mut differing = Vec::new();
    for file in dockerfiles(&folder) {
        let actual = actual(&Source::new("Dockerfile", fs::read(&file).unwrap()));
        let golden = file.with_extension(extension);
        if fs::read_to_string(&golden).ok().as_ref() == Some(&actual) {
            continue;
        }
        if update {
            fs::write(&golden, actual).unwrap();
        } else {
            differing.push(format!("{} should hold:\n{actual}", golden.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn dockerfiles(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "Dockerfile")).collect();
    files.sort();
    assert!(files.len() >= 40, "{} holds only {} cases", folder.display(), files.len());
    files
}
