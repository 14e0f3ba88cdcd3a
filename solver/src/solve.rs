//! The scheduler: runs what a plan says, side by side, and stops at the first failure.
//!
//! One thread owns the state of every vertex; the others each run one step and send back how it
//! ended. A vertex can start when its last input is there; which of those that can do so, and
//! when, is the queue's business.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rbuild_cache::ContentDigest;
use rbuild_cache::tree::Selector;

use crate::event::Event;
use crate::graph::{Graph, Vertex, VertexId};
use crate::key;
use crate::op::Op;
use crate::plan::{Decision, MissReason, Plan, Step};
use crate::queue::{Queue, Ready};
use crate::worker::{Cancel, Candidate, Cost, Job, RecordedInput, Save, Worker};

pub use crate::queue::Limits;

/// How often a machine that is short of memory is looked at again.
const PRESSURE_CHECK: Duration = Duration::from_millis(250);

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
struct Todo<'a, O> {
    step: &'a Step<O>,
    reason: &'a MissReason,
}

/// What is done next.
enum Turn {
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
struct Outcome<W: Worker> {
    vertex: VertexId,
    result: Result<W::Output, W::Error>,
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
        if let Some(output) = self.worker.look_up(step.id, vertex, &step.key) {
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

/// The state of every vertex, and what failed first.
struct Board<'a, W: Worker> {
    states: HashMap<VertexId, State<W::Output>>,
    to_run: HashMap<VertexId, Todo<'a, W::Output>>,
    queue: Queue,
    failure: Option<SolveError<W::Error>>,
}

impl<'a, W: Worker> Board<'a, W> {
    fn new(graph: &Graph, plan: &'a Plan<W::Output>, worker: &W, limits: Limits) -> Board<'a, W> {
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
    fn startable(&mut self, worker: &W) -> Vec<Todo<'a, W::Output>> {
        let mut start = Vec::new();
        while self.failure.is_none() {
            let Ready::Start(id) = self.queue.pop(&|| worker.is_short_of_memory()) else { break };
            start.extend(self.to_run.remove(&id));
        }
        start
    }

    /// Waits until a step ends, or until it is time to look at the machine again.
    fn wait(
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
    fn start(&mut self, graph: &Graph, id: VertexId) -> Vec<W::Output> {
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

    fn results(self, targets: &[VertexId]) -> Result<Vec<W::Output>, SolveError<W::Error>> {
        let results: Vec<_> =
            targets.iter().filter_map(|target| self.output(*target).cloned()).collect();
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(results),
        }
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
