//! `WORKDIR`, `EXPOSE`, and instructions that count once.

use crate::ast::{Kind, Text};
use crate::expand::Style;
use crate::replay::Visit;
use crate::scope::expand;
use crate::source::Span;

use super::{Facts, Found};

/// Only before any `WORKDIR` of the build: what it is relative to is then the base's affair.
pub(super) fn workdir_relative_path(facts: &Facts<'_>) -> Vec<Found> {
    let relative = |visit: &Visit| {
        let Kind::Workdir(text) = &visit.step.instruction.kind else { return None };
        let path = expand(facts.style(), text, &visit.before.variables).ok()?.text;
        if visit.before.has_workdir || path.starts_with('/') {
            return None;
        }
        let message = format!("where `{path}` is depends on the working directory of the base");
        let span = visit.step.source.place(text.span());
        Some(Found::at(facts.instruction_of(visit), span, message))
    };
    facts.visits.iter().filter_map(relative).collect()
}

/// Each one that a later one of its stage replaces.
pub(super) fn multiple_instructions_disallowed(facts: &Facts<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (index, visit) in facts.visits.iter().enumerate() {
        let Some(keyword) = counts_once(&visit.step.instruction.kind) else { continue };
        let mut later = facts.visits[index + 1..].iter().filter(|later| later.stage == visit.stage);
        if later.any(|later| counts_once(&later.step.instruction.kind) == Some(keyword)) {
            let message = format!("a later {keyword} of this stage replaces this one");
            let instruction = facts.instruction_of(visit);
            found.push(Found::at(instruction, visit.step.span(), message));
        }
    }
    found
}

fn counts_once(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Cmd(_) => Some("CMD"),
        Kind::Entrypoint(_) => Some("ENTRYPOINT"),
        Kind::Healthcheck(_) => Some("HEALTHCHECK"),
        _ => None,
    }
}

pub(super) fn expose_proto_casing(facts: &Facts<'_>) -> Vec<Found> {
    ports(facts, |port| {
        let (_, protocol) = port.split_once('/')?;
        let lower = protocol.to_lowercase();
        let message = format!("the protocol of `{port}` is not in lower case");
        (lower != protocol).then_some(message)
    })
}

pub(super) fn expose_invalid_format(facts: &Facts<'_>) -> Vec<Found> {
    ports(facts, |port| {
        let (outside, _) = port.rsplit_once(':')?;
        let message = format!("`{port}` names more than a port of the container");
        (!outside.trim_matches(':').is_empty()).then_some(message)
    })
}

/// Asks about each port of each `EXPOSE`.
fn ports(facts: &Facts<'_>, wrong: impl Fn(&str) -> Option<String>) -> Vec<Found> {
    let mut found = Vec::new();
    for visit in &facts.visits {
        let Kind::Expose(words) = &visit.step.instruction.kind else { continue };
        let instruction = facts.instruction_of(visit);
        for word in words {
            let messages =
                port_words(visit, word, facts.style()).into_iter().filter_map(|port| wrong(&port));
            let span: Span = visit.step.source.place(word.span());
            found.extend(
                messages.map(|message| Found::at(instruction.clone(), span.clone(), message)),
            );
        }
    }
    found
}

fn port_words(visit: &Visit, word: &Text, style: Style) -> Vec<String> {
    expand(style, word, &visit.before.variables).map(|expanded| expanded.words).unwrap_or_default()
}
