//! The scheduler with a worker that only counts: what ran, how often, and beside what.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use rbuild_cache::tree::PathSelector;

use super::*;
use crate::graph::{Edge, Origin};
use crate::key::{Key, OpDigest};
use crate::op::{self, ContextOp, ExecOp, Network, Op, Platform, Security};
use crate::worker::{LastRun, Made};

mod stack;

/// What the store would hold, and everything that was asked.
#[derive(Default)]
struct Fake {
    records: Mutex<HashMap<Key, String>>,
    by_op: Mutex<HashMap<[u8; 32], Vec<Candidate<String>>>>,
    warnings: Mutex<HashMap<Key, Vec<String>>>,
    runs: Mutex<HashMap<String, LastRun>>,
    /// What commands are told to have cost.
    costs: HashMap<String, Cost>,
    /// Whether the machine has no memory left. It is asked only while something runs.
    short: bool,
    contexts: HashMap<String, String>,
    /// Commands whose result does not depend on their input.
    steady: HashSet<String>,
    failing: HashSet<String>,
    ran: Mutex<Vec<String>>,
    /// How many `meet` commands have to run at once before any of them ends.
    meeting: usize,
    met: Mutex<usize>,
    arrived: Condvar,
    claims: Mutex<Vec<Key>>,
    /// What changed about the files of a context.
    files: Option<String>,
    /// Another process makes this result while we wait for the claim.
    other_process: Option<String>,
}

impl Worker for Fake {
    type Output = String;
    type Error = String;
    type Claim = ();

    fn context(&self, context: &ContextOp) -> Result<String, String> {
        self.contexts.get(&context.name).cloned().ok_or_else(|| format!("no {}", context.name))
    }

    fn stack(&self, parts: &[String]) -> String {
        parts.join("+")
    }

    fn content(&self, output: &String, _: &Selector) -> Result<ContentDigest, String> {
        Ok(ContentDigest::of(output.as_bytes()))
    }

    fn look_up(&self, _: VertexId, _: &Vertex, key: &Key) -> Option<String> {
        self.records.lock().unwrap().get(key).cloned()
    }

    fn warnings(&self, key: &Key) -> Vec<String> {
        self.warnings.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    fn candidates(&self, _: VertexId, op: &OpDigest) -> Vec<Candidate<String>> {
        self.by_op.lock().unwrap().get(op.as_bytes()).cloned().unwrap_or_default()
    }

    fn last_run(&self, slot: &str) -> Option<LastRun> {
        self.runs.lock().unwrap().get(slot).cloned()
    }

    fn changed_files(&self, _: &Vertex, _: usize) -> Option<String> {
        self.files.clone()
    }

    fn claim(&self, key: &Key, _: &Cancel) -> Result<(), String> {
        self.claims.lock().unwrap().push(*key);
        if let Some(output) = &self.other_process {
            self.records.lock().unwrap().insert(*key, output.clone());
        }
        Ok(())
    }

    fn is_short_of_memory(&self) -> bool {
        self.short
    }

    fn run(&self, job: &Job<'_, String>) -> Result<Made<String>, String> {
        let Op::Exec(exec) = &job.vertex.op else { return Err("no exec".into()) };
        let command = exec.args.join(" ");
        if command.starts_with("doubtful") {
            (job.events)(Event::Warning { vertex: job.id, text: format!("{command} is doubtful") });
        }
        self.ran.lock().unwrap().push(command.clone());
        if command.starts_with("meet") {
            self.meet();
        }
        match () {
            () if self.failing.contains(&command) => Err(format!("{command} failed")),
            () if self.steady.contains(&command) => Ok(Made::new(format!("result of {command}"))),
            () => Ok(Made::new(format!("{command}({})", job.inputs.join(",")))),
        }
    }

    fn save(&self, entry: &Save<'_, String>) {
        self.records.lock().unwrap().insert(*entry.key, entry.output.clone());
        let selectors = entry.vertex.inputs.iter().map(|edge| edge.selector.clone());
        let outputs = entry.inputs.iter().cloned();
        let inputs = outputs.zip(selectors).map(|(o, s)| RecordedInput::Output(o, s)).collect();
        let warnings = entry.warnings.to_vec();
        self.warnings.lock().unwrap().insert(*entry.key, warnings.clone());
        let output = entry.output.clone();
        let candidate = Candidate { output, cost: entry.cost, inputs, warnings };
        let mut by_op = self.by_op.lock().unwrap();
        by_op.entry(*entry.op.as_bytes()).or_default().insert(0, candidate);
        let slot = entry.vertex.origin.slot.clone();
        let cost = self.costs.get(&slot).copied().unwrap_or(entry.cost);
        self.runs.lock().unwrap().insert(slot, LastRun { parts: entry.parts.to_vec(), cost });
    }
}

impl Fake {
    fn with_context(name: &str, content: &str) -> Fake {
        let contexts = HashMap::from([(name.to_owned(), content.to_owned())]);
        Fake { contexts, ..Fake::default() }
    }

