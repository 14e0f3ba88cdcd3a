//! What git says while it runs, and whether it still says something.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much of its result is taken: a reference has some sixty bytes.
pub const MAX_RESULT: usize = 256 << 20;

/// How much of its messages is kept, the last of them.
const MAX_MESSAGES: usize = 64 << 10;

/// A stream that is read to its end, whatever comes.
#[derive(Debug)]
pub struct Output(Option<JoinHandle<Vec<u8>>>);

/// What is known of a running git.
#[derive(Debug, Clone)]
pub struct Signs(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    last: Instant,
    result: usize,
}

impl Signs {
    /// Of one that just began.
    pub fn new() -> Signs {
        Signs(Arc::new(Mutex::new(State { last: Instant::now(), result: 0 })))
    }

    /// For how long it has said nothing.
    pub fn silence(&self) -> Duration {
        self.with(|state| state.last.elapsed())
    }

    /// Whether it says more than anybody wants.
    pub fn is_endless(&self) -> bool {
        self.with(|state| state.result > MAX_RESULT)
    }

    fn with<T>(&self, of: impl FnOnce(&mut State) -> T) -> T {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Output {
    /// Its result.
    pub fn result(from: Option<impl Read + Send + 'static>, signs: &Signs) -> Output {
        let signs = signs.clone();
        Output::read(from, move |all, part| {
            signs.with(|state| {
                state.last = Instant::now();
                state.result += part.len();
            });
            if all.len() < MAX_RESULT {
                all.extend_from_slice(part);
            }
        })
    }

    /// Its messages and its progress.
    pub fn messages(from: Option<impl Read + Send + 'static>, signs: &Signs) -> Output {
        let signs = signs.clone();
        Output::read(from, move |all, part| {
            signs.with(|state| state.last = Instant::now());
            all.extend_from_slice(part);
            all.drain(..all.len().saturating_sub(MAX_MESSAGES));
        })
    }

    /// What was read. It ends when nobody has the other end any more.
    pub fn all(mut self) -> Vec<u8> {
        self.0.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }

    fn read(
        from: Option<impl Read + Send + 'static>,
        mut take: impl FnMut(&mut Vec<u8>, &[u8]) + Send + 'static,
    ) -> Output {
        Output(from.map(|mut from| {
            thread::spawn(move || {
                let (mut all, mut part) = (Vec::new(), [0; 8192]);
                while let Ok(count @ 1..) = from.read(&mut part) {
                    take(&mut all, &part[..count]);
                }
                all
            })
        }))
    }
}

/// The lines that say what is wrong; progress and advice are left out.
pub fn said(errors: &[u8]) -> String {
    let errors = String::from_utf8_lossy(errors);
    let lines = errors.split(['\n', '\r']).map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && !is_progress(line)).collect();
    let told: Vec<&str> = lines.iter().copied().filter(|line| is_telling(line)).collect();
    let shown = if told.is_empty() { lines } else { told };
    let words = shown.iter().map(|line| line.strip_prefix("fatal: ").unwrap_or(line));
    words.take(3).collect::<Vec<_>>().join("; ")
}

fn is_progress(line: &str) -> bool {
    line.contains("% (") || line.ends_with("done.") || line.starts_with("remote: Total ")
}

fn is_telling(line: &str) -> bool {
    let of_git = ["fatal: ", "error: ", "remote: ", "ssh: "];
    let of_ssh = ["Permission denied (", "Host key verification failed"];
    of_git.iter().any(|start| line.starts_with(start)) || of_ssh.iter().any(|it| line.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_and_progress_is_not() {
        let rows = [
            ("fatal: no such thing\n", "no such thing"),
            (
                "remote: Counting objects:  50% (1/2)\rremote: Counting objects: 100% (2/2), done.\n\
                 remote: Total 3 (delta 0), reused 0\nfatal: early EOF\n",
                "early EOF",
            ),
            (
                "a@h: Permission denied (publickey).\nfatal: Could not read\nPlease make sure\n",
                "a@h: Permission denied (publickey).; Could not read",
            ),
            ("only this\n", "only this"),
        ];
        for (errors, expected) in rows {
            assert_eq!(said(errors.as_bytes()), expected);
        }
    }

    #[test]
    fn the_last_messages_are_kept() {
        let text = format!("{}fatal: end\n", "x\n".repeat(MAX_MESSAGES));
        let all = Output::messages(Some(std::io::Cursor::new(text)), &Signs::new()).all();
        assert_eq!(all.len(), MAX_MESSAGES);
        assert_eq!(said(&all), "end");
    }
}
