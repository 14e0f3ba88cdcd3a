//! The inputs that are kept, each through its target: those that once broke something, and those
//! that a fuzzer begins with.

use std::fs;
use std::path::{Path, PathBuf};

use rbuild_fuzz::{TARGETS, Target};

/// The inputs of a target by path.
fn inputs(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "{name} has a poor corpus");
    paths
}

fn run(name: &str) {
    let (_, target): &(&str, Target) = TARGETS.iter().find(|(it, _)| *it == name).unwrap();
    for path in inputs(name) {
        println!("{}", path.display());
        target(&fs::read(path).unwrap());
    }
}

#[test]
fn archives_that_are_kept() {
    run("archive");
}

#[test]
fn dockerfiles_that_are_kept() {
    run("dockerfile");
}

#[test]
fn documents_that_are_kept() {
    run("document");
}

#[test]
fn ignore_files_that_are_kept() {
    run("ignore");
}

#[test]
fn layers_that_are_kept() {
    run("layer");
}

#[test]
fn references_that_are_kept() {
    run("reference");
}
