//! Stacks: what is made apart from its base does not care which base it is.

use super::*;

/// A base of that version, two copies that do not see it, and the stack of all.
fn linked(version: &str) -> (Graph, VertexId) {
    let mut graph = Graph::new();
    let files = context(&mut graph, "context");
    let base = exec(&mut graph, &format!("base {version}"), &[]);
    let first = add_exec(&mut graph, "copy a", vec![paths(files, "a")], false);
    let below = stack(&mut graph, &[base, first]);
    let second = add_exec(&mut graph, "copy b", vec![paths(files, "b")], false);
    let target = stack(&mut graph, &[below, second]);
    (graph, target)
}

#[test]
fn a_changed_base_runs_nothing_that_was_made_apart_from_it() {
    let fake = Fake::with_context("context", "files");
    let (graph, target) = linked("1");
    assert_eq!(fake.build(&graph, target).unwrap(), "base 1()+copy a(files)+copy b(files)");
    assert_eq!(fake.ran(), ["base 1", "copy a", "copy b"]);

    let (graph, target) = linked("2");
    assert_eq!(fake.build(&graph, target).unwrap(), "base 2()+copy a(files)+copy b(files)");
    assert_eq!(fake.ran(), ["base 2"]);
}

#[test]
fn a_stack_is_not_told_of_nor_claimed_nor_recorded() {
    let fake = Fake::with_context("context", "files");
    let (graph, target) = linked("1");
    let told = Mutex::new(Vec::new());
    let note = |event| match event {
        Event::Hit { vertex } | Event::Started { vertex, .. } => {
            told.lock().unwrap().push(format!("{:?}", graph.vertex(vertex).op == Op::Stack));
        }
        _ => {}
    };
    for _ in 0..2 {
        fake.build_with(&graph, &[target], Limits::default(), &note).unwrap();
    }
    assert_eq!(*told.lock().unwrap(), ["false"; 6]);
    assert_eq!(fake.records.lock().unwrap().len(), 3);
    assert_eq!(fake.claims.lock().unwrap().len(), 3);
}

#[test]
fn a_step_on_a_stack_runs_when_its_base_changed_and_else_asks_for_nothing_below() {
    let fake = Fake::with_context("context", "files");
    let on_stack = |version| {
        let (mut graph, below) = linked(version);
        let target = exec(&mut graph, "step", &[below]);
        (graph, target)
    };
    let one_at_a_time = Limits { jobs: NonZeroUsize::new(1), ..Limits::default() };
    let (graph, target) = on_stack("1");
    fake.build_with(&graph, &[target], one_at_a_time, &|_| {}).unwrap();
    fake.ran();
    let (graph, target) = on_stack("2");
    fake.build(&graph, target).unwrap();
    assert_eq!(fake.ran(), ["base 2", "step"]);

    fake.records.lock().unwrap().retain(|_, output| output.starts_with("step"));
    fake.build(&graph, target).unwrap();
    assert!(fake.ran().is_empty());
}

#[test]
fn what_the_user_wants_run_again_is() {
    let mut graph = Graph::new();
    let base = add_exec(&mut graph, "base", Vec::new(), true);
    let copy = add_exec(&mut graph, "copy", Vec::new(), true);
    let target = stack(&mut graph, &[base, copy]);
    let fake = Fake::default();
    fake.build(&graph, target).unwrap();
    fake.build(&graph, target).unwrap();
    assert_eq!(fake.ran(), ["base", "base", "copy", "copy"]);
}

#[test]
fn one_result_can_be_in_a_stack_twice() {
    let mut graph = Graph::new();
    let base = exec(&mut graph, "base", &[]);
    let copy = exec(&mut graph, "copy", &[]);
    let below = stack(&mut graph, &[base, copy]);
    let target = stack(&mut graph, &[below, copy]);
    let twins = stack(&mut graph, &[copy, copy]);
    let fake = Fake::default();
    assert_eq!(fake.build(&graph, target).unwrap(), "base()+copy()+copy()");
    assert_eq!(Fake::default().build(&graph, twins).unwrap(), "copy()+copy()");
}
