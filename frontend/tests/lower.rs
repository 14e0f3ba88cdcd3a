//! Goldens of lowering: a Dockerfile beside its graph and image config, or beside the messages
//! about it; and the conformance vectors that show at this level.
//!
//! A case may have a file `flags` with one flag of the command line on each line. `UPDATE=1`
//! rewrites what differs.

#![allow(clippy::unwrap_used)] // What these helpers cannot do is a failed test.

#[path = "lower/any.rs"]
mod any;
#[path = "lower/dump.rs"]
mod dump;
#[path = "lower/mounts.rs"]
mod mounts;
#[path = "lower/support.rs"]
mod support;
#[path = "lower/vectors.rs"]
mod vectors;

use std::fs;
use std::path::{Path, PathBuf};

use rbuild_frontend::diagnostic::{Color, render};
use support::Build;

#[test]
fn files_match_their_graphs_and_configs() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut differing = Vec::new();
    for case in cases() {
        let actual = actual(&case);
        let golden = case.join("expect.txt");
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

fn actual(case: &Path) -> String {
    let mut build = Build::of(&fs::read_to_string(case.join("Dockerfile")).unwrap());
    for flag in fs::read_to_string(case.join("flags")).unwrap_or_default().lines() {
        build = build.flag(flag);
    }
    match build.run() {
        Ok(built) => dump::dump(&built, &build.source),
        Err(found) => render(&found, &build.source, Color::Never),
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/lower");
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries.filter(|path| path.join("Dockerfile").exists()).collect();
    cases.sort();
    assert!(cases.len() >= 25, "{} holds only {} cases", folder.display(), cases.len());
    cases
}

#[test]
fn a_chain_of_many_stages_needs_no_deep_stack() {
    let later = (1..3000).map(|stage| format!("FROM s{} AS s{stage}\n", stage - 1));
    let text: String = std::iter::once("FROM scratch AS s0\n".to_owned()).chain(later).collect();
    let lowering = std::thread::Builder::new().stack_size(256 << 10);
    let lowered = lowering.spawn(move || Build::of(&text).run().is_ok());
    assert!(lowered.unwrap().join().unwrap());
}
