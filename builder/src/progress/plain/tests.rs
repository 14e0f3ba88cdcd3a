//! What the log looks like.

use rbuild_solver::graph::{Graph, Origin, Vertex};
use rbuild_solver::op::{ContextOp, Op};

use super::*;

fn two_vertices() -> [VertexId; 2] {
    let mut graph = Graph::new();
    let mut add = |name: &str| {
        let op = Op::Context(ContextOp { name: name.to_owned() });
        graph.add(Vertex { op, inputs: Vec::new(), origin: Origin::default() })
    };
    [add("a"), add("b")]
}

fn shown(events: &[Event]) -> String {
    let mut plain = Plain::new(Vec::new());
    plain.titles(vec!["[1/2] RUN a".into(), "[2/2] RUN b".into()]);
    for event in events {
        plain.event(event);
    }
    let text = String::from_utf8(plain.out).unwrap();
    without_times(&text)
}

/// Times differ from run to run: every `0.000 ` after a step's number becomes `T `.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.split_once(' ') {
        Some((number, rest)) if number.starts_with('#') => match rest.split_once(' ') {
            Some((time, rest)) if time.parse::<f64>().is_ok() => format!("{number} T {rest}"),
            _ => line.to_owned(),
        },
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn steps_side_by_side_are_told_apart() {
    let [a, b] = two_vertices();
    let output = |vertex, bytes: &str| Event::Output { vertex, bytes: bytes.into() };
    let log = shown(&[
        Event::Started { vertex: a, reason: MissReason::New },
        output(a, "one\ntw"),
        Event::Started { vertex: b, reason: MissReason::Changed(vec!["command changed".into()]) },
        output(b, "other\n"),
        output(a, "o\n"),
        Event::Done { vertex: b, took: Duration::from_millis(1234) },
        output(a, "no line end"),
        Event::Failed { vertex: a, took: Duration::from_secs(2) },
    ]);
    let expected = "\
#1 [1/2] RUN a
#1 T one

#2 [2/2] RUN b
#2 not cached: command changed
#2 T other

#1 [1/2] RUN a
#1 T two

#2 [2/2] RUN b
#2 DONE 1.2s

#1 [1/2] RUN a
#1 T no line end
#1 ERROR after 2.0s";
    assert_eq!(log, expected);
}

#[test]
fn a_warm_build_is_a_list_of_hits() {
    let [a, b] = two_vertices();
    let log = shown(&[Event::Hit { vertex: a }, Event::Hit { vertex: b }]);
    assert_eq!(log, "#1 [1/2] RUN a\n#1 CACHED\n\n#2 [2/2] RUN b\n#2 CACHED");
}

#[test]
fn a_warning_stands_with_its_step() {
    let [a, _] = two_vertices();
    let warning = Event::Warning { vertex: a, text: "hardly meant".to_owned() };
    let log = shown(&[Event::Hit { vertex: a }, warning]);
    assert_eq!(log, "#1 [1/2] RUN a\n#1 CACHED\n#1 warning: hardly meant");
}

#[test]
fn sizes_read_as_docker_writes_them() {
    let cases = [(0, "0B"), (999, "999B"), (1000, "1.0kB"), (29_540_000, "29.5MB")];
    for (bytes, text) in cases {
        assert_eq!(size(bytes), text);
    }
}
