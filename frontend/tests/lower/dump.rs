//! A graph and a config as text that a person can read.

use std::fmt::Write;

use rbuild_cache::tree::Selector;
use rbuild_frontend::config::DEFAULT_PATH;
use rbuild_frontend::diagnostic::{Color, render};
use rbuild_frontend::lower::Lowered;
use rbuild_frontend::source::Source;
use rbuild_solver::graph::{Edge, Vertex};
use rbuild_solver::op::mount::{self, Mount, MountKind};
use rbuild_solver::op::{ContextOp, CopyOp, CopySource, ExecOp, MakeDirOp, Op, Security, Unpack};

use crate::support::Built;

pub fn dump(built: &Built, source: &Source) -> String {
    let mut out = String::new();
    for request in &built.requests {
        let (line, _) = source.position(request.span.start);
        writeln!(out, "base {} for {}, line {line}", request.reference, request.platform).unwrap();
    }
    for id in built.graph.in_order() {
        vertex(&mut out, id.index(), built.graph.vertex(id), source);
    }
    for lowered in &built.platforms {
        let target = lowered.target.map_or("none".to_owned(), |id| id.index().to_string());
        writeln!(out, "\ntarget {target} for {}\n", lowered.platform).unwrap();
        config(&mut out, lowered);
        if !lowered.warnings.is_empty() {
            write!(out, "\n{}", render(&lowered.warnings, source, Color::Never)).unwrap();
        }
    }
    out
}

/// One line for each field that is set, and for each entry of the history.
fn config(out: &mut String, lowered: &Lowered) {
    let json: serde_json::Value = serde_json::from_slice(&lowered.config.to_json()).unwrap();
    for (name, value) in json["config"].as_object().unwrap() {
        writeln!(out, "{name} {value}").unwrap();
    }
    for (name, value) in json.as_object().unwrap() {
        if name != "config" && name != "history" {
            writeln!(out, "{name} {value}").unwrap();
        }
    }
    for entry in &lowered.config.history {
        let layer = if entry.empty_layer { '-' } else { '+' };
        writeln!(out, "{layer} {:?}", entry.created_by).unwrap();
    }
}

fn vertex(out: &mut String, index: usize, vertex: &Vertex, source: &Source) {
    let always = if vertex.origin.always_run { ", always" } else { "" };
    writeln!(out, "\n{index} {}", vertex.origin.title).unwrap();
    let place = match &vertex.origin.span {
        None => String::new(),
        Some(span) => {
            let (first, _) = source.position(span.start);
            format!(", line {first}")
        }
    };
    writeln!(out, "  slot `{}`{place}{always}", vertex.origin.slot).unwrap();
    match &vertex.op {
        Op::Image(image) => {
            writeln!(out, "  image {} {}", image.reference, image.platform).unwrap();
        }
        Op::Context(context) if context.name == ContextOp::MAIN => {
            writeln!(out, "  the build context").unwrap();
        }
        Op::Context(context) => writeln!(out, "  context {}", context.name).unwrap(),
        Op::Exec(op) => exec(out, op, &vertex.inputs),
        Op::Copy(op) => copy(out, op, &vertex.inputs),
        Op::MakeDir(op) => make_dir(out, op, &vertex.inputs),
        Op::Stack => {
            let parts: Vec<_> = vertex.inputs.iter().map(|edge| edge.from.index()).collect();
            writeln!(out, "  stack {parts:?}").unwrap();
        }
        #[allow(unreachable_patterns)] // Ops that lowering does not make.
        other => writeln!(out, "  {other:?}").unwrap(),
    }
}

