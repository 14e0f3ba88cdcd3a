//! Digesting a stream, and writing it to a file where it is wanted, beside the caller, who reads or
//! inflates what comes next.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::fs::{self, FsError};

/// What is handed over at once, in bytes.
const CHUNK: usize = 1 << 20;
/// How many chunks may wait: what the caller may be ahead.
const AHEAD: usize = 4;

/// A stream on its way.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Always of full length.
    buffer: Vec<u8>,
    filled: usize,
    end: End,
}

/// A stream that is complete.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Who writes.
#[derive(Debug)]
enum End {
    /// Nobody yet: a small file needs no thread.
    Here(Sink),
    Beside(Worker),
    /// The worker has failed, and its error was told.
    Failed,
}

#[derive(Debug)]
struct Sink {
    file: Option<(File, PathBuf)>,
    hasher: Sha256,
    size: u64,
}

#[derive(Debug)]
struct Worker {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Result<Sink, FsError>>,
}

impl Pipe {
    /// Writes to a new file at `path`.
    pub(crate) fn create(path: &Path) -> Result<Pipe, FsError> {
        Ok(Pipe::to(Some((fs::create_file(path)?, path.to_owned()))))
    }

    /// Digests, and keeps nothing.
    pub(crate) fn digesting() -> Pipe {
        Pipe::to(None)
    }

    fn to(file: Option<(File, PathBuf)>) -> Pipe {
        let sink = Sink { file, hasher: Sha256::new(), size: 0 };
        Pipe { buffer: vec![0; CHUNK], filled: 0, end: End::Here(sink) }
    }

    /// Reads once from `source`. Gives the number of bytes: none at its end.
    pub(crate) fn fill(&mut self, source: &mut dyn Read) -> io::Result<usize> {
        self.make_room()?;
        let got = source.read(&mut self.buffer[self.filled..])?;
        self.filled += got;
        Ok(got)
    }

    /// Waits until all is written.
    pub(crate) fn finish(mut self) -> io::Result<Written> {
        let mut sink = match std::mem::replace(&mut self.end, End::Failed) {
            End::Here(sink) => sink,
            End::Beside(worker) => worker.join()?,
            End::Failed => return Err(failed()),
        };
        sink.write(&self.buffer[..self.filled])?;
        let digest = Digest::from_hasher(sink.hasher);
        Ok(Written { digest, size: sink.size })
    }

    /// Hands the full buffer over and takes an empty one.
    fn make_room(&mut self) -> io::Result<()> {
        if self.filled < CHUNK {
            return Ok(());
        }
        let worker = match std::mem::replace(&mut self.end, End::Failed) {
            End::Here(sink) => Worker::start(sink)?,
            End::Beside(worker) => worker,
            End::Failed => return Err(failed()),
        };
        let full = std::mem::take(&mut self.buffer);
        if worker.full.send(full).is_err() {
            worker.join()?;
            return Err(failed());
        }
        self.buffer = worker.empty.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        self.filled = 0;
        self.end = End::Beside(worker);
        Ok(())
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.make_room()?;
        let taken = bytes.len().min(CHUNK - self.filled);
        self.buffer[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Worker {
    fn start(mut sink: Sink) -> io::Result<Worker> {
        let (full, incoming) = sync_channel::<Vec<u8>>(AHEAD);
        let (outgoing, empty): (Sender<Vec<u8>>, _) = channel();
        let work = move || {
            for chunk in incoming {
                sink.write(&chunk)?;
                // Nobody listens any more once the last chunk is sent.
                let _ = outgoing.send(chunk);
            }
            Ok(sink)
        };
        let thread = std::thread::Builder::new().name("layer writer".to_owned()).spawn(work)?;
        Ok(Worker { full, empty, thread })
    }

    fn join(self) -> io::Result<Sink> {
        drop(self.full);
        Ok(self.thread.join().map_err(|_| failed())??)
    }
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        if let Some((file, path)) = &self.file {
            fs::write_all(file, path, bytes)?;
        }
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
}

fn failed() -> io::Error {
    io::Error::other("an earlier write failed")
}