    /// Returns when as many commands as expected are in here at once. Were they run one after the
    /// other, the first would wait for ever.
    fn meet(&self) {
        let mut met = self.met.lock().unwrap();
        *met += 1;
        self.arrived.notify_all();
        while *met < self.meeting {
            met = self.arrived.wait(met).unwrap();
        }
    }

    fn build(&self, graph: &Graph, target: VertexId) -> Result<String, SolveError<String>> {
        self.build_with(graph, &[target], Limits::default(), &|_| {}).map(|mut all| all.remove(0))
    }

    fn build_with(
        &self,
        graph: &Graph,
        targets: &[VertexId],
        limits: Limits,
        events: &(dyn Fn(Event) + Sync),
    ) -> Result<Vec<String>, SolveError<String>> {
        solve(graph, targets, self, limits, &Cancel::new(), events)
    }

    fn ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort();
        ran
    }
}

fn exec(graph: &mut Graph, command: &str, inputs: &[VertexId]) -> VertexId {
    let inputs = inputs.iter().map(|&from| Edge { from, selector: Selector::Whole }).collect();
    add_exec(graph, command, inputs, false)
}

fn add_exec(graph: &mut Graph, command: &str, inputs: Vec<Edge>, always_run: bool) -> VertexId {
    let op = Op::Exec(ExecOp {
        root: None,
        args: command.split(' ').map(str::to_owned).collect(),
        env: Vec::new(),
        unkeyed_env: Vec::new(),
        cwd: "/".into(),
        user: String::new(),
        hostname: "host".into(),
        network: Network::Default,
        security: Security::Confined,
        mounts: Vec::new(),
        secrets: Vec::new(),
        devices: Vec::new(),
        resources: op::Resources::default(),
        platform: Platform {
            os: "linux".into(),
            architecture: "amd64".into(),
            variant: String::new(),
        },
    });
    let origin = Origin { slot: command.to_owned(), always_run, ..Origin::default() };
    graph.add(Vertex { op, inputs, origin })
}

fn context(graph: &mut Graph, name: &str) -> VertexId {
    let op = Op::Context(ContextOp { name: name.to_owned() });
    graph.add(Vertex { op, inputs: Vec::new(), origin: Origin::default() })
}

fn paths(from: VertexId, pattern: &str) -> Edge {
    let selector = PathSelector::of(pattern);
    Edge { from, selector: Selector::Paths(selector) }
}

fn stack(graph: &mut Graph, parts: &[VertexId]) -> VertexId {
    let inputs = parts.iter().map(|&from| Edge { from, selector: Selector::Whole }).collect();
    graph.add(Vertex { op: Op::Stack, inputs, origin: Origin::default() })
}

/// `a`, then `b` and `c` on it, then `d` on both.
fn diamond() -> (Graph, VertexId) {
    let mut graph = Graph::new();
    let a = exec(&mut graph, "a", &[]);
    let b = exec(&mut graph, "b", &[a]);
    let c = exec(&mut graph, "c", &[a]);
    let d = exec(&mut graph, "d", &[b, c]);
    (graph, d)
}

