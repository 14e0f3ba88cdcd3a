//! Carries out ops: joins the graph's words with the sandbox and the store.
//!
//! One file per op beside this one. What is decided here is only which of them is called and what
//! is remembered of the result.

pub mod copy;
mod exec;
mod files;
mod inputs;
pub mod logs;
mod makedir;
pub mod mount;
mod owner;
pub mod sight;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use rbuild_cache::stat::StatCache;
use rbuild_cache::tree::{Owners, PathSelector, Selector, Tree, manifest};
use rbuild_cache::{
    ContentDigest, DbError, KeyLock, Layers, Record, RecordedInput as InputRow, Snapshot, Store,
    View, VolumeName,
};
use rbuild_solver::event::Event;
use rbuild_solver::graph::{Vertex, VertexId};
use rbuild_solver::key::{Key, OpDigest};
use rbuild_solver::op::{ContextOp, ImageOp, Op};
use rbuild_solver::worker::{
    Cancel, Candidate, Cost, Job, LastRun, Made, RecordedInput, Save, Worker,
};

use crate::given::Given;
use crate::machine::Memory;
use crate::sandbox::{Limits, Sandbox};
use crate::source::context::BuildContext;
use crate::source::images::Images;
use crate::source::remote::Remotes;

pub use error::WorkError;
use inputs::Inputs;

mod error;

/// How many earlier results of an equal op are compared by content.
const CANDIDATES: u32 = 64;

/// Everything that carrying out an op needs.
pub struct BuildWorker<'a> {
    /// Where results are kept.
    pub store: &'a Store,
    /// Where steps run.
    pub sandbox: &'a Sandbox,
    /// Where bases come from.
    pub images: &'a Images,
    /// Where files and repositories from elsewhere come from.
    pub remotes: &'a Remotes<'a>,
    /// The build context.
    pub context: &'a BuildContext,
    /// Where the output of steps is kept.
    pub logs: logs::Logs,
    /// Lines for the /etc/hosts of steps.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// What the user gives to steps that ask for it by name.
    pub given: Given,
    /// Devices for steps that ask for them.
    pub devices: mount::Devices,
    /// What a step may use of the machine.
    pub limits: Limits,
    /// What of the machine's memory is left.
    pub memory: &'a Memory,
    /// `SOURCE_DATE_EPOCH`: the time of what is made here.
    pub epoch: Option<i64>,
    /// The vertices whose files are read in this build.
    pub looked_at: HashSet<VertexId>,
    /// Says that the build is over before its end.
    pub cancel: &'a Cancel,
    /// What was found out about results in this build.
    pub known: Known,
}

/// What was found out about results in this build, so that it is found out once.
#[derive(Default)]
pub struct Known {
    views: Mutex<HashMap<Snapshot, (Tree, Arc<View>)>>,
    contents: Mutex<HashMap<(Snapshot, PathSelector), ContentDigest>>,
    /// Results that do not have the content that their key says: a file changed while it was
    /// copied. Neither they nor what is made on them is recorded.
    unsteady: Mutex<Vec<Snapshot>>,
    /// Volumes that began anew in this build, because the cache was not to be used.
    renewed: Mutex<BTreeSet<VolumeName>>,
    said: OnceLock<()>,
}

/// A result of an op.
#[derive(Debug, Clone)]
pub enum Output {
    /// A stack of layers.
    Snapshot(Snapshot),
    /// The files that the user gives under this name.
    Context(String),
}

