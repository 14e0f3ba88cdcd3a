//! The scheduler: runs what a plan says, side by side, and stops at the first failure.
//!
//! One thread owns the state of every vertex; the others each run one step and send back how it
//! ended. A vertex can start when its last input is there; which of those that can do so, and
//! when, is the queue's business.

mod board;

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use rbuild_cache::ContentDigest;
use rbuild_cache::tree::Selector;

use crate::event::Event;
use crate::graph::{Graph, Vertex, VertexId};
use crate::key;
use crate::plan::{Decision, MissReason, Plan, Step};
use crate::worker::{Cancel, Candidate, Cost, Job, RecordedInput, Save, Worker};

pub use crate::queue::Limits;

use board::{Board, Outcome, Todo, Turn};

/// Why a solve ended without its targets.
#[derive(Debug, thiserror::Error)]
pub enum SolveError<E> {
    /// A step failed; it was the first one to do so.
    #[error("a step failed")]
    Step {
        /// Which one.
        vertex: VertexId,
        /// Why.
        error: E,
    },
    /// The user ended the build.
    #[error("canceled")]
    Canceled,
}

/// Makes the results of `targets`, in their order.
pub fn solve<W: Worker>(
    graph: &Graph,
    targets: &[VertexId],
    worker: &W,
    limits: Limits,
    cancel: &Cancel,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Vec<W::Output>, SolveError<W::Error>> {
    let plan = Plan::new(graph, targets, worker)
        .map_err(|(vertex, error)| SolveError::Step { vertex, error })?;
    announce_hits(graph, &plan, worker, events);
    let scope = Scope { graph, worker, cancel, events };
    thread::scope(|threads| {
        let mut board = Board::new(graph, &plan, worker, limits);
        let (sender, outcomes) = mpsc::channel();
        loop {
            for todo in board.startable(worker) {
                let inputs = board.start(graph, todo.step.id);
                let sender = sender.clone();
                threads.spawn(move || {
                    let result = scope.step(todo, &inputs);
                    // The owner may have gone after a failure.
                    let _ = sender.send(Outcome::<W> { vertex: todo.step.id, result });
                });
            }
            match board.wait(graph, worker, &outcomes, cancel) {
                Turn::Look => {}
                Turn::End => return board.results(targets),
            }
        }
    })
}

/// What every step is done with.
struct Scope<'a, W: Worker> {
    graph: &'a Graph,
    worker: &'a W,
    cancel: &'a Cancel,
    events: &'a (dyn Fn(Event) + Sync),
}

impl<W: Worker> Clone for Scope<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W: Worker> Copy for Scope<'_, W> {}

impl<W: Worker> Scope<'_, W> {
    /// Gets the result of one vertex: from an earlier run on the same content, from another
    /// process that makes it right now, or by running it.
    fn step(&self, todo: Todo<'_, W::Output>, inputs: &[W::Output]) -> Result<W::Output, W::Error> {
        let Todo { step, reason } = todo;
        let vertex = self.graph.vertex(step.id);
        if *reason == MissReason::Asked {
            return self.run(step, vertex, inputs, reason);
        }
        if let Some(output) = self.same_content(step, vertex, inputs)? {
            return Ok(output);
        }
        let _claim = self.worker.claim(&step.key, self.cancel)?;
        if *reason != MissReason::Renewed
            && let Some(output) = self.worker.look_up(step.id, vertex, &step.key)
        {
            hit(step.id, self.worker.warnings(&step.key), self.events);
            return Ok(output);
        }
        self.run(step, vertex, inputs, reason)
    }

    /// The result of an equal op on inputs that look the same to it: what was made again upstream
    /// and came out equal ends here.
    fn same_content(
        &self,
        step: &Step<W::Output>,
        vertex: &Vertex,
        inputs: &[W::Output],
    ) -> Result<Option<W::Output>, W::Error> {
        let candidates = self.worker.candidates(step.id, &step.op);
        if candidates.is_empty() || inputs.is_empty() {
            return Ok(None);
        }
        let contents = self.contents(vertex, inputs)?;
        let wanted = key::content_key(&step.op, &contents);
        for candidate in candidates {
            let Ok(seen) = self.recorded_contents(&candidate) else { continue };
            if key::content_key(&step.op, &seen) == wanted {
                let Candidate { output, cost, warnings, .. } = candidate;
                self.save(step, vertex, inputs, &output, &warnings, cost);
                hit(step.id, warnings, self.events);
                return Ok(Some(output));
            }
        }
        Ok(None)
    }

    fn contents(
        &self,
        vertex: &Vertex,
        inputs: &[W::Output],
    ) -> Result<Vec<ContentDigest>, W::Error> {
        let selectors = vertex.inputs.iter().map(|edge| &edge.selector);
        inputs
            .iter()
            .zip(selectors)
            .map(|(input, selector): (_, &Selector)| self.worker.content(input, selector))
            .collect()
    }

    fn recorded_contents(
        &self,
        candidate: &Candidate<W::Output>,
    ) -> Result<Vec<ContentDigest>, W::Error> {
        let digest = |input: &RecordedInput<W::Output>| match input {
            RecordedInput::Content(content) => Ok(*content),
            RecordedInput::Output(output, selector) => self.worker.content(output, selector),
        };
        candidate.inputs.iter().map(digest).collect()
    }

    fn run(
        &self,
        step: &Step<W::Output>,
        vertex: &Vertex,
        inputs: &[W::Output],
        reason: &MissReason,
    ) -> Result<W::Output, W::Error> {
        let start = Instant::now();
        (self.events)(Event::Started { vertex: step.id, reason: reason.clone() });
        let warnings = Mutex::new(Vec::new());
        let events = |event: Event| {
            if let Event::Warning { text, .. } = &event {
                warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
            }
            (self.events)(event);
        };
        let job = Job { id: step.id, vertex, inputs, cancel: self.cancel, events: &events };
        let result = self.worker.run(&job);
        let took = start.elapsed();
        match &result {
            Ok(made) => {
                let cost = Cost { took, memory: made.memory };
                let warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
                self.save(step, vertex, inputs, &made.output, &warnings, cost);
                (self.events)(Event::Done { vertex: step.id, took });
            }
            Err(_) if self.cancel.is_cancelled() => {
                (self.events)(Event::Canceled { vertex: step.id });
            }
            Err(_) => (self.events)(Event::Failed { vertex: step.id, took }),
        }
        result.map(|made| made.output)
    }

    fn save(
        &self,
        step: &Step<W::Output>,
        vertex: &Vertex,
        inputs: &[W::Output],
        output: &W::Output,
        warnings: &[String],
        cost: Cost,
    ) {
        let (key, op, parts) = (&step.key, &step.op, &step.parts[..]);
        self.worker.save(&Save { key, op, vertex, inputs, parts, output, warnings, cost });
    }
}

/// Tells the views what is there already, in graph order: also what only the results that are
/// there were made from.
fn announce_hits<W: Worker>(
    graph: &Graph,
    plan: &Plan<W::Output>,
    worker: &W,
    events: &(dyn Fn(Event) + Sync),
) {
    for step in &plan.steps {
        let is_hit = !matches!(step.decision, Decision::Run(_));
        if is_hit && graph.vertex(step.id).op.is_work() {
            hit(step.id, worker.warnings(&step.key), events);
        }
    }
}

fn hit(vertex: VertexId, warnings: Vec<String>, events: &(dyn Fn(Event) + Sync)) {
    events(Event::Hit { vertex });
    warnings.into_iter().for_each(|text| events(Event::Warning { vertex, text }));
}

#[cfg(test)]
mod tests;
