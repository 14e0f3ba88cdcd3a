//! What has to be done, decided before anything is done.
//!
//! A plan costs lookups only. Vertices are keyed inputs first; then the targets ask for results,
//! and a result that is not recorded asks for its inputs. What nobody asks for is not needed, and
//! so never fetched, copied or run.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::graph::{Edge, Graph, Vertex, VertexId};
use crate::key::{self, InputKey, Key, OpDigest, Part};
use crate::op::Op;
use crate::worker::{Cost, Worker};

/// What is to be done for each vertex that the targets reach.
#[derive(Debug)]
pub struct Plan<O> {
    /// The vertices in order, inputs first.
    pub steps: Vec<Step<O>>,
}

/// One vertex of a plan.
#[derive(Debug)]
pub struct Step<O> {
    /// Which vertex.
    pub id: VertexId,
    /// The digest of its op.
    pub op: OpDigest,
    /// Its definition key.
    pub key: Key,
    /// What the key was made of.
    pub parts: Vec<Part>,
    /// What is to be done.
    pub decision: Decision<O>,
    /// What it took the last time, if it is to be done again.
    pub expected: Option<Cost>,
}

/// What is to be done for a vertex.
#[derive(Debug)]
pub enum Decision<O> {
    /// Its result is there.
    Hit(O),
    /// Its result is not recorded under the definition key. It runs, unless its inputs turn out
    /// to have the content of an earlier run.
    Run(MissReason),
    /// It is there as soon as its inputs are: nothing is looked up, run or recorded.
    Stack,
    /// Everything that would use it is there already.
    Unneeded,
}

/// Why a result could not be taken from the cache. Shown to the user, one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissReason {
    /// The user asked for it: `--no-cache`.
    Asked,
    /// What it stands on runs because the user asked for it, so the key does not say what comes of
    /// that. An earlier result is taken only for inputs of the same content.
    Renewed,
    /// This step of this file was never built in this store.
    New,
    /// What differs from the last time: `command changed`.
    Changed(Vec<String>),
    /// The key is the one of the last time, and its result is no longer there.
    Gone,
}

impl<O: Clone> Plan<O> {
    /// Keys everything that `targets` need and looks up what is asked for.
    ///
    /// Fails only where a context cannot be read: a missing `COPY` source ends the build here,
    /// before anything ran.
    pub fn new<W: Worker<Output = O>>(
        graph: &Graph,
        targets: &[VertexId],
        worker: &W,
    ) -> Result<Plan<O>, (VertexId, W::Error)> {
        let mut steps: Vec<Step<O>> = Vec::new();
        let mut keys: HashMap<VertexId, Key> = HashMap::new();
        for id in graph.needed(targets) {
            let step = keyed(graph, id, worker, &keys).map_err(|error| (id, error))?;
            keys.insert(id, step.key);
            steps.push(step);
        }
        decide(graph, targets, worker, &mut steps)?;
        Ok(Plan { steps })
    }
}

/// A step with its key, not yet asked for.
fn keyed<W: Worker>(
    graph: &Graph,
    id: VertexId,
    worker: &W,
    keys: &HashMap<VertexId, Key>,
) -> Result<Step<W::Output>, W::Error> {
    let vertex = graph.vertex(id);
    let inputs = vertex
        .inputs
        .iter()
        .map(|edge| input_key(graph, edge, worker, keys))
        .collect::<Result<Vec<_>, _>>()?;
    let op = vertex.op.digest();
    Ok(Step {
        id,
        op,
        key: key::definition_key(&op, vertex, &inputs),
        parts: key::parts(vertex, &inputs),
        decision: Decision::Unneeded,
        expected: None,
    })
}

fn input_key<W: Worker>(
    graph: &Graph,
    edge: &Edge,
    worker: &W,
    keys: &HashMap<VertexId, Key>,
) -> Result<InputKey, W::Error> {
    match &graph.vertex(edge.from).op {
        Op::Context(context) => {
            let tree = worker.context(context)?;
            Ok(InputKey::Content(worker.content(&tree, &edge.selector)?))
        }
        _ => Ok(InputKey::Definition(keys[&edge.from])),
    }
}

