//! One command, timed.
//!
//! A process of its own starts it: what a process has used when it ends includes what its parent
//! had in memory when it forked, and the runner is not small. The helper is this program again,
//! with the word `measure`; it tells the result on its standard output.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use wait4::Wait4;

use crate::results::Sample;

/// A command line: the program and its arguments.
pub type Line = Vec<String>;

/// Why a command has no time.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// It could not be started.
    #[error("cannot run `{line}`: {source}")]
    Start {
        /// The command.
        line: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file that should have changed did not.
    #[error("cannot write `{path}`: {source}")]
    Touch {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The builder has nothing that does it.
    #[error("{0}")]
    Unable(&'static str),
    /// It failed.
    #[error("`{line}` failed: {said}")]
    Failed {
        /// The command.
        line: String,
        /// The end of what it printed.
        said: String,
    },
}

/// What the helper tells.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    sample: Sample,
    success: bool,
    said: String,
}

/// Runs the lines after each other in `folder`: their times together, and the largest peak.
pub fn measure(
    lines: &[Line],
    folder: &Path,
    env: &[(&str, &Path)],
) -> Result<Sample, MeasureError> {
    let mut whole = Sample { seconds: 0.0, peak_kib: 0 };
    for line in lines {
        let sample = measure_one(line, folder, env)?;
        whole.seconds += sample.seconds;
        whole.peak_kib = whole.peak_kib.max(sample.peak_kib);
    }
    Ok(whole)
}

fn measure_one(line: &Line, folder: &Path, env: &[(&str, &Path)]) -> Result<Sample, MeasureError> {
    let failed = |source| MeasureError::Start { line: line.join(" "), source };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.arg("measure").args(line).current_dir(folder).envs(env.iter().copied());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(failed)?;
    let told: Told = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(std::io::Error::other("its helper ended early")))?;
    match told.success {
        true => Ok(told.sample),
        false => Err(MeasureError::Failed { line: line.join(" "), said: told.said }),
    }
}

/// The helper: runs the line and gives what there is to tell, as JSON.
pub fn help(line: &[String]) -> Result<String, std::io::Error> {
    let (program, args) = line.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let (mut output, writer) = std::io::pipe()?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let start = Instant::now();
    let mut child = command.spawn()?;
    // The pipe's other end is in the command's own hands only.
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        output.read_to_end(&mut said).map(|_| said)
    });
    let used = child.wait4()?;
    let seconds = start.elapsed().as_secs_f64();
    let said = reader.join().map_err(|_| std::io::ErrorKind::Other)??;
    let sample = Sample { seconds, peak_kib: used.rusage.maxrss / 1024 };
    let told = Told { sample, success: used.status.success(), said: tail(&said) };
    Ok(serde_json::to_string(&told)?)
}

fn tail(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let start = text.char_indices().rev().nth(1500).map_or(0, |(at, _)| at);
    text[start..].trim().to_owned()
}
