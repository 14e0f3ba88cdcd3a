//! rbuild, for the comparison: one store for the cases of a section, so that results of one case
//! are at hand when the next is built, as with Docker.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::system::{rbuild, tool};

use crate::base::Bases;
use crate::builder::Laid;
use crate::case::Case;
use crate::outcome::{Error, ErrorKind, Outcome};
use crate::servers::Served;

/// rbuild and its store.
#[derive(Debug)]
pub struct Rbuild {
    program: PathBuf,
    folder: PathBuf,
}

impl Rbuild {
    /// Makes a store in `folder`, with the bases.
    pub fn new(folder: &Path, bases: &Path) -> Rbuild {
        let it = Rbuild { program: rbuild(), folder: folder.to_owned() };
        let mut load = it.command();
        load.args(["load", "--quiet", "--input"]).arg(bases);
        tool(&mut load).ok();
        it
    }

    /// Runs a case, and says how it ended and what was printed.
    pub fn build(&self, case: &Case, bases: &Bases, served: &Served) -> (Outcome, String) {
        let laid = Laid::new(case, bases, served);
        let mut command = self.command();
        command.arg("build");
        let run = laid.run(command);
        let outcome = match run.code {
            0 => Outcome::Image(laid.image(bases)),
            _ => Outcome::Error(error(&run.stderr)),
        };
        (outcome, run.stderr)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", &self.folder).env("RBUILD_ROOT", self.folder.join("store"));
        command
    }
}

/// The code in brackets says what is at fault; ` --> Dockerfile:3:1` where.
fn error(output: &str) -> Error {
    let is_error = |line: &&str| line.starts_with("error");
    let message = output.lines().find(is_error).unwrap_or_default();
    let of_dockerfile = ["is not an image reference", "the Dockerfile `", "`check=error=true`"];
    let is_dockerfile = of_dockerfile.iter().any(|words| message.contains(words));
    let kind = match message.strip_prefix("error[").and_then(|it| it.split_once(']')) {
        _ if is_dockerfile => ErrorKind::Dockerfile,
        Some(("step", _)) => ErrorKind::Step,
        Some(("base", _)) => ErrorKind::Base,
        Some(_) => ErrorKind::Dockerfile,
        None => ErrorKind::Call,
    };
    let lines = output.lines().filter_map(line_number).collect();
    Error { kind, lines, message: message.to_owned() }
}

fn line_number(line: &str) -> Option<usize> {
    let (_, place) = line.split_once("--> ")?;
    place.rsplit(':').nth(1)?.parse().ok()
}