#[test]
fn a_diamond_runs_each_vertex_once() {
    let (graph, target) = diamond();
    let fake = Fake::default();
    assert_eq!(fake.build(&graph, target).unwrap(), "d(b(a()),c(a()))");
    assert_eq!(fake.ran(), ["a", "b", "c", "d"]);
}

/// Told when the step runs, when it is a hit, when nobody needs it because what is made of it is a
/// hit, and when it is found by the content of its inputs.
#[test]
fn warnings_are_told_in_every_build() {
    let mut graph = Graph::new();
    let files = context(&mut graph, "context");
    let first = add_exec(&mut graph, "same", vec![paths(files, "")], false);
    let doubtful = exec(&mut graph, "doubtful", &[first]);
    let target = exec(&mut graph, "end", &[doubtful]);
    let mut fake = Fake::with_context("context", "v1");
    fake.steady.insert("same".to_owned());
    for (content, target) in
        [("v1", doubtful), ("v1", doubtful), ("v1", target), ("v1", target), ("v2", target)]
    {
        fake.contexts.insert("context".to_owned(), content.to_owned());
        let told = Mutex::new(Vec::new());
        let tell = |event| {
            if let Event::Warning { vertex, text } = event {
                told.lock().unwrap().push((vertex, text));
            }
        };
        fake.build_with(&graph, &[target], Limits::default(), &tell).unwrap();
        assert_eq!(told.into_inner().unwrap(), [(doubtful, "doubtful is doubtful".to_owned())]);
    }
    assert_eq!(fake.ran(), ["doubtful", "end", "same", "same"]);
}

#[test]
fn a_warm_build_runs_nothing_and_claims_nothing() {
    let (graph, target) = diamond();
    let fake = Fake::default();
    let first = fake.build(&graph, target).unwrap();
    fake.ran();
    fake.claims.lock().unwrap().clear();
    assert_eq!(fake.build(&graph, target).unwrap(), first);
    assert!(fake.ran().is_empty());
    assert!(fake.claims.lock().unwrap().is_empty());
}

#[test]
fn equal_vertices_are_one() {
    let mut graph = Graph::new();
    let one = exec(&mut graph, "same", &[]);
    let two = exec(&mut graph, "same", &[]);
    assert_eq!(one, two);
    assert_eq!(graph.len(), 1);
}

#[test]
fn what_no_target_needs_is_left_alone() {
    let (mut graph, target) = diamond();
    exec(&mut graph, "unneeded", &[target]);
    let missing = context(&mut graph, "no such context");
    add_exec(&mut graph, "unneeded copy", vec![paths(missing, "x")], false);
    let fake = Fake::default();
    fake.build(&graph, target).unwrap();
    assert_eq!(fake.ran(), ["a", "b", "c", "d"]);
}

#[test]
fn branches_overlap() {
    let mut graph = Graph::new();
    let branches: Vec<_> = (0..8).map(|i| exec(&mut graph, &format!("meet {i}"), &[])).collect();
    let target = exec(&mut graph, "join", &branches);
    let fake = Fake { meeting: 8, ..Fake::default() };
    fake.build(&graph, target).unwrap();
    assert_eq!(fake.ran().len(), 9);
}

#[test]
fn no_more_run_at_once_than_allowed() {
    let mut graph = Graph::new();
    let branches: Vec<_> = (0..6).map(|i| exec(&mut graph, &format!("x{i}"), &[])).collect();
    let target = exec(&mut graph, "join", &branches);
    let (running, most) = (Mutex::new(0_i32), Mutex::new(0_i32));
    let watch = |event| match event {
        Event::Started { .. } => {
            *running.lock().unwrap() += 1;
            let now = *running.lock().unwrap();
            let mut most = most.lock().unwrap();
            *most = now.max(*most);
        }
        Event::Done { .. } => *running.lock().unwrap() -= 1,
        _ => {}
    };
    let limits = Limits { jobs: NonZeroUsize::new(2), memory: None };
    Fake::default().build_with(&graph, &[target], limits, &watch).unwrap();
    assert!(*most.lock().unwrap() <= 2);
}

