//! The inputs that are kept, each through its target: those that once broke something, and those
//! that a fuzzer begins with.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use rbuild_fuzz::{TARGETS, Target};

/// The inputs of a target by path.
fn inputs(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "{name} has a poor corpus");
    paths
}

fn run(name: &str, target: Target) {
    let broken = |path: &PathBuf| {
        let input = fs::read(path).expect("an input");
        catch_unwind(|| target(&input)).is_err()
    };
    let broken: Vec<PathBuf> = inputs(name).into_iter().filter(broken).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn archives_that_are_kept() {
    run("archive", rbuild_fuzz::archive);
}

#[test]
fn dockerfiles_that_are_kept() {
    run("dockerfile", rbuild_fuzz::dockerfile);
}

#[test]
fn documents_that_are_kept() {
    run("document", rbuild_fuzz::document);
}

#[test]
fn ignore_files_that_are_kept() {
    run("ignore", rbuild_fuzz::ignore);
}

#[test]
fn layers_that_are_kept() {
    run("layer", rbuild_fuzz::layer);
}

#[test]
fn references_that_are_kept() {
    run("reference", rbuild_fuzz::reference);
}

#[test]
fn every_target_has_a_corpus() {
    TARGETS.iter().for_each(|(name, _)| drop(inputs(name)));
}
