//! Planning a build in which nothing has changed: 1,000 steps, every result there.

use criterion::{Criterion, Throughput};
use rbuild_cache::ContentDigest;
use rbuild_cache::tree::Selector;
use rbuild_solver::graph::{Edge, Graph, Origin, Vertex, VertexId};
use rbuild_solver::key::{Key, OpDigest};
use rbuild_solver::op::{ContextOp, MakeDirOp, Op};
use rbuild_solver::plan::{Decision, Plan};
use rbuild_solver::worker::{Cancel, Candidate, Job, LastRun, Made, Save, Worker};

const VERTICES: usize = 1_000;

/// From the graph to what is to be done, without the store behind it.
pub fn warm(criterion: &mut Criterion) {
    let (graph, target) = chain();
    let plan = Plan::new(&graph, &[target], &Warm).ok().unwrap();
    assert!(matches!(plan.steps.last().unwrap().decision, Decision::Hit(())));
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(VERTICES as u64));
    group.bench_function("1,000 vertices, warm", |bench| {
        bench.iter(|| Plan::new(&graph, &[target], &Warm).ok());
    });
    group.finish();
}

fn chain() -> (Graph, VertexId) {
    let mut graph = Graph::new();
    let mut last = None;
    for n in 0..VERTICES {
        let inputs = last.map(|from| Edge { from, selector: Selector::Whole });
        let op = Op::MakeDir(MakeDirOp {
            base: last.map(|_| 0),
            path: format!("/src/folder{n}"),
            user: String::new(),
            mode: 0o755,
        });
        let origin = Origin { slot: format!("stage/{n}"), ..Origin::default() };
        last = Some(graph.add(Vertex { op, inputs: inputs.into_iter().collect(), origin }));
    }
    (graph, last.unwrap())
}

/// Has every result, and is never asked for anything else.
struct Warm;

impl Worker for Warm {
    type Output = ();
    type Error = ();
    type Claim = ();

    fn context(&self, _: &ContextOp) -> Result<(), ()> {
        Err(())
    }

    fn content(&self, _: &(), _: &Selector) -> Result<ContentDigest, ()> {
        Err(())
    }

    fn look_up(&self, _: VertexId, _: &Vertex, _: &Key) -> Option<()> {
        Some(())
    }

    fn candidates(&self, _: VertexId, _: &OpDigest) -> Vec<Candidate<()>> {
        Vec::new()
    }

    fn stack(&self, _: &[()]) {}

    fn last_run(&self, _: &str) -> Option<LastRun> {
        None
    }

    fn is_short_of_memory(&self) -> bool {
        false
    }

    fn warnings(&self, _: &Key) -> Vec<String> {
        Vec::new()
    }

    fn changed_files(&self, _: &Vertex, _: usize) -> Option<String> {
        None
    }

    fn claim(&self, _: &Key, _: &Cancel) -> Result<(), ()> {
        Err(())
    }

    fn run(&self, _: &Job<'_, ()>) -> Result<Made<()>, ()> {
        Err(())
    }

    fn save(&self, _: &Save<'_, ()>) {}
}
