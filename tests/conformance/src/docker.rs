//! Docker, for the recorder: `$DOCKER`, a command line of one word or several.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use e2e::system::tool;

use crate::base::Bases;
use crate::builder::Laid;
use crate::case::Case;
use crate::outcome::{Error, ErrorKind, Outcome, Recorded};
use crate::servers::Served;

/// How messages begin whose step does not say what is at fault.
const OF_BASES: &[&str] = &["failed to resolve source metadata", "oci-layout reference"];
const OF_STEPS: &[&str] = &["failed to compute cache key"];
const OF_CALLS: &[&str] = &[
    "failed to convert agent config",
    "failed to find target ",
    "failed to get build context",
    "failed to read dockerfile",
    "failed to read downloaded context",
    "failed to stat",
    "invalid argument: can't use stdin",
    "invalid context name",
    "invalid context value",
    "ref conflicts",
    "secret missing ID",
    "unable to prepare context",
    "unexpected query",
];

/// Loads the archive of the bases into Docker, and says what it is.
pub fn prepare(bases: &Path) -> BTreeMap<String, String> {
    let mut load = docker();
    load.args(["load", "--input"]).arg(bases);
    tool(&mut load).ok();
    let version = |args: &[&str]| tool(docker().args(args)).ok().stdout.trim().to_owned();
    let buildx = version(&["buildx", "version"]);
    let buildx = buildx.split(' ').nth(1).unwrap_or(&buildx).to_owned();
    BTreeMap::from([
        ("docker".to_owned(), version(&["version", "--format", "{{.Server.Version}}"])),
        ("buildx".to_owned(), buildx),
        ("frontend".to_owned(), "built into docker".to_owned()),
    ])
}

/// Runs a case with Docker.
pub fn record(
    case: &Case,
    bases: &Bases,
    served: &Served,
    by: &BTreeMap<String, String>,
) -> Recorded {
    let laid = Laid::new(case, bases, served);
    let mut command = docker();
    command.args(["buildx", "build", "--provenance=false"]);
    let run = laid.run(command);
    let outcome = match run.code {
        0 => Outcome::Image(laid.image(bases)),
        _ => Outcome::Error(error(&served.without_ports(&run.stderr))),
    };
    Recorded { by: by.clone(), outcome }
}

fn docker() -> Command {
    let line = std::env::var("DOCKER").unwrap_or_else(|_| "docker".to_owned());
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("`$DOCKER` is empty"));
    command.args(words);
    command
}

/// The last line says what is wrong; before it stand the step's title and the marked lines.
fn error(output: &str) -> Error {
    let message = output.lines().rev().find(|line| line.starts_with("ERROR: ")).unwrap_or(output);
    let message = message.trim_start_matches("ERROR: ").trim_start_matches("failed to build: ");
    let message = message.trim_start_matches("failed to solve: ");
    let is_marked = |line: &&str| line.split_once(" | >>> ").is_some();
    let says = |begins: &[&str]| begins.iter().any(|begin| message.starts_with(begin));
    let number = |line: &str| line.split_once('|').unwrap().0.trim().parse().unwrap();
    let lines: Vec<usize> = output.lines().filter(is_marked).map(number).collect();
    let failed = output.lines().find_map(|line| line.strip_prefix(" > ["));
    let kind = match failed {
        _ if says(OF_BASES) => ErrorKind::Base,
        _ if says(OF_STEPS) => ErrorKind::Step,
        _ if message.contains("invalid includepatterns") => ErrorKind::Dockerfile,
        _ if says(OF_CALLS) && lines.is_empty() => ErrorKind::Call,
        Some(title) if title.starts_with("internal] load metadata") => ErrorKind::Base,
        Some(title) if title.starts_with("internal]") => ErrorKind::Call,
        Some(_) => ErrorKind::Step,
        // Of the ignore file; it names neither file nor line.
        None if message.ends_with("in pattern") || message.contains("exclusion pattern") => {
            ErrorKind::Call
        }
        None => ErrorKind::Dockerfile,
    };
    Error { kind, lines, message: without_refs(message) }
}

/// Snapshots have random names.
fn without_refs(message: &str) -> String {
    let is_ref = |word: &str| word.contains("::") && word.len() > 40;
    let words: Vec<&str> =
        message.split(' ').map(|word| if is_ref(word) { "REF:" } else { word }).collect();
    words.join(" ")
}