/// Asks for the targets, and for the inputs of what is not there.
fn decide<W: Worker>(
    graph: &Graph,
    targets: &[VertexId],
    worker: &W,
    steps: &mut [Step<W::Output>],
) -> Result<(), (VertexId, W::Error)> {
    let mut asked: HashSet<VertexId> = targets.iter().copied().collect();
    let renewed = renewed(graph, steps);
    for step in steps.iter_mut().rev() {
        let vertex = graph.vertex(step.id);
        if !asked.contains(&step.id) || matches!(vertex.op, Op::Context(_)) {
            continue;
        }
        decide_step(vertex, step, worker, renewed.contains(&step.id));
        if let Decision::Run(_) | Decision::Stack = step.decision {
            asked.extend(vertex.inputs.iter().map(|edge| edge.from));
        }
    }
    give_contexts(graph, &asked, worker, steps)
}

/// What stands on a vertex that runs whatever is cached.
fn renewed<O>(graph: &Graph, steps: &[Step<O>]) -> HashSet<VertexId> {
    let mut renewed = HashSet::new();
    for step in steps {
        let runs = |id| graph.vertex(id).origin.always_run || renewed.contains(&id);
        if graph.vertex(step.id).inputs.iter().any(|edge| runs(edge.from)) {
            renewed.insert(step.id);
        }
    }
    renewed
}

fn decide_step<W: Worker>(
    vertex: &Vertex,
    step: &mut Step<W::Output>,
    worker: &W,
    is_renewed: bool,
) {
    if vertex.op == Op::Stack {
        step.decision = Decision::Stack;
        return;
    }
    let asked = vertex.origin.always_run;
    if !asked
        && !is_renewed
        && let Some(output) = worker.look_up(step.id, vertex, &step.key)
    {
        step.decision = Decision::Hit(output);
        return;
    }
    let last = worker.last_run(&vertex.origin.slot);
    step.expected = last.as_ref().map(|last| last.cost);
    step.decision = Decision::Run(match (asked, is_renewed) {
        (true, _) => MissReason::Asked,
        (false, true) => MissReason::Renewed,
        (false, false) => {
            let parts = last.as_ref().map(|last| &last.parts[..]);
            MissReason::between(parts, &step.parts).with_files(vertex, &step.parts, worker)
        }
    });
}

/// A context is there as soon as it is asked for.
fn give_contexts<W: Worker>(
    graph: &Graph,
    asked: &HashSet<VertexId>,
    worker: &W,
    steps: &mut [Step<W::Output>],
) -> Result<(), (VertexId, W::Error)> {
    for step in steps {
        if let Op::Context(context) = &graph.vertex(step.id).op
            && asked.contains(&step.id)
        {
            let tree = worker.context(context).map_err(|error| (step.id, error))?;
            step.decision = Decision::Hit(tree);
        }
    }
    Ok(())
}

impl MissReason {
    /// Compares the parts of the key with those of the last record in the same slot.
    pub fn between(last: Option<&[Part]>, now: &[Part]) -> MissReason {
        let Some(last) = last else { return MissReason::New };
        let mut changed: Vec<String> =
            now.iter().filter(|part| !last.contains(part)).map(Part::change).collect();
        let removed = last.iter().filter(|old| !now.iter().any(|new| new.name == old.name));
        changed.extend(removed.map(|old| format!("{} is gone", old.name)));
        changed.dedup();
        if changed.is_empty() { MissReason::Gone } else { MissReason::Changed(changed) }
    }

    /// Names the file where all that is known so far is that the files of an input changed. The
    /// parts of the inputs are the last ones of a key, one for each.
    fn with_files<W: Worker>(mut self, vertex: &Vertex, parts: &[Part], worker: &W) -> MissReason {
        if let MissReason::Changed(changed) = &mut self {
            let inputs = parts.len() - vertex.inputs.len();
            for (input, part) in parts[inputs..].iter().enumerate() {
                let place = changed.iter().position(|change| *change == part.change());
                if let Some(place) = place
                    && let Some(files) = worker.changed_files(vertex, input)
                {
                    changed[place] = files;
                }
            }
        }
        self
    }
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MissReason::Asked => f.write_str("cache not used, as asked"),
            MissReason::Renewed => f.write_str("what it stands on was made again, as asked"),
            MissReason::New => f.write_str("not built before"),
            MissReason::Gone => f.write_str("its cached result is no longer in the store"),
            MissReason::Changed(parts) => f.write_str(&parts.join(", ")),
        }
    }
}
