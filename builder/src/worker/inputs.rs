//! What a job works on: the results of the steps before it, by the position at which its op names
//! them. How they came about is not known here.

use rbuild_cache::Snapshot;
use rbuild_cache::stat::StatCache;
use rbuild_cache::tree::Tree;
use rbuild_solver::worker::{Job, Worker};

use super::{BuildWorker, Output, WorkError};

/// The inputs of a job, by their position.
pub(super) struct Inputs<'a, 'j> {
    pub(super) worker: &'a BuildWorker<'a>,
    pub(super) job: &'a Job<'j, Output>,
}

impl Inputs<'_, '_> {
    /// The tree that an op works on; an empty one if it has none.
    pub(super) fn base(&self, input: Option<usize>) -> Snapshot {
        match input.and_then(|input| self.job.inputs.get(input)) {
            Some(Output::Snapshot(snapshot)) => snapshot.clone(),
            Some(Output::Context(_)) | None => Snapshot::default(),
        }
    }

    /// Those of the inputs that are stacks of layers.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.job.inputs.iter().filter_map(|input| match input {
            Output::Snapshot(snapshot) => Some(snapshot),
            Output::Context(_) => None,
        })
    }

    /// The digest of what an edge picks.
    pub(super) fn content(&self, input: usize) -> Result<String, WorkError> {
        let edge = self.job.vertex.inputs.get(input).zip(self.job.inputs.get(input));
        edge.map_or(Ok(String::new()), |(edge, output)| {
            Ok(self.worker.content(output, &edge.selector)?.hex())
        })
    }

    /// What the files of a context hashed to in earlier builds.
    pub(super) fn stats(&self, input: usize) -> &StatCache {
        match self.job.inputs.get(input) {
            Some(Output::Context(name)) => &self.worker.context.files(name).stats,
            _ => &self.worker.context.files.stats,
        }
    }

    /// The files that an op reads from an input.
    pub(super) fn tree(&self, input: usize) -> Result<Tree, WorkError> {
        match self.job.inputs.get(input) {
            Some(Output::Snapshot(snapshot)) => self.worker.tree(snapshot),
            Some(Output::Context(name)) => Ok(self.worker.context.files(name).tree.clone()),
            None => Ok(self.worker.context.files.tree.clone()),
        }
    }
}
