//! The whole output of every step, kept in a file of its own: what a screen shows is a tail.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rbuild_cache::Store;

use crate::progress::Progress;

/// How many lines of a failed step are shown with the error.
const TAIL: usize = 20;

/// Where the logs of one build go.
#[derive(Clone)]
pub struct Logs {
    store: Store,
    /// Names this build: when it began, and which process.
    build: Arc<str>,
    progress: Progress,
}

/// The log of one step, being written.
pub struct Log {
    /// Where it is; none if it could not be made.
    pub path: Option<PathBuf>,
    file: Option<BufWriter<File>>,
    tail: Vec<u8>,
}

impl Logs {
    /// The logs of a build that begins now.
    pub fn new(store: &Store, progress: &Progress) -> Logs {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3f");
        let build = format!("{now}-{}", std::process::id()).into();
        Logs { store: store.clone(), build, progress: progress.clone() }
    }

    /// Begins the log of the step with this number. A log that cannot be written is no reason to
    /// fail a build.
    pub fn open(&self, step: usize) -> Log {
        let name = format!("{}-{step}.log", self.build);
        let file = match self.store.log_file(&name) {
            Ok(file) => Some(BufWriter::new(file)),
            Err(error) => {
                self.notice(&format!("the output of this step is not kept: {error}"));
                None
            }
        };
        let path = file.is_some().then(|| self.store.log_path(&name).ok()).flatten();
        Log { path, file, tail: Vec::new() }
    }

    /// One line for the user.
    pub fn notice(&self, text: &str) {
        self.progress.notice(text);
    }
}

impl Log {
    /// Adds output.
    pub fn write(&mut self, bytes: &[u8]) {
        const KEPT: usize = 64 * 1024;
        if let Some(file) = &mut self.file {
            let _ = file.write_all(bytes);
        }
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 2 * KEPT {
            self.tail.drain(..self.tail.len() - KEPT);
        }
    }

    /// Ends the log; gives its path and its last lines.
    pub fn finish(mut self) -> (Option<PathBuf>, Vec<String>) {
        if let Some(file) = &mut self.file {
            let _ = file.flush();
        }
        let text = String::from_utf8_lossy(&self.tail);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].iter();
        (self.path, tail.map(|line| line.trim_end_matches('\r').to_owned()).collect())
    }
}