impl Worker for BuildWorker<'_> {
    type Output = Output;
    type Error = WorkError;
    type Claim = KeyLock;

    fn context(&self, context: &ContextOp) -> Result<Output, WorkError> {
        Ok(Output::Context(context.name.clone()))
    }

    fn stack(&self, parts: &[Output]) -> Output {
        Output::Snapshot(Snapshot::stacked(parts.iter().filter_map(|part| match part {
            Output::Snapshot(snapshot) => Some(snapshot),
            Output::Context(_) => None,
        })))
    }

    fn content(&self, output: &Output, selector: &Selector) -> Result<ContentDigest, WorkError> {
        match (output, selector) {
            (Output::Context(name), Selector::Paths(paths)) => self.context_content(name, paths),
            (Output::Context(name), Selector::Whole) => {
                let all = PathSelector::everything();
                self.context_content(name, &all)
            }
            (Output::Snapshot(snapshot), Selector::Whole) => self.stack_content(snapshot),
            (Output::Snapshot(snapshot), Selector::Paths(paths)) => {
                self.selected_content(snapshot, paths)
            }
        }
    }

    fn look_up(&self, id: VertexId, vertex: &Vertex, key: &Key) -> Option<Output> {
        match &vertex.op {
            Op::Image(image) => image_layers(self.store.layers(), image).map(Output::Snapshot),
            _ => {
                let layers = self.store.records().get(key.as_bytes())?.layers;
                let snapshot = Snapshot { layers };
                self.will_do(id, &snapshot).then_some(Output::Snapshot(snapshot))
            }
        }
    }

    fn warnings(&self, key: &Key) -> Vec<String> {
        self.store.records().warnings(key.as_bytes())
    }

    fn candidates(&self, id: VertexId, op: &OpDigest) -> Vec<Candidate<Output>> {
        let mut records = self.store.records().by_op(op.as_bytes(), CANDIDATES);
        records.retain(|record| self.will_do(id, &Snapshot { layers: record.layers.clone() }));
        records.into_iter().filter_map(candidate).collect()
    }

    fn last_run(&self, slot: &str) -> Option<LastRun> {
        let record = self.store.records().last_in_slot(&self.slot(slot))?;
        let cost = Cost { took: record.took, memory: record.memory };
        Some(LastRun { parts: serde_json::from_value(record.parts).ok()?, cost })
    }

    fn changed_files(&self, vertex: &Vertex, input: usize) -> Option<String> {
        let Selector::Paths(paths) = &vertex.inputs.get(input)?.selector else { return None };
        let list = self.store.records().file_list(&self.file_slot(&vertex.origin.slot, input))?;
        let end = list.iter().position(|byte| *byte == b'\n')?;
        let (name, last) = (std::str::from_utf8(&list[..end]).ok()?, &list[end + 1..]);
        let now = self.context.files(name).tree.select(paths).ok()?.manifest();
        manifest::diff(last, &now)
    }

    fn claim(&self, key: &Key, cancel: &Cancel) -> Result<KeyLock, WorkError> {
        Ok(self.store.claim(&key.to_string(), &|| cancel.is_cancelled())?)
    }

    fn is_short_of_memory(&self) -> bool {
        self.memory.is_short()
    }

    fn run(&self, job: &Job<'_, Output>) -> Result<Made<Output>, WorkError> {
        let inputs = Inputs { worker: self, job };
        let snapshot = match &job.vertex.op {
            Op::Image(image) => self.images.layers(image, &|_, _, _| {}, job.cancel)?,
            Op::Http(_) | Op::Git(_) => self.fetch(job)?,
            Op::Exec(op) => {
                inputs.snapshots().try_for_each(|snapshot| self.need(job, snapshot))?;
                return exec::run(self, op, &inputs);
            }
            Op::Copy(op) => files::copy(self, op, &inputs)?,
            Op::MakeDir(op) => files::make_dir(self, op, &inputs)?,
            Op::Context(context) => return Ok(Made::new(self.context(context)?)),
            Op::Stack => return Ok(Made::new(self.stack(job.inputs))),
        };
        Ok(Made::new(Output::Snapshot(snapshot)))
    }

    fn save(&self, entry: &Save<'_, Output>) {
        let Output::Snapshot(snapshot) = entry.output else { return };
        if matches!(entry.vertex.op, Op::Image(_)) || self.is_unsteady(snapshot) {
            return;
        }
        let selectors = entry.vertex.inputs.iter().map(|edge| &edge.selector);
        let record = Record {
            key: *entry.key.as_bytes(),
            op: *entry.op.as_bytes(),
            slot: self.slot(&entry.vertex.origin.slot),
            layers: snapshot.layers.clone(),
            inputs: entry.inputs.iter().zip(selectors).map(|(i, s)| self.input_row(i, s)).collect(),
            parts: serde_json::to_value(entry.parts).unwrap_or_default(),
            warnings: entry.warnings.to_vec(),
            took: entry.cost.took,
            memory: entry.cost.memory,
            created: SystemTime::now(),
        };
        let kept = self.store.records().put(&record).and_then(|()| self.save_file_lists(entry));
        if let Err(error) = kept {
            self.say_once(&error);
        }
    }
}