/// The order in which commands start, one at a time, when they are built for the second time.
fn order_of_rebuild(fake: &Fake, graph: &Graph, target: VertexId) -> Vec<String> {
    let limits = Limits { jobs: NonZeroUsize::new(1), memory: None };
    fake.build_with(graph, &[target], limits, &|_| {}).unwrap();
    fake.records.lock().unwrap().clear();
    fake.by_op.lock().unwrap().clear();
    fake.ran.lock().unwrap().clear();
    fake.build_with(graph, &[target], limits, &|_| {}).unwrap();
    std::mem::take(&mut *fake.ran.lock().unwrap())
}

#[test]
fn the_longest_chain_by_the_last_build_starts_first() {
    let mut graph = Graph::new();
    let quick = exec(&mut graph, "quick", &[]);
    let slow = exec(&mut graph, "slow", &[]);
    let first = exec(&mut graph, "first of two", &[]);
    let second = exec(&mut graph, "second of two", &[first]);
    let target = exec(&mut graph, "join", &[quick, slow, second]);
    let cost = |seconds| Cost { took: Duration::from_secs(seconds), memory: None };
    let costs = [("quick", 1), ("slow", 5), ("first of two", 3), ("second of two", 3), ("join", 1)];
    let costs = costs.map(|(name, seconds)| (name.to_owned(), cost(seconds)));
    let fake = Fake { costs: HashMap::from(costs), ..Fake::default() };
    let order = order_of_rebuild(&fake, &graph, target);
    assert_eq!(order, ["first of two", "slow", "second of two", "quick", "join"]);
}

#[test]
fn a_machine_that_is_short_of_memory_runs_one_step_at_a_time() {
    let mut graph = Graph::new();
    let branches: Vec<_> = (0..4).map(|i| exec(&mut graph, &format!("x{i}"), &[])).collect();
    let target = exec(&mut graph, "join", &branches);
    let running = Mutex::new(Vec::new());
    let watch = |event| match event {
        Event::Started { vertex, .. } => {
            let mut running = running.lock().unwrap();
            assert_eq!(*running, [], "{vertex:?} starts beside another one");
            running.push(vertex);
        }
        Event::Done { .. } => running.lock().unwrap().clear(),
        _ => {}
    };
    let fake = Fake { short: true, ..Fake::default() };
    fake.build_with(&graph, &[target], Limits::default(), &watch).unwrap();
    assert_eq!(fake.ran(), ["join", "x0", "x1", "x2", "x3"]);
}

#[test]
fn a_result_found_by_content_keeps_what_it_cost() {
    let mut graph = Graph::new();
    let files = context(&mut graph, "context");
    let generate = add_exec(&mut graph, "generate", vec![paths(files, ".")], false);
    let target = exec(&mut graph, "compile", &[generate]);
    let mut fake = Fake::with_context("context", "v1");
    fake.steady.insert("generate".into());
    fake.build(&graph, target).unwrap();
    let cost = fake.runs.lock().unwrap()["compile"].cost;
    fake.contexts.insert("context".into(), "v2".into());
    fake.build(&graph, target).unwrap();
    assert_eq!(fake.runs.lock().unwrap()["compile"].cost, cost);
}

#[test]
fn the_first_failure_is_the_error_and_stops_new_starts() {
    let mut graph = Graph::new();
    let bad = exec(&mut graph, "bad", &[]);
    let after = exec(&mut graph, "after", &[bad]);
    let other = exec(&mut graph, "other", &[]);
    let target = exec(&mut graph, "join", &[after, other]);
    let fake = Fake { failing: HashSet::from(["bad".into()]), ..Fake::default() };
    let limits = Limits { jobs: NonZeroUsize::new(1), memory: None };
    let result = fake.build_with(&graph, &[target], limits, &|_| {});
    let Err(SolveError::Step { vertex, error }) = result else { panic!("{result:?}") };
    assert_eq!((vertex, error.as_str()), (bad, "bad failed"));
    assert_eq!(fake.ran(), ["bad"]);
}