fn exec(out: &mut String, op: &ExecOp, inputs: &[Edge]) {
    writeln!(out, "  run {:?} {}", op.args, on(op.root, inputs)).unwrap();
    variables(out, "env", &op.env);
    variables(out, "env without key", &op.unkeyed_env);
    let user = if op.user.is_empty() { "default" } else { &op.user };
    writeln!(
        out,
        "  in {} as {user} at {}, network {:?}, {}",
        op.cwd, op.hostname, op.network, op.platform
    )
    .unwrap();
    if op.security != Security::Confined {
        writeln!(out, "  {:?}", op.security).unwrap();
    }
    for it in &op.mounts {
        mount(out, it, inputs);
    }
    for secret in &op.secrets {
        writeln!(out, "  {secret:?}").unwrap();
    }
    for device in &op.devices {
        writeln!(out, "  {device:?}").unwrap();
    }
}

fn mount(out: &mut String, mount: &Mount, inputs: &[Edge]) {
    let from = |source: &Option<mount::Source>| match source {
        None => "nothing".to_owned(),
        Some(mount::Source { input, .. }) => match &inputs[*input] {
            Edge { from, selector: Selector::Whole } => format!("all of {}", from.index()),
            Edge { from, selector: Selector::Paths(paths) } => {
                format!("`{}` of {}", paths.pattern, from.index())
            }
        },
    };
    let what = match &mount.kind {
        MountKind::File { data, mode } => format!("{mode:o} {:?}", String::from_utf8_lossy(data)),
        MountKind::Bind { source, access } => format!("{}, {access:?}", from(source)),
        MountKind::Cache(cache) => {
            let (id, seed) = (format!("{}/{}", cache.namespace, cache.id), from(&cache.seed));
            let (sharing, access, owner) = (cache.sharing, cache.access, cache.owner);
            format!("cache `{id}` {sharing:?} from {seed}, {access:?}, {owner:?}")
        }
        other => format!("{other:?}"),
    };
    writeln!(out, "  mount {} {what}", mount.target).unwrap();
}

/// The default path goes without saying.
fn variables(out: &mut String, what: &str, variables: &[(String, String)]) {
    let all = variables.iter().filter(|(name, value)| name != "PATH" || value != DEFAULT_PATH);
    let all: Vec<String> = all.map(|(name, value)| format!("{name}={value:?}")).collect();
    if !all.is_empty() {
        writeln!(out, "  {what} {}", all.join(" ")).unwrap();
    }
}

fn copy(out: &mut String, op: &CopyOp, inputs: &[Edge]) {
    for source in &op.sources {
        match source {
            CopySource::Input { input, unpack } => {
                let edge = &inputs[*input];
                let Selector::Paths(paths) = &edge.selector else { panic!("{edge:?}") };
                write!(out, "  from {}: `{}`", edge.from.index(), paths.pattern).unwrap();
                if let Some(include) = &paths.include {
                    write!(out, " of which `{include}`").unwrap();
                }
                for exclude in &paths.exclude {
                    write!(out, " without `{exclude}`").unwrap();
                }
                if *unpack == Unpack::Archives {
                    write!(out, ", unpack archives").unwrap();
                }
                writeln!(out).unwrap();
            }
            CopySource::Inline { name, data } => {
                let text = String::from_utf8_lossy(data);
                writeln!(out, "  inline `{name}`: {text:?}").unwrap();
            }
        }
    }
    write!(out, "  copy to {} {}", op.dest, on(op.base, inputs)).unwrap();
    for (what, value) in [("chown", &op.chown), ("chmod", &op.chmod)] {
        if let Some(value) = value {
            write!(out, ", {what} {value}").unwrap();
        }
    }
    writeln!(out).unwrap();
}

fn make_dir(out: &mut String, op: &MakeDirOp, inputs: &[Edge]) {
    let user = if op.user.is_empty() { "default" } else { &op.user };
    writeln!(out, "  make {} {:o} as {user} {}", op.path, op.mode, on(op.base, inputs)).unwrap();
}

fn on(base: Option<usize>, inputs: &[Edge]) -> String {
    match base {
        None => "on nothing".to_owned(),
        Some(input) => {
            assert_eq!(inputs[input].selector, Selector::Whole);
            format!("on {}", inputs[input].from.index())
        }
    }
}
