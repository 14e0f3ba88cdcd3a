//! One run of a program: to its end, or started and watched.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal};

use crate::Steps;

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// What was run.
    line: String,
}

impl Run {
    /// Runs to the end, with `input` on standard input.
    pub fn of(command: &mut Command, input: &[u8]) -> Run {
        let mut started = Started::of(command);
        let mut stdin = started.child.stdin.take().unwrap();
        // A program that does not read its input is not at fault.
        let _ = stdin.write_all(input);
        drop(stdin);
        started.wait()
    }

    /// Requires that it succeeded.
    #[track_caller]
    pub fn ok(self) -> Run {
        self.ended(0)
    }

    /// Requires this exit code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Run {
        assert!(self.code == code, "ended with {}, not {code}: {}", self.code, self.shown());
        self
    }

    /// Requires words on standard error, in this order.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Run {
        let mut rest = self.stderr.as_str();
        for word in words {
            let Some(at) = rest.find(word) else {
                panic!("does not say `{word}` (in this place): {}", self.shown());
            };
            rest = &rest[at + word.len()..];
        }
        self
    }

    /// What plain progress tells of the steps.
    pub fn steps(&self) -> Steps {
        Steps::parse(&self.stderr)
    }

    /// All of it, for a message.
    pub fn shown(&self) -> String {
        let Run { line, code, stdout, stderr } = self;
        format!("{line}\n-- code {code}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// A program that may still run. Dropped, it is killed.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<BufReader<std::process::ChildStderr>>,
    seen: String,
    line: String,
}

impl Started {
    /// Starts it, with pipes on all three.
    pub fn of(command: &mut Command) -> Started {
        let line = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut stdout = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let stderr = Some(BufReader::new(child.stderr.take().unwrap()));
        Started { child, stdout: Some(stdout), stderr, seen: String::new(), line }
    }

    /// Reads standard error until a line holds `text`.
    #[track_caller]
    pub fn until(&mut self, text: &str) {
        loop {
            let mut line = Vec::new();
            let read = self.stderr.as_mut().unwrap().read_until(b'\n', &mut line).unwrap();
            let line = String::from_utf8_lossy(&line);
            self.seen.push_str(&line);
            assert!(read > 0, "ended before it said `{text}`: {}\n{}", self.line, self.seen);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Reads what is left, and waits for the end.
    pub fn wait(mut self) -> Run {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        self.stderr.take().unwrap().read_to_end(&mut rest).unwrap();
        self.seen.push_str(&String::from_utf8_lossy(&rest));
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let status = self.child.wait().unwrap();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        let (stderr, line) = (std::mem::take(&mut self.seen), std::mem::take(&mut self.line));
        Run { code, stdout, stderr, line }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
