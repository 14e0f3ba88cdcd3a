//! The state of every vertex of a solve, owned by one thread.
//!
//! What is done with a step that may start is not known here.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::SolveError;
use crate::graph::{Graph, VertexId};
use crate::op::Op;
use crate::plan::{Decision, MissReason, Plan, Step};
use crate::queue::{Limits, Queue, Ready};
use crate::worker::{Cancel, Worker};

/// How often a machine that is short of memory is looked at again.
const PRESSURE_CHECK: Duration = Duration::from_millis(250);

/// How things stand with one vertex. The only state there is.
enum State<O> {
    /// Waits for this many inputs.
    Waits(usize),
    /// A thread runs it.
    Runs,
    /// Its result is there.
    Ends(O),
}

/// A step to run, and why.
pub(super) struct Todo<'a, O> {
    pub(super) step: &'a Step<O>,
    pub(super) reason: &'a MissReason,
}

/// What is done next.
pub(super) enum Turn {
    /// Further steps may be able to start.
    Look,
    /// Nothing runs any more.
    End,
}

impl<O> Clone for Todo<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Todo<'_, O> {}

/// What a thread sends back.
pub(super) struct Outcome<W: Worker> {
    pub(super) vertex: VertexId,
    pub(super) result: Result<W::Output, W::Error>,
}

/// The state of every vertex, and what failed first.
pub(super) struct Board<'a, W: Worker> {
    states: HashMap<VertexId, State<W::Output>>,
    to_run: HashMap<VertexId, Todo<'a, W::Output>>,
    queue: Queue,
    failure: Option<SolveError<W::Error>>,
}

impl<'a, W: Worker> Board<'a, W> {
    pub(super) fn new(
        graph: &Graph,
        plan: &'a Plan<W::Output>,
        worker: &W,
        limits: Limits,
    ) -> Board<'a, W> {
        let mut board = Board {
            states: HashMap::new(),
            to_run: HashMap::new(),
            queue: Queue::new(graph, plan, limits),
            failure: None,
        };
        for step in &plan.steps {
            match &step.decision {
                Decision::Hit(output) => {
                    board.states.insert(step.id, State::Ends(output.clone()));
                }
                Decision::Run(reason) => {
                    board.to_run.insert(step.id, Todo { step, reason });
                    match board.missing(graph, step.id) {
                        0 => board.queue.push(step.id),
                        missing => drop(board.states.insert(step.id, State::Waits(missing))),
                    }
                }
                Decision::Stack => {
                    let state = match board.missing(graph, step.id) {
                        0 => State::Ends(worker.stack(&board.inputs(graph, step.id))),
                        missing => State::Waits(missing),
                    };
                    board.states.insert(step.id, state);
                }
                Decision::Unneeded => {}
            }
        }
        board
    }

    fn missing(&self, graph: &Graph, id: VertexId) -> usize {
        let there = |id| matches!(self.states.get(id), Some(State::Ends(_)));
        graph.vertex(id).inputs.iter().filter(|edge| !there(&edge.from)).count()
    }

    /// Takes the steps that start now. After a failure there are none.
    pub(super) fn startable(&mut self, worker: &W) -> Vec<Todo<'a, W::Output>> {
        let mut start = Vec::new();
        while self.failure.is_none() {
            let Ready::Start(id) = self.queue.pop(&|| worker.is_short_of_memory()) else { break };
            start.extend(self.to_run.remove(&id));
        }
        start
    }

    /// Waits until a step ends, or until it is time to look at the machine again.
    pub(super) fn wait(
        &mut self,
        graph: &Graph,
        worker: &W,
        outcomes: &Receiver<Outcome<W>>,
        cancel: &Cancel,
    ) -> Turn {
        if self.queue.is_idle() {
            return Turn::End;
        }
        let outcome = if self.queue.is_held_back() {
            match outcomes.recv_timeout(PRESSURE_CHECK) {
                Err(RecvTimeoutError::Timeout) => return Turn::Look,
                outcome => outcome.ok(),
            }
        } else {
            outcomes.recv().ok()
        };
        match outcome {
            Some(outcome) => {
                self.finish(graph, worker, outcome, cancel);
                Turn::Look
            }
            None => Turn::End,
        }
    }

    /// Marks a step as running and hands out its inputs.
    pub(super) fn start(&mut self, graph: &Graph, id: VertexId) -> Vec<W::Output> {
        self.states.insert(id, State::Runs);
        self.inputs(graph, id)
    }

    fn inputs(&self, graph: &Graph, id: VertexId) -> Vec<W::Output> {
        let inputs = graph.vertex(id).inputs.iter();
        inputs.filter_map(|edge| self.output(edge.from).cloned()).collect()
    }

    /// Remembers a result for those who wait for it. What is stacked of it is there at once: that
    /// costs nothing, so no thread does it.
    fn end(&mut self, graph: &Graph, worker: &W, id: VertexId, output: W::Output) {
        let mut ended = vec![(id, output)];
        while let Some((id, output)) = ended.pop() {
            self.states.insert(id, State::Ends(output));
            for user in graph.users(id) {
                let Some(State::Waits(inputs)) = self.states.get_mut(&user) else { continue };
                *inputs -= 1;
                match (*inputs, &graph.vertex(user).op) {
                    (0, Op::Stack) => ended.push((user, worker.stack(&self.inputs(graph, user)))),
                    (0, _) => self.queue.push(user),
                    _ => {}
                }
            }
        }
    }

    fn finish(&mut self, graph: &Graph, worker: &W, outcome: Outcome<W>, cancel: &Cancel) {
        self.queue.ended(outcome.vertex);
        match outcome.result {
            Ok(output) => {
                self.end(graph, worker, outcome.vertex, output);
                if cancel.is_cancelled() && self.failure.is_none() {
                    self.failure = Some(SolveError::Canceled);
                }
            }
            Err(_) if self.failure.is_some() => {}
            Err(_) if cancel.is_cancelled() => self.failure = Some(SolveError::Canceled),
            Err(error) => {
                self.failure = Some(SolveError::Step { vertex: outcome.vertex, error });
                cancel.cancel();
            }
        }
    }

    fn output(&self, id: VertexId) -> Option<&W::Output> {
        match self.states.get(&id) {
            Some(State::Ends(output)) => Some(output),
            _ => None,
        }
    }

    pub(super) fn results(
        self,
        targets: &[VertexId],
    ) -> Result<Vec<W::Output>, SolveError<W::Error>> {
        let results: Vec<_> =
            targets.iter().filter_map(|target| self.output(*target).cloned()).collect();
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(results),
        }
    }
}
