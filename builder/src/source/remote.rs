//! What is fetched from elsewhere, as trees of the store: files behind addresses and git
//! repositories.
//!
//! First everything is *pinned*: it is found out which bytes or which commit it is now, side by
//! side and before anything is keyed. What is pinned and known is never fetched.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use rbuild_cache::layer::{Entry, Kind};
use rbuild_cache::pattern::escaped;
use rbuild_cache::tree::{Found, NodeKind, Owners, PathSelector, SelectError, Tree};
use rbuild_cache::{Digest, LayerId, Record, Scratch, Snapshot, Store};
use rbuild_frontend::address::{redacted, split_login};
use rbuild_solver::graph::{Graph, Origin, Vertex, VertexId};
use rbuild_solver::key::definition_key;
use rbuild_solver::op::{GitDir, GitOp, HttpFile, HttpOp, Op};
use rbuild_solver::worker::Cancel;
use tokio::runtime::Handle;

use super::git::Git;
use super::http::{Answer, Http, Tell};
use super::limits::Limits;
use crate::cli::Session;
use crate::given::Given;
use crate::progress::Progress;

pub use error::RemoteError;

mod error;

/// Fetches for one build.
pub struct Remotes<'a> {
    store: &'a Store,
    runtime: Handle,
    cancel: &'a Cancel,
    limits: Limits,
    given: Given,
    /// The time of what has none.
    now: (i64, u32),
    http: OnceLock<Http>,
    downloads: Mutex<HashMap<Digest, Arc<Download>>>,
}

/// A file that was downloaded, for as long as the build needs it.
#[derive(Debug)]
pub struct Download {
    /// Where it is.
    pub path: PathBuf,
    answer: Answer,
    _folder: Scratch,
}