impl BuildWorker<'_> {
    /// A stack is identified by its layers: those that were pulled by their diffIDs, others by
    /// what they hold.
    fn stack_content(&self, snapshot: &Snapshot) -> Result<ContentDigest, WorkError> {
        let mut hasher = blake3::Hasher::new();
        for layer in &snapshot.layers {
            hasher.update(self.store.layers().content(layer)?.as_bytes());
        }
        Ok(ContentDigest::from_hasher(&hasher))
    }

    fn context_content(
        &self,
        name: &str,
        paths: &PathSelector,
    ) -> Result<ContentDigest, WorkError> {
        let files = self.context.files(name);
        Ok(files.tree.select(paths)?.digest(&files.stats)?)
    }

    fn selected_content(
        &self,
        snapshot: &Snapshot,
        paths: &PathSelector,
    ) -> Result<ContentDigest, WorkError> {
        let known = (snapshot.clone(), paths.clone());
        if let Some(content) = lock(&self.known.contents).get(&known) {
            return Ok(*content);
        }
        let content = self.tree(snapshot)?.select(paths)?.digest(&StatCache::none())?;
        lock(&self.known.contents).insert(known, content);
        Ok(content)
    }

    /// The files of a snapshot, for reading.
    fn tree(&self, snapshot: &Snapshot) -> Result<Tree, WorkError> {
        if let Some((tree, _)) = lock(&self.known.views).get(snapshot) {
            return Ok(tree.clone());
        }
        self.images.need(snapshot, &|_, _, _| {}, self.cancel)?;
        let view = self.store.layers().view(snapshot)?;
        let tree = Tree::open(view.path(), Owners::Kept, None)?;
        lock(&self.known.views).insert(snapshot.clone(), (tree.clone(), view));
        Ok(tree)
    }

    /// Whether a recorded result can be used: one that was made on a guess about its base only
    /// where nobody looks at it, or if the guess turns out to be right.
    fn will_do(&self, id: VertexId, snapshot: &Snapshot) -> bool {
        if !self.looked_at.contains(&id) {
            return true;
        }
        let layers = self.store.layers();
        let Ok(guesses) = layers.guesses(snapshot) else { return false };
        guesses.iter().all(|guess| {
            let below = Snapshot { layers: guess.below.clone() };
            let here = layers.missing(&below).is_ok_and(|missing| missing.is_empty());
            here && matches!(layers.check_guess(guess), Ok(None))
        })
    }

    /// Fetches what a step is about to read, and tells how far that is.
    fn need(&self, job: &Job<'_, Output>, snapshot: &Snapshot) -> Result<(), WorkError> {
        let vertex = job.id;
        let tell = |what: &str, done, total| {
            let what = what.to_owned();
            (job.events)(Event::Progress { vertex, what, done, total: Some(total) });
        };
        Ok(self.images.need(snapshot, &tell, job.cancel)?)
    }

    fn fetch(&self, job: &Job<'_, Output>) -> Result<Snapshot, WorkError> {
        let vertex = job.id;
        let tell = |done, total| {
            let what = "download".to_owned();
            (job.events)(Event::Progress { vertex, what, done, total });
        };
        Ok(self.remotes.snapshot(&job.vertex.op, &tell)?)
    }

    /// Which step of which project: what a miss is compared with, and what `du` shows.
    fn slot(&self, step: &str) -> String {
        format!("{} {step}", self.context.place)
    }

    /// The time of what is made here and has none of its own, in seconds and nanoseconds.
    fn now(&self) -> (i64, u32) {
        (self.epoch.unwrap_or_else(|| jiff::Timestamp::now().as_second()), 0)
    }

    fn input_row(&self, input: &Output, selector: &Selector) -> InputRow {
        let (layers, content) = match input {
            Output::Snapshot(snapshot) => (Some(snapshot.layers.clone()), None),
            Output::Context(_) => (None, self.content(input, selector).ok()),
        };
        InputRow { layers, content, selector: selector.clone() }
    }

    /// Keeps what the op saw of a context, behind the context's name, so that the next miss can name a file.
    fn save_file_lists(&self, entry: &Save<'_, Output>) -> Result<(), DbError> {
        let vertex = entry.vertex;
        for (input, edge) in vertex.inputs.iter().enumerate() {
            if let (Some(Output::Context(name)), Selector::Paths(paths)) =
                (entry.inputs.get(input), &edge.selector)
                && let Ok(selection) = self.context.files(name).tree.select(paths)
            {
                let slot = self.file_slot(&vertex.origin.slot, input);
                let list = [name.as_bytes(), b"\n", &selection.manifest()].concat();
                self.store.records().put_file_list(&slot, &list)?;
            }
        }
        Ok(())
    }

    fn file_slot(&self, step: &str, input: usize) -> String {
        format!("{} {input}", self.slot(step))
    }

    fn is_unsteady(&self, snapshot: &Snapshot) -> bool {
        let unsteady = lock(&self.known.unsteady);
        unsteady.iter().any(|known| snapshot.holds(known))
    }

    /// A store that cannot be written to makes the next build slower, not this one wrong.
    fn say_once(&self, error: &dyn std::error::Error) {
        if self.known.said.set(()).is_ok() {
            self.logs.notice(&format!("results of this build are not kept: {error}"));
        }
    }
}

/// The layers of an image, if the store knows them all and nothing has to be looked at.
fn image_layers(layers: &Layers, image: &ImageOp) -> Option<Snapshot> {
    if !layers.guesses_of(&image.diff_ids).is_ok_and(|guesses| guesses.is_empty()) {
        return None;
    }
    let found: Option<Vec<_>> = image.diff_ids.iter().map(|id| layers.by_diff_id(id)).collect();
    Some(Snapshot { layers: found? })
}

fn candidate(record: Record) -> Option<Candidate<Output>> {
    let input = |row: InputRow| match (row.content, row.layers) {
        (Some(content), _) => Some(RecordedInput::Content(content)),
        (None, Some(layers)) => {
            Some(RecordedInput::Output(Output::Snapshot(Snapshot { layers }), row.selector))
        }
        (None, None) => None,
    };
    let inputs: Option<Vec<_>> = record.inputs.into_iter().map(input).collect();
    let output = Output::Snapshot(Snapshot { layers: record.layers });
    let cost = Cost { took: record.took, memory: record.memory };
    Some(Candidate { output, cost, inputs: inputs?, warnings: record.warnings })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