#[test]
fn a_failure_tells_the_others_to_stop() {
    let mut graph = Graph::new();
    let bad = exec(&mut graph, "meet bad", &[]);
    let slow = exec(&mut graph, "meet slow", &[]);
    let target = exec(&mut graph, "join", &[bad, slow]);
    let failing = HashSet::from(["meet bad".into()]);
    let fake = Fake { failing, meeting: 2, ..Fake::default() };
    let cancel = Cancel::new();
    let result = solve(&graph, &[target], &fake, Limits::default(), &cancel, &|_| {});
    assert!(matches!(result, Err(SolveError::Step { vertex, .. }) if vertex == bad));
    assert!(cancel.is_cancelled());
    assert_eq!(fake.ran(), ["meet bad", "meet slow"]);
}

#[test]
fn a_build_that_the_user_ends_is_canceled_and_starts_nothing_more() {
    let (graph, target) = diamond();
    let (fake, cancel) = (Fake::default(), Cancel::new());
    let stop = |event| {
        if matches!(event, Event::Started { .. }) {
            cancel.cancel();
        }
    };
    let result = solve(&graph, &[target], &fake, Limits::default(), &cancel, &stop);
    assert!(matches!(result, Err(SolveError::Canceled)));
    assert_eq!(fake.ran(), ["a"]);
}

#[test]
fn a_changed_context_runs_what_depends_on_it_and_says_why() {
    let mut graph = Graph::new();
    let files = context(&mut graph, "context");
    let base = exec(&mut graph, "base", &[]);
    let base_edge = Edge { from: base, selector: Selector::Whole };
    let copy = add_exec(&mut graph, "copy", vec![base_edge, paths(files, "src")], false);
    let target = exec(&mut graph, "compile", &[copy]);
    let mut fake = Fake::with_context("context", "v1");
    fake.build(&graph, target).unwrap();
    assert_eq!(fake.ran(), ["base", "compile", "copy"]);

    fake.contexts.insert("context".into(), "v2".into());
    let reasons = Mutex::new(Vec::new());
    let note = |event| {
        if let Event::Started { reason, .. } = event {
            reasons.lock().unwrap().push(reason.to_string());
        }
    };
    fake.build_with(&graph, &[target], Limits::default(), &note).unwrap();
    assert_eq!(fake.ran(), ["compile", "copy"]);
    assert_eq!(*reasons.lock().unwrap(), ["files of `src` changed", "the step before changed"]);
}

#[test]
fn a_miss_names_the_file_if_somebody_knows_it() {
    let mut graph = Graph::new();
    let files = context(&mut graph, "context");
    let copy = add_exec(&mut graph, "copy", vec![paths(files, "src")], false);
    let mut fake = Fake::with_context("context", "v1");
    fake.build(&graph, copy).unwrap();
    fake.contexts.insert("context".into(), "v2".into());
    fake.files = Some("src/main.c changed".into());
    let reasons = Mutex::new(Vec::new());
    let note = |event| {
        if let Event::Started { reason, .. } = event {
            reasons.lock().unwrap().push(reason.to_string());
        }
    };
    fake.build_with(&graph, &[copy], Limits::default(), &note).unwrap();
    assert_eq!(*reasons.lock().unwrap(), ["src/main.c changed"]);
}

#[test]
fn what_comes_out_equal_stops_the_rebuild() {
    let mut graph = Graph::new();
    let files = context(&mut graph, "context");
    let generate = add_exec(&mut graph, "generate", vec![paths(files, ".")], false);
    let target = exec(&mut graph, "compile", &[generate]);
    let mut fake = Fake::with_context("context", "v1");
    fake.steady.insert("generate".into());
    fake.build(&graph, target).unwrap();
    fake.ran();

    fake.contexts.insert("context".into(), "v2".into());
    fake.build(&graph, target).unwrap();
    assert_eq!(fake.ran(), ["generate"]);
    // The result found by content was recorded: now even the plan finds it.
    fake.build(&graph, target).unwrap();
    assert!(fake.ran().is_empty());
}

