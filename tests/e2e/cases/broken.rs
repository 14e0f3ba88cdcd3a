//! Files that a person would write by mistake, each beside exactly what rbuild says of it. A folder
//! of `tests/fixtures/broken` holds a `Dockerfile`, the context's other files in `files`, flags of
//! the command line in `flags`, and the message in `expect.txt`.
//!
//! `UPDATE=1` rewrites what differs: read it then as the one who made the mistake.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::system::{repository, tool};
use e2e::{Context, World, for_each_user};

for_each_user! { a_mistake_is_explained }

fn a_mistake_is_explained(world: &World) {
    let update = std::env::var_os("UPDATE").is_some();
    let mut differing = Vec::new();
    for case in cases() {
        let said = said(world, &case);
        let golden = case.join("expect.txt");
        if fs::read_to_string(&golden).ok().as_ref() == Some(&said) {
            continue;
        }
        if update {
            fs::write(&golden, said).unwrap();
        } else {
            differing.push(format!("{} should hold:\n{said}", golden.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What rbuild says, without the places that differ from run to run.
fn said(world: &World, case: &Path) -> String {
    let name = case.file_name().unwrap().to_str().unwrap();
    let context = Context::new(world, name, &[]);
    let files = case.join("files");
    if files.exists() {
        tool(Command::new("cp").arg("-r").arg(files.join(".")).arg(context.path())).ok();
    }
    let dockerfile = fs::read(case.join("Dockerfile")).unwrap();
    fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    world.user().own(context.path());
    let flags = fs::read_to_string(case.join("flags")).unwrap_or_default();
    let flags: Vec<&str> = flags.lines().collect();
    let run = world.build(&[&["--quiet"], &*flags, &[context.arg()]].concat());
    assert_ne!(run.code, 0, "{name} builds: {}", run.shown());
    assert_eq!(run.stdout, "", "{name}");
    let said = run.stderr.replace(&format!("{}/", context.arg()), "");
    let said = said.replace(&world.store().display().to_string(), "STORE");
    without_time(&said.replace(&world.mirror().address, "REGISTRY"))
}

/// The file of a log is named by the time.
fn without_time(said: &str) -> String {
    let Some((before, log)) = said.split_once("STORE/logs/") else { return said.to_owned() };
    let (_, after) = log.split_once(".log").unwrap();
    format!("{before}STORE/logs/TIME.log{after}")
}

fn cases() -> Vec<PathBuf> {
    let folder = repository().join("tests/fixtures/broken");
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries.filter(|path| path.join("Dockerfile").exists()).collect();
    cases.sort();
    assert!(cases.len() >= 80, "{} holds only {} cases", folder.display(), cases.len());
    cases
}
