//! Which of the steps that could start does so next, and whether now.
//!
//! The end of a build waits for its longest chain of steps. So of those that are ready the one
//! starts first that the most time comes after, by what the steps took the last time. A step is
//! held back where the memory that it needed the last time does not fit beside what runs, and where
//! the machine is short of memory already; one step always runs.
//!
//! What a step needs before it is ready is not known here.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::graph::{Graph, VertexId};
use crate::plan::{Decision, Plan};
use crate::worker::Cost;

#[cfg(test)]
mod tests;

/// How much may run at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// How many steps; none for as many as are ready.
    pub jobs: Option<NonZeroUsize>,
    /// How many bytes of memory, by what steps needed the last time; none for any number.
    pub memory: Option<u64>,
}

/// What a step of which nothing is known is taken to cost: longer than what is known to be short,
/// so that unknown chains are not left to the end.
const UNKNOWN: Duration = Duration::from_secs(1);

/// The answer to who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    /// This step starts.
    Start(VertexId),
    /// Nobody, until one that runs has ended, or there is more memory.
    Nobody,
}

/// The steps that are ready, and what runs.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    /// From the start of a step to the end of the build, for every step that is to run.
    remaining: HashMap<VertexId, Duration>,
    memory: HashMap<VertexId, u64>,
    /// The most urgent last.
    ready: Vec<VertexId>,
    running: Vec<VertexId>,
    held_back: bool,
}

impl Queue {
    /// For the steps of a plan. None is ready yet.
    pub(crate) fn new<O>(graph: &Graph, plan: &Plan<O>, limits: Limits) -> Queue {
        let memory = plan.steps.iter().filter_map(|step| Some((step.id, step.expected?.memory?)));
        Queue {
            limits,
            remaining: remaining(graph, plan),
            memory: memory.collect(),
            ready: Vec::new(),
            running: Vec::new(),
            held_back: false,
        }
    }

    /// This step could start now.
    pub(crate) fn push(&mut self, id: VertexId) {
        let urgency = |id: &VertexId| (self.remaining.get(id).copied(), std::cmp::Reverse(*id));
        let place = self.ready.partition_point(|other| urgency(other) < urgency(&id));
        self.ready.insert(place, id);
    }

    /// Takes the step that starts now.
    pub(crate) fn pop(&mut self, is_short_of_memory: &dyn Fn() -> bool) -> Ready {
        self.held_back = false;
        let full = self.limits.jobs.is_some_and(|jobs| self.running.len() >= jobs.get());
        if full || self.ready.is_empty() {
            return Ready::Nobody;
        }
        if !self.running.is_empty() && is_short_of_memory() {
            self.held_back = true;
            return Ready::Nobody;
        }
        match self.ready.iter().rposition(|id| self.fits(*id)) {
            Some(place) => {
                let id = self.ready.remove(place);
                self.running.push(id);
                Ready::Start(id)
            }
            None => Ready::Nobody,
        }
    }

    /// A step that was taken has ended.
    pub(crate) fn ended(&mut self, id: VertexId) {
        self.running.retain(|running| *running != id);
    }

    /// Whether nothing runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether a step waits for nothing but the machine's memory, which may come back at any time.
    pub(crate) fn is_held_back(&self) -> bool {
        self.held_back
    }

    fn fits(&self, id: VertexId) -> bool {
        let need = |id: &VertexId| self.memory.get(id).copied().unwrap_or(0);
        let used: u64 = self.running.iter().map(need).sum();
        let limit = self.limits.memory.unwrap_or(u64::MAX);
        self.running.is_empty() || used.saturating_add(need(&id)) <= limit
    }
}

/// For every step that is to run: what it and the longest chain of its users took the last time.
fn remaining<O>(graph: &Graph, plan: &Plan<O>) -> HashMap<VertexId, Duration> {
    let mut remaining: HashMap<VertexId, Duration> = HashMap::new();
    for step in plan.steps.iter().rev() {
        let own = match step.decision {
            Decision::Run(_) => step.expected.map_or(UNKNOWN, |Cost { took, .. }| took),
            Decision::Stack => Duration::ZERO,
            Decision::Hit(_) | Decision::Unneeded => continue,
        };
        let after = graph.users(step.id).filter_map(|user| remaining.get(&user)).max();
        remaining.insert(step.id, own + after.copied().unwrap_or_default());
    }
    remaining
}
