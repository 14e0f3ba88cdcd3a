//! Answers as JSON, with the names that docker's answers have. A place is a list of lines.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rbuild_frontend::diagnostic::Diagnostic;
use rbuild_frontend::lint::Finding;
use rbuild_frontend::outline::{Argument, Mounted, Outline, Target};
use rbuild_frontend::source::{Source, Span};
use serde_json::{Map, Value, json};

use crate::build::BuildError;
use crate::build::check::Checked;

pub(super) fn checked(checked: &Checked) -> String {
    let source = &checked.source;
    let warnings: Vec<Value> =
        checked.findings.iter().map(|found| warning(found, source)).collect();
    let mut answer = json!({"warnings": warnings, "sources": [file(source)]});
    if let Some(first) = checked.errors.first() {
        answer["buildError"] = error(first, source);
    }
    pretty(&answer)
}

/// A file that cannot be understood.
pub(super) fn wrong(errors: &[Diagnostic], source: &Source) -> String {
    let first = errors.first().map(|first| error(first, source));
    pretty(&json!({"sources": [data(source)], "buildError": first}))
}

/// There is no file, or nothing in it.
pub(super) fn failed(error: &BuildError) -> String {
    let error = json!({"message": error.to_string(), "location": {}});
    pretty(&json!({"warnings": [], "sources": [], "buildError": error}))
}

fn file(source: &Source) -> Value {
    json!({"filename": source.name(), "data": data(source), "language": "Dockerfile"})
}

fn warning(finding: &Finding, source: &Source) -> Value {
    json!({
        "ruleName": finding.rule.name,
        "description": finding.rule.what,
        "detail": finding.diagnostic.message,
        "help": finding.diagnostic.help,
        "location": location(&finding.lines, source),
    })
}

fn error(error: &Diagnostic, source: &Source) -> Value {
    json!({"message": error.message, "location": location(&error.span, source)})
}

pub(super) fn targets(targets: &[Target], source: &Source) -> String {
    let target = |target: &Target| {
        object([
            ("name", target.name.clone().map(Value::from)),
            ("default", target.is_default.then_some(Value::from(true))),
            ("description", target.description.clone().map(Value::from)),
            ("base", Some(target.base.clone().into())),
            ("platform", target.platform.clone().map(Value::from)),
            ("location", Some(location(&target.span, source))),
        ])
    };
    let targets: Vec<Value> = targets.iter().map(target).collect();
    pretty(&json!({"targets": targets, "sources": [data(source)]}))
}

pub(super) fn outline(outline: &Outline, source: &Source) -> String {
    let argument = |arg: &Argument| {
        object([
            ("name", Some(arg.name.clone().into())),
            ("description", arg.description.clone().map(Value::from)),
            ("value", arg.value.clone().map(Value::from)),
            ("location", Some(location(&arg.span, source))),
        ])
    };
    let mounted = |mounted: &Mounted| {
        object([
            ("name", Some(mounted.name.clone().into())),
            ("required", mounted.required.then_some(Value::from(true))),
            ("location", Some(location(&mounted.span, source))),
        ])
    };
    let list = |values: Vec<Value>| (!values.is_empty()).then_some(Value::from(values));
    pretty(&object([
        ("name", outline.name.clone().map(Value::from)),
        ("description", outline.description.clone().map(Value::from)),
        ("args", list(outline.args.iter().map(argument).collect())),
        ("secrets", list(outline.secrets.iter().map(mounted).collect())),
        ("ssh", list(outline.ssh.iter().map(mounted).collect())),
        ("cache", list(outline.caches.iter().map(mounted).collect())),
        ("sources", Some(json!([data(source)]))),
    ]))
}

/// An object of the fields that there are.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// One range for each line, as docker has it.
fn location(span: &Span, source: &Source) -> Value {
    let (first, _) = source.position(span.start);
    let (last, _) = source.position(span.end.max(span.start));
    let range = |line: usize| json!({"start": {"line": line}, "end": {"line": line}});
    let ranges: Vec<Value> = (first..=last).map(range).collect();
    json!({"ranges": ranges})
}

fn data(source: &Source) -> String {
    BASE64_STANDARD.encode(source.text())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