impl<'a> Remotes<'a> {
    /// With the limits of the environment, and with what the user gives. `now` is the time of files that have none.
    pub fn new(
        session: &'a Session,
        given: &Given,
        now: (i64, u32),
    ) -> Result<Remotes<'a>, RemoteError> {
        let limits = Limits::from_environment()?;
        let runtime = session.runtime.handle().clone();
        Ok(Remotes::with(&session.store, runtime, &session.cancel, (limits, given.clone()), now))
    }

    /// With limits of one's own.
    pub fn with(
        store: &'a Store,
        runtime: Handle,
        cancel: &'a Cancel,
        (limits, given): (Limits, Given),
        now: (i64, u32),
    ) -> Remotes<'a> {
        let (http, downloads) = (OnceLock::new(), Mutex::default());
        Remotes { store, runtime, cancel, limits, given, now, http, downloads }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Pins every source that `targets` need, side by side.
    ///
    /// # Errors
    /// The first one in the order of the graph that could not be pinned.
    pub fn pin_all(
        &self,
        graph: &mut Graph,
        targets: &[VertexId],
        progress: &Progress,
    ) -> Result<(), (VertexId, RemoteError)> {
        let open = |id: &VertexId| is_open(&graph.vertex(*id).op);
        let ids: Vec<VertexId> = graph.needed(targets).into_iter().filter(open).collect();
        let pinned: Vec<_> = thread::scope(|scope| {
            let one = |id: &VertexId| {
                let vertex = graph.vertex(*id);
                scope.spawn(move || {
                    let phase = progress.phase(&look_title(&vertex.origin));
                    let pinned = self.pin(&vertex.op);
                    if pinned.is_ok() {
                        phase.done();
                    }
                    pinned
                })
            };
            let threads: Vec<_> = ids.iter().map(one).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|pinned| pinned.unwrap_or(Err(RemoteError::Interrupted))).collect()
        });
        for (id, pinned) in ids.into_iter().zip(pinned) {
            graph.pin(id, pinned.map_err(|error| (id, error))?);
        }
        Ok(())
    }

    /// Finds out what a source is now.
    pub fn pin(&self, op: &Op) -> Result<Op, RemoteError> {
        match op {
            Op::Http(http) if http.found.is_none() => self.pin_http(http).map(Op::Http),
            Op::Git(git) if git.commit.is_none() => Ok(Op::Git(self.git().pin(git)?)),
            pinned => Ok(pinned.clone()),
        }
    }

    /// The tree of a pinned source.
    pub fn snapshot(&self, op: &Op, tell: Tell<'_>) -> Result<Snapshot, RemoteError> {
        let layer = match op {
            Op::Http(http) => self.file_layer(http, tell)?,
            Op::Git(git) => self.git_layer(git)?,
            _ => return Ok(Snapshot::default()),
        };
        Ok(Snapshot { layers: vec![layer] })
    }

    /// The tree of a source that is no part of a graph, from the store if it is there.
    pub fn recorded(&self, op: Op, title: &str) -> Result<Snapshot, RemoteError> {
        let op = self.pin(&op)?;
        let origin = Origin { slot: title.to_owned(), ..Origin::default() };
        let vertex = Vertex { op, inputs: Vec::new(), origin };
        let digest = vertex.op.digest();
        let key = definition_key(&digest, &vertex, &[]);
        if let Some(record) = self.store.records().get(key.as_bytes()) {
            return Ok(Snapshot { layers: record.layers });
        }
        let started = Instant::now();
        let snapshot = self.snapshot(&vertex.op, &|_, _| {})?;
        let record = Record {
            key: *key.as_bytes(),
            op: *digest.as_bytes(),
            slot: title.to_owned(),
            layers: snapshot.layers.clone(),
            inputs: Vec::new(),
            parts: serde_json::Value::Array(Vec::new()),
            warnings: Vec::new(),
            took: started.elapsed(),
            memory: None,
            created: SystemTime::now(),
        };
        // A store that cannot remember makes the next build slower, not this one wrong.
        let _ = self.store.records().put(&record);
        Ok(snapshot)
    }

    /// Downloads a file that is no part of a graph.
    pub fn download(&self, url: &str, tell: Tell<'_>) -> Result<Arc<Download>, RemoteError> {
        match self.get(url, None, tell)? {
            Some(download) => Ok(download),
            None => Err(RemoteError::Interrupted),
        }
    }

    /// What the server says of the file now. A download is kept for when its layer is made.
    fn pin_http(&self, op: &HttpOp) -> Result<HttpOp, RemoteError> {
        // Whoever asks: the server decides who may have it, every time.
        let (address, _) = split_login(&op.url);
        let memo = self.store.records().memo(&address);
        let known: Option<Answer> = memo.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let answer = match (self.get(&op.url, known.as_ref(), &|_, _| {})?, known) {
            (Some(download), _) => {
                let bytes = serde_json::to_vec(&download.answer).unwrap_or_default();
                // Without it, the next build downloads the file again.
                let _ = self.store.records().put_memo(&address, &bytes);
                let answer = download.answer.clone();
                self.downloads().insert(answer.digest, download);
                answer
            }
            (None, Some(known)) => known,
            (None, None) => return Err(RemoteError::Interrupted),
        };
        let found = HttpFile { digest: answer.digest, modified: answer.modified };
        Ok(HttpOp { found: Some(found), ..op.clone() })
    }

    fn get(
        &self,
        url: &str,
        known: Option<&Answer>,
        tell: Tell<'_>,
    ) -> Result<Option<Arc<Download>>, RemoteError> {
        let folder = self.store.scratch()?;
        let path = folder.path().join("file");
        let http = self.http()?;
        let answer = self.runtime.block_on(async {
            tokio::select! {
                answer = http.get(url, known, &path, tell) => Ok(answer?),
                () = cancelled(self.cancel) => Err(RemoteError::Interrupted),
            }
        })?;
        Ok(answer.map(|answer| Arc::new(Download { path, answer, _folder: folder })))
    }

    fn file_layer(&self, op: &HttpOp, tell: Tell<'_>) -> Result<LayerId, RemoteError> {
        let Some(found) = &op.found else { return self.file_layer(&self.pin_http(op)?, tell) };
        let known = self.downloads().get(&found.digest).cloned();
        let download = match known {
            Some(download) => download,
            None => self.download(&op.url, tell)?,
        };
        if download.answer.digest != found.digest {
            return Err(RemoteError::Checksum {
                url: redacted(&op.url),
                expected: found.digest,
                found: download.answer.digest,
            });
        }
        let unreadable = |source| RemoteError::Read { from: redacted(&op.url), source };
        let mut file = std::fs::File::open(&download.path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let modified = found.modified.or(download.answer.modified).unwrap_or_default();
        let mut entry = Entry::new(op.name.as_bytes(), Kind::File { size }, 0o600);
        entry.mtime = (modified, 0);
        let mut layer = self.store.layers().begin()?;
        layer.add(&entry, Some(&mut file))?;
        Ok(layer.finish()?)
    }

    fn git_layer(&self, op: &GitOp) -> Result<LayerId, RemoteError> {
        let scratch = self.store.scratch()?;
        let checkout = self.git().check_out(op, &scratch)?;
        let time = checkout.time(op, self.now);
        let tree = Tree::open(&checkout.path, Owners::Root, None)?;
        let selection = tree.select(&PathSelector::of(escaped(&op.subdir)));
        let subdir = || RemoteError::Subdir {
            remote: redacted(&op.remote),
            subdir: op.subdir.clone(),
            commit: op.commit.clone().unwrap_or_default(),
        };
        let selection = match selection {
            Err(SelectError::Missing { .. }) => return Err(subdir()),
            other => other?,
        };
        let top = selection.matches.first().filter(|top| top.top.node.is_dir());
        let top = top.ok_or_else(subdir)?;
        let mut layer = self.store.layers().begin()?;
        let mut root = Entry::new("", Kind::Dir, 0o755);
        root.mtime = time;
        layer.add(&root, None)?;
        for found in top.below.iter().filter(|found| is_kept(op, found)) {
            let Some(entry) = entry(&found, time) else { continue };
            if !found.node.is_file() {
                layer.add(&entry, None)?;
                continue;
            }
            let file = selection.open(top, &found);
            let mut file =
                file.map_err(|source| RemoteError::Read { from: redacted(&op.remote), source })?;
            layer.add(&entry, Some(&mut file))?;
        }
        Ok(layer.finish()?)
    }

    fn git(&self) -> Git<'_> {
        Git::new(self.store, &self.limits, &self.given, self.cancel)
    }

    fn http(&self) -> Result<&Http, RemoteError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new(&self.limits, &self.given)?;
        Ok(self.http.get_or_init(|| http))
    }

    fn downloads(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Arc<Download>>> {
        self.downloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is not known yet what a source is.
fn is_open(op: &Op) -> bool {
    match op {
        Op::Http(http) => http.found.is_none(),
        Op::Git(git) => git.commit.is_none(),
        _ => false,
    }
}

fn look_title(origin: &Origin) -> String {
    let shown = origin.title.strip_prefix("[internal] load ").unwrap_or(&origin.title);
    format!("[internal] look up {shown}")
}

/// Without `.git`, also that of submodules, unless it is to be kept.
fn is_kept(op: &GitOp, found: &Found<'_>) -> bool {
    let mut parts = found.path.split(|byte| *byte == b'/');
    op.git_dir != GitDir::Dropped || !parts.any(|part| part == b".git")
}

/// What git knows of a file: whether it can be executed.
fn entry(found: &Found<'_>, time: (i64, u32)) -> Option<Entry> {
    let node = &found.node;
    let (kind, mode) = match &node.kind {
        NodeKind::Dir => (Kind::Dir, 0o755),
        NodeKind::File if node.mode & 0o111 != 0 => (Kind::File { size: node.size }, 0o755),
        NodeKind::File => (Kind::File { size: node.size }, 0o644),
        NodeKind::Symlink { target } => (Kind::Symlink { target: target.clone() }, 0o777),
        _ => return None,
    };
    let mut entry = Entry::new(found.path.clone(), kind, mode);
    entry.mtime = time;
    Some(entry)
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
