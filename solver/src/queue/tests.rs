//! Who starts, beside whom, and who waits.

use rbuild_cache::tree::Selector;

use super::*;
use crate::graph::{Edge, Origin, Vertex};
use crate::key;
use crate::op::{ContextOp, Op};
use crate::plan::{MissReason, Step};

/// Steps of which each is independent of the others, with what they took and used the last time.
fn queue(costs: &[(u64, Option<u64>)], limits: Limits) -> (Queue, Vec<VertexId>) {
    let mut graph = Graph::new();
    let ids: Vec<_> = (0..costs.len()).map(|index| vertex(&mut graph, index, &[])).collect();
    let steps = ids.iter().zip(costs).map(|(id, (seconds, memory))| {
        step(*id, Some(Cost { took: Duration::from_secs(*seconds), memory: *memory }))
    });
    let plan = Plan::<()> { steps: steps.collect() };
    let mut queue = Queue::new(&graph, &plan, limits);
    ids.iter().for_each(|id| queue.push(*id));
    (queue, ids)
}

fn vertex(graph: &mut Graph, name: usize, inputs: &[VertexId]) -> VertexId {
    let op = Op::Context(ContextOp { name: name.to_string() });
    let inputs = inputs.iter().map(|&from| Edge { from, selector: Selector::Whole }).collect();
    graph.add(Vertex { op, inputs, origin: Origin::default() })
}

fn step(id: VertexId, expected: Option<Cost>) -> Step<()> {
    let context = Op::Context(ContextOp { name: String::new() });
    let op = context.digest();
    let vertex = Vertex { op: context, inputs: Vec::new(), origin: Origin::default() };
    let key = key::definition_key(&op, &vertex, &[]);
    Step { id, op, key, parts: Vec::new(), decision: Decision::Run(MissReason::New), expected }
}

fn start_all(queue: &mut Queue) -> Vec<VertexId> {
    let next = |queue: &mut Queue| match queue.pop(&|| false) {
        Ready::Start(id) => Some(id),
        Ready::Nobody => None,
    };
    std::iter::from_fn(|| next(queue)).collect()
}

#[test]
fn the_most_urgent_first_and_in_order_among_equals() {
    let (mut queue, ids) = queue(&[(1, None), (3, None), (2, None), (3, None)], Limits::default());
    assert_eq!(start_all(&mut queue), [ids[1], ids[3], ids[2], ids[0]]);
}

#[test]
fn what_is_not_known_counts_as_a_second() {
    let mut graph = Graph::new();
    let ids: Vec<_> = (0..3).map(|index| vertex(&mut graph, index, &[])).collect();
    let took = |millis| Some(Cost { took: Duration::from_millis(millis), memory: None });
    let steps = vec![step(ids[0], took(900)), step(ids[1], None), step(ids[2], took(1100))];
    let mut queue = Queue::new(&graph, &Plan { steps }, Limits::default());
    ids.iter().for_each(|id| queue.push(*id));
    assert_eq!(start_all(&mut queue), [ids[2], ids[1], ids[0]]);
}

#[test]
fn no_more_than_the_memory_holds_run_beside_each_other() {
    let limits = Limits { jobs: None, memory: Some(10) };
    let (mut queue, ids) = queue(&[(9, Some(6)), (8, Some(5)), (7, Some(4)), (6, None)], limits);
    // The second does not fit beside the first; the third and the unknown one do.
    assert_eq!(start_all(&mut queue), [ids[0], ids[2], ids[3]]);
    queue.ended(ids[2]);
    assert_eq!(start_all(&mut queue), []);
    queue.ended(ids[0]);
    assert_eq!(start_all(&mut queue), [ids[1]]);
}

#[test]
fn what_fits_nowhere_runs_alone() {
    let limits = Limits { jobs: None, memory: Some(10) };
    let (mut queue, ids) = queue(&[(9, Some(50)), (8, Some(1))], limits);
    assert_eq!(start_all(&mut queue), [ids[0]]);
    queue.ended(ids[0]);
    assert_eq!(start_all(&mut queue), [ids[1]]);
}

#[test]
fn a_machine_short_of_memory_holds_back_all_but_one() {
    let (mut queue, ids) = queue(&[(2, None), (1, None)], Limits::default());
    assert_eq!(queue.pop(&|| true), Ready::Start(ids[0]));
    assert_eq!((queue.pop(&|| true), queue.is_held_back()), (Ready::Nobody, true));
    assert_eq!((queue.pop(&|| false), queue.is_held_back()), (Ready::Start(ids[1]), false));
}

#[test]
fn nobody_is_held_back_when_nobody_is_ready() {
    let (mut queue, _) = queue(&[], Limits::default());
    assert_eq!((queue.pop(&|| true), queue.is_held_back()), (Ready::Nobody, false));
    assert!(queue.is_idle());
}
