//! Goldens of the parser: a Dockerfile beside its printed tree, or beside the messages about it.
//!
//! `UPDATE=1` rewrites what differs.

#![allow(clippy::unwrap_used)] // What these helpers cannot do is a failed test.

#[path = "parse/print.rs"]
mod print;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rbuild_frontend::ast::Kind;
use rbuild_frontend::diagnostic::{Color, render};
use rbuild_frontend::parser::{parse, parse_trigger};
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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check_any(bytes);
    }

    #[test]
    fn any_mixture_of_the_language_is_read(parts in prop::collection::vec(part(), 0..40)) {
        check_any(parts.concat().into_bytes());
    }
}

/// Something that means something in a Dockerfile.
fn part() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "FROM ",
        "ARG ",
        "ENV ",
        "RUN ",
        "COPY ",
        "ADD ",
        "CMD ",
        "ENTRYPOINT ",
        "SHELL ",
        "LABEL ",
        "EXPOSE ",
        "VOLUME ",
        "USER ",
        "WORKDIR ",
        "STOPSIGNAL ",
        "HEALTHCHECK ",
        "ONBUILD ",
        "MAINTAINER ",
        "NONE",
        "scratch",
        " AS ",
        "x",
        "=",
        "\"",
        "'",
        "\\",
        "`",
        "\n",
        "\r\n",
        " ",
        "\t",
        "#",
        "# escape=`\n",
        "# check=skip=all\n",
        "<<EOF",
        "<<-EOF",
        "<<'EOF'",
        "3<<EOF",
        "EOF\n",
        "\nEOF\n",
        "--from=",
        "--mount=",
        "--link",
        "--",
        "--interval=",
        "1.5h",
        "[",
        "]",
        ",",
        "[\"a\", ",
        "\"b\"]",
        "\\u00e9",
        "\\ud83d\\ude00",
        "é",
        "日本",
        "\u{a0}",
        "\0",
        "$a",
        "${a:-b}",
        "\\\n",
        "\\ \n",
        "\\\n#\n\n",
        "\u{feff}",
    ];
    prop_oneof![8 => prop::sample::select(PARTS).prop_map(str::to_owned), 1 => ".{0,8}"]
}

/// Parses, prints and renders; the printer checks every span.
fn check_any(bytes: Vec<u8>) {
    let source = Source::new("Dockerfile", bytes);
    for parsed in [parse(&source), parse_trigger(&source)] {
        print::ast(&parsed.ast, &source);
        let spans: Vec<_> = parsed.diagnostics.iter().map(|found| found.span.clone()).collect();
        assert!(spans.iter().all(|span| source.text().get(span.clone()).is_some()), "{spans:?}");
        assert!(spans.is_sorted_by_key(|span| span.start), "{spans:?}");
        render(&parsed.diagnostics, &source, Color::Always);
    }
    let parsed = parse(&source);
    let has_base = parsed.ast.instructions.iter().any(|found| matches!(found.kind, Kind::From(_)));
    assert!(has_base || parsed.has_errors(), "nothing to build and no error");
}
