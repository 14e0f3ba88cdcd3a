//! What differs between two outcomes: a key that the list of known differences can name, and what
//! each builder has there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::case::Case;
use crate::outcome::{Error, Image, Outcome};

/// Key to what Docker has and what rbuild has.
pub type Differences = BTreeMap<String, (String, String)>;

/// Compares rbuild's outcome with the recorded one.
pub fn compare(case: &Case, docker: &Outcome, rbuild: &Outcome) -> Differences {
    let mut found = Differences::new();
    match (docker, rbuild) {
        (Outcome::Image(docker), Outcome::Image(rbuild)) => images(docker, rbuild, &mut found),
        (Outcome::Error(docker), Outcome::Error(rbuild)) => {
            errors(case, docker, rbuild, &mut found);
        }
        _ => put(&mut found, "outcome", in_short(docker), in_short(rbuild)),
    }
    found
}

fn put(found: &mut Differences, key: &str, docker: String, rbuild: String) {
    if docker != rbuild {
        found.insert(key.to_owned(), (docker, rbuild));
    }
}

fn in_short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Image(_) => "an image".to_owned(),
        Outcome::Error(error) => format!("an error: {}", error.message),
    }
}

fn images(docker: &Image, rbuild: &Image, found: &mut Differences) {
    values("config", &docker.config, &rbuild.config, found);
    put(found, "layers", docker.layers.to_string(), rbuild.layers.to_string());
    let paths: BTreeSet<&String> = docker.tree.keys().chain(rbuild.tree.keys()).collect();
    for path in paths {
        let line =
            |image: &Image| image.tree.get(path).map_or("as in the base", |it| it).to_owned();
        put(found, &format!("tree {path}"), line(docker), line(rbuild));
    }
}

/// Goes down where both have an object or a list of the same length.
fn values(key: &str, docker: &Value, rbuild: &Value, found: &mut Differences) {
    match (docker, rbuild) {
        (Value::Object(left), Value::Object(right)) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                let key = format!("{key}.{name}");
                match (left.get(name), right.get(name)) {
                    (Some(left), Some(right)) => values(&key, left, right, found),
                    (left, right) => put(found, &key, or_absent(left), or_absent(right)),
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                values(&format!("{key}[{index}]"), left, right, found);
            }
        }
        _ => put(found, key, docker.to_string(), rbuild.to_string()),
    }
}

fn or_absent(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), Value::to_string)
}

/// The same kind, one of the lines that Docker points at, and the same lint rules.
fn errors(case: &Case, docker: &Error, rbuild: &Error, found: &mut Differences) {
    let kind = |error: &Error| format!("{:?}: {}", error.kind, error.message);
    if docker.kind != rbuild.kind {
        put(found, "kind", kind(docker), kind(rbuild));
    }
    let lines = case.lines.as_ref().unwrap_or(&docker.lines);
    let is_named = rbuild.lines.iter().any(|line| lines.contains(line));
    if !lines.is_empty() && !is_named {
        put(found, "lines", format!("{lines:?}"), format!("{:?}", rbuild.lines));
    }
    let rules = |error: &Error| format!("{:?}", rules(&error.message));
    put(found, "rules", rules(docker), rules(rbuild));
}

/// The names of the lint rules that a message tells, as the only words of this form.
fn rules(message: &str) -> BTreeSet<&str> {
    let is_told = message.contains("lint violation") || message.contains("check=error");
    let (_, names) = message.rsplit_once(": ").filter(|_| is_told).unwrap_or_default();
    names.split(", ").filter(|name| !name.is_empty()).collect()
}