#[test]
fn no_cache_runs_all_again_and_records_it() {
    let mut graph = Graph::new();
    let a = add_exec(&mut graph, "a", Vec::new(), true);
    let on_a = Edge { from: a, selector: Selector::Whole };
    let b = add_exec(&mut graph, "b", vec![on_a], true);
    let fake = Fake::default();
    fake.build(&graph, b).unwrap();
    fake.build(&graph, b).unwrap();
    assert_eq!(fake.ran(), ["a", "a", "b", "b"]);
    assert_eq!(fake.records.lock().unwrap().len(), 2);
}

#[test]
fn what_the_user_wants_run_again_is_also_below_what_need_not() {
    let mut graph = Graph::new();
    let on = |from| vec![Edge { from, selector: Selector::Whole }];
    let again = add_exec(&mut graph, "again", Vec::new(), true);
    let between = add_exec(&mut graph, "between", on(again), false);
    let target = add_exec(&mut graph, "target", on(between), true);
    let fake = Fake::default();
    fake.build(&graph, target).unwrap();
    fake.build(&graph, target).unwrap();
    // What came of it is the same as before, so that what stands on it is, too.
    assert_eq!(fake.ran(), ["again", "again", "between", "target", "target"]);
}

#[test]
fn a_result_that_another_process_made_meanwhile_is_taken() {
    let mut graph = Graph::new();
    let target = exec(&mut graph, "slow", &[]);
    let fake = Fake { other_process: Some("theirs".into()), ..Fake::default() };
    assert_eq!(fake.build(&graph, target).unwrap(), "theirs");
    assert!(fake.ran().is_empty());
}

#[test]
fn a_lost_result_is_made_again_and_called_gone() {
    let mut graph = Graph::new();
    let target = exec(&mut graph, "a", &[]);
    let fake = Fake::default();
    fake.build(&graph, target).unwrap();
    fake.records.lock().unwrap().clear();
    fake.by_op.lock().unwrap().clear();
    let reasons = Mutex::new(Vec::new());
    let note = |event| {
        if let Event::Started { reason, .. } = event {
            reasons.lock().unwrap().push(reason);
        }
    };
    fake.build_with(&graph, &[target], Limits::default(), &note).unwrap();
    assert_eq!(*reasons.lock().unwrap(), [MissReason::Gone]);
}

#[test]
fn every_vertex_that_is_reached_is_announced_once() {
    let (graph, target) = diamond();
    let fake = Fake::default();
    fake.build(&graph, target).unwrap();
    let hits = Mutex::new(Vec::new());
    let note = |event| match event {
        Event::Hit { vertex } => hits.lock().unwrap().push(vertex.index()),
        other => panic!("{other:?}"),
    };
    fake.build_with(&graph, &[target], Limits::default(), &note).unwrap();
    assert_eq!(*hits.lock().unwrap(), [0, 1, 2, 3]);
}

#[test]
fn another_host_name_is_told_as_such() {
    let (fake, mut graph) = (Fake::default(), Graph::new());
    let target = exec(&mut graph, "hostname", &[]);
    fake.build(&graph, target).unwrap();
    let Op::Exec(mut op) = graph.vertex(target).op.clone() else { panic!("it is a step") };
    op.hostname = "other".into();
    graph.pin(target, Op::Exec(op));
    let reasons = Mutex::new(Vec::new());
    let note = |event| {
        if let Event::Started { reason, .. } = event {
            reasons.lock().unwrap().push(reason.to_string());
        }
    };
    fake.build_with(&graph, &[target], Limits::default(), &note).unwrap();
    assert_eq!(*reasons.lock().unwrap(), ["host name changed"]);
}
