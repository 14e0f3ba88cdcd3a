//! The threads between a download and a layer.
//!
//! One thread keeps the blob as it comes and inflates it, another one digests the tar and writes
//! the layer: inflating and writing cost about the same, so a single large layer has two cores to
//! work on.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use bytes::Bytes;
use rbuild_cache::archive::{BadMember, Compression, fill};
use rbuild_cache::layer::ImportError;
use rbuild_cache::{BlobWriteError, BlobWriter, Digest, FsError, LayerId, Store};
use tokio::sync::mpsc;

const MAGIC_LENGTH: u64 = 6;
const PIECE: usize = 128 * 1024;
/// How many pieces go round between the threads. New memory for each piece would cost more in page
/// faults than inflating does.
const PIECES: usize = 8;

/// What comes from a download. Without an end, it broke off.
pub(super) enum Part {
    Bytes(Bytes),
    End,
}

/// Why a blob that was fetched did not become a layer.
pub(super) enum UnpackError {
    Import(ImportError),
    Keep(BlobWriteError),
}

/// Reads what is downloaded, and keeps a copy of all that was read.
pub(super) struct Feed {
    receiver: mpsc::Receiver<Part>,
    part: Bytes,
    state: FeedState,
    writer: BlobWriter,
    /// Why the blob could not be kept. To who reads, it only breaks off.
    unkept: Option<FsError>,
}

#[derive(PartialEq, Eq)]
enum FeedState {
    Running,
    Ended,
}

/// Ends with an error when nobody wants the bytes any more.
pub(super) struct Stoppable<R> {
    inner: R,
    stop: Arc<AtomicBool>,
}

/// How inflating ended.
#[derive(PartialEq, Eq)]
enum Inflated {
    Whole,
    /// The other thread knows why: it was told, or it does not want any more.
    Part,
}

/// The inflated pieces as one stream.
struct Pieces {
    receiver: Receiver<io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    piece: Cursor<Vec<u8>>,
}

/// Where inflated pieces go, and where used ones come back from.
struct Outlet {
    sender: Sender<io::Result<Vec<u8>>>,
    used: Receiver<Vec<u8>>,
}

/// Makes a layer of a blob.
///
/// # Errors
/// Why the blob is no layer, or not this one.
pub(super) fn unpack(
    store: &Store,
    blob: impl Read + Send,
    diff_id: &Digest,
) -> Result<LayerId, ImportError> {
    let (layer, _) = side_by_side(store, diff_id, |outlet| inflate(blob, &outlet));
    layer
}

/// Makes a layer of a blob that is on its way, and keeps the blob.
///
/// # Errors
/// Why the blob is no layer, or not this one, or why it could not be kept.
pub(super) fn keep_and_unpack(
    store: &Store,
    mut feed: Feed,
    digest: &Digest,
    diff_id: &Digest,
) -> Result<LayerId, UnpackError> {
    let (layer, kept) = side_by_side(store, diff_id, |outlet| {
        let inflated = inflate(&mut feed, &outlet);
        // The layer need not wait for the blob to be on the disk.
        drop(outlet);
        if inflated == Inflated::Whole { feed.keep(digest) } else { feed.is_kept() }
    });
    match (layer, kept) {
        (_, Err(error @ UnpackError::Keep(BlobWriteError::Disk(_)))) => Err(error),
        (Err(error), _) => Err(UnpackError::Import(error)),
        (Ok(layer), kept) => kept.map(|()| layer),
    }
}

/// Imports the pieces that `inflate` sends from a thread of its own.
fn side_by_side<T: Send>(
    store: &Store,
    diff_id: &Digest,
    inflate: impl FnOnce(Outlet) -> T + Send,
) -> (Result<LayerId, ImportError>, T) {
    let (mut pieces, outlet) = connection();
    thread::scope(|scope| {
        let inflating = scope.spawn(|| inflate(outlet));
        let layer = store.layers().import(&mut pieces, diff_id);
        // Whoever waits to send more must find out that nobody listens.
        drop(pieces);
        match inflating.join() {
            Ok(inflated) => (layer, inflated),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Both ends, with empty pieces to begin with.
fn connection() -> (Pieces, Outlet) {
    let (sender, receiver) = channel();
    let (used, empty) = channel();
    for _ in 0..PIECES {
        // The other end is right here.
        let _ = used.send(vec![0; PIECE]);
    }
    (Pieces { receiver, used, piece: Cursor::default() }, Outlet { sender, used: empty })
}

fn inflate(blob: impl Read, outlet: &Outlet) -> Inflated {
    let sent = try_inflate(blob, outlet);
    sent.unwrap_or_else(|error| {
        // If the other thread does not listen, it has an error of its own.
        let _ = outlet.sender.send(Err(error));
        Inflated::Part
    })
}

/// The first bytes tell how the blob is compressed, not the media type, which is wrong in many a
/// registry: every builder looks at the bytes.
fn try_inflate(mut blob: impl Read, outlet: &Outlet) -> io::Result<Inflated> {
    let mut start = Vec::new();
    blob.by_ref().take(MAGIC_LENGTH).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let mut tar = compression.reader(Cursor::new(start).chain(blob))?;
    while let Ok(mut piece) = outlet.used.recv() {
        piece.resize(PIECE, 0);
        let length = fill(&mut tar, &mut piece)?;
        piece.truncate(length);
        if length == 0 {
            return Ok(Inflated::Whole);
        }
        if outlet.sender.send(Ok(piece)).is_err() {
            break;
        }
    }
    Ok(Inflated::Part)
}

impl Feed {
    pub(super) fn new(receiver: mpsc::Receiver<Part>, writer: BlobWriter) -> Feed {
        let (part, state, unkept) = (Bytes::new(), FeedState::Running, None);
        Feed { receiver, part, state, writer, unkept }
    }

    /// What comes after the end of the compressed stream belongs to the blob, too.
    fn keep(mut self, digest: &Digest) -> Result<(), UnpackError> {
        let read = io::copy(&mut self, &mut io::sink());
        self.is_kept()?;
        read.map_err(|error| UnpackError::Import(ImportError::Member(BadMember::Archive(error))))?;
        self.writer.finish(Some(digest)).map(drop).map_err(UnpackError::Keep)
    }

    fn is_kept(&mut self) -> Result<(), UnpackError> {
        self.unkept.take().map_or(Ok(()), |error| Err(UnpackError::Keep(error.into())))
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() && self.state == FeedState::Running {
            match self.receiver.blocking_recv() {
                Some(Part::Bytes(bytes)) => {
                    if let Err(error) = self.writer.append(&bytes) {
                        self.unkept = Some(error);
                        return Err(io::Error::other("the blob cannot be kept"));
                    }
                    self.part = bytes;
                }
                Some(Part::End) => self.state = FeedState::Ended,
                None => return Err(io::Error::other("the download broke off")),
            }
        }
        let count = self.part.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.part.split_to(count));
        Ok(count)
    }
}

impl<R> Stoppable<R> {
    pub(super) fn new(inner: R, stop: Arc<AtomicBool>) -> Stoppable<R> {
        Stoppable { inner, stop }
    }
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(io::Error::other("cancelled"));
        }
        self.inner.read(buffer)
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Ok(next) = self.receiver.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.piece, Cursor::new(next?)).into_inner();
            // After the last piece nobody takes it back.
            let _ = self.used.send(used);
        }
    }
}
