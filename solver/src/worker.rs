//! The door between the solver and the world.
//!
//! The solver decides what is done and when; a [`Worker`] knows how. Tests use a fake one that
//! counts. All methods may be called from several threads at once.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rbuild_cache::ContentDigest;
use rbuild_cache::tree::Selector;

use crate::event::Event;
use crate::graph::{Vertex, VertexId};
use crate::key::{Key, OpDigest, Part};
use crate::op::ContextOp;

/// Carries out ops and keeps their results.
pub trait Worker: Sync {
    /// A result: a snapshot, or a context. Cheap to clone.
    type Output: Clone + Debug + Send + Sync;
    /// Why something failed.
    type Error: Send;
    /// Held while one process works on a key; others wait for it.
    type Claim: Send;

    /// The tree that the user gives under this name. Reads nothing yet.
    fn context(&self, context: &ContextOp) -> Result<Self::Output, Self::Error>;

    /// The results laid over each other, the first one at the bottom. Reads nothing.
    fn stack(&self, parts: &[Self::Output]) -> Self::Output;

    /// The digest of what `selector` picks of `output`. Computed once and remembered.
    fn content(
        &self,
        output: &Self::Output,
        selector: &Selector,
    ) -> Result<ContentDigest, Self::Error>;

    /// The result that is recorded under `key`, if its bytes are all there and it will do for this
    /// vertex.
    fn look_up(&self, id: VertexId, vertex: &Vertex, key: &Key) -> Option<Self::Output>;

    /// What was to be said of the result that is recorded under `key`.
    fn warnings(&self, key: &Key) -> Vec<String>;

    /// Earlier results of an equal op on whatever inputs, the newest first, that will do for this
    /// vertex.
    fn candidates(&self, id: VertexId, op: &OpDigest) -> Vec<Candidate<Self::Output>>;

    /// The last record in this slot: what a miss is compared with, and what the step may cost.
    fn last_run(&self, slot: &str) -> Option<LastRun>;

    /// What is different about the files that this input picks of a context, compared with the
    /// last record in the vertex's slot: `src/main.c changed`.
    fn changed_files(&self, vertex: &Vertex, input: usize) -> Option<String>;

    /// Waits until no other process works on `key`, and keeps others from starting.
    fn claim(&self, key: &Key, cancel: &Cancel) -> Result<Self::Claim, Self::Error>;

    /// Does what the op says.
    fn run(&self, job: &Job<'_, Self::Output>) -> Result<Made<Self::Output>, Self::Error>;

    /// Whether the machine is so short of memory that nothing more should be started beside what
    /// runs.
    fn is_short_of_memory(&self) -> bool;

    /// Remembers the result. Failing to remember is not failing to build: the worker tells the
    /// user and goes on.
    fn save(&self, entry: &Save<'_, Self::Output>);
}

/// What a step took of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// From its start to its end.
    pub took: Duration,
    /// The most memory that it used at once, in bytes, where that is known.
    pub memory: Option<u64>,
}

/// What is recorded of the last run of a step.
#[derive(Debug, Clone)]
pub struct LastRun {
    /// What its key was made of.
    pub parts: Vec<Part>,
    /// What it took.
    pub cost: Cost,
}

/// What came of an op.
#[derive(Debug, Clone)]
pub struct Made<O> {
    /// The result.
    pub output: O,
    /// The most memory that making it used at once, in bytes, where that is known.
    pub memory: Option<u64>,
}

impl<O> Made<O> {
    /// A result of which nobody knows how much memory it took.
    pub fn new(output: O) -> Made<O> {
        Made { output, memory: None }
    }
}

/// An earlier result and the inputs it was made from.
#[derive(Debug, Clone)]
pub struct Candidate<O> {
    /// The result.
    pub output: O,
    /// What it took to make.
    pub cost: Cost,
    /// What it was made from, in the order of the op's inputs.
    pub inputs: Vec<RecordedInput<O>>,
    /// What was to be said of it.
    pub warnings: Vec<String>,
}

/// What a record knows of one input.
#[derive(Debug, Clone)]
pub enum RecordedInput<O> {
    /// The content that the op saw.
    Content(ContentDigest),
    /// The result that the op saw through this selector: its content is not known yet.
    Output(O, Selector),
}

/// One op to run.
pub struct Job<'a, O> {
    /// Its name in the graph.
    pub id: VertexId,
    /// The op and its edges.
    pub vertex: &'a Vertex,
    /// The results of its inputs, in order.
    pub inputs: &'a [O],
    /// To be looked at now and then, and waited on.
    pub cancel: &'a Cancel,
    /// Where to tell what happens.
    pub events: &'a (dyn Fn(Event) + Sync),
}

/// A result to remember.
pub struct Save<'a, O> {
    /// The definition key.
    pub key: &'a Key,
    /// The op alone, without inputs.
    pub op: &'a OpDigest,
    /// The vertex.
    pub vertex: &'a Vertex,
    /// The results of its inputs, in order.
    pub inputs: &'a [O],
    /// What the key was made of.
    pub parts: &'a [Part],
    /// The result.
    pub output: &'a O,
    /// What is to be said of it.
    pub warnings: &'a [String],
    /// What it took to make.
    pub cost: Cost,
}

/// Says that a build is over before its end. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Not cancelled yet.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Ends the build.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether the build was ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
