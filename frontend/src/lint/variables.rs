//! Variables that nothing defines, and names of bases that need one.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::ast::{
    Base, HeredocExpansion, Instruction, Kind, MountKey, Run, Text, Transfer, TransferSource,
};
use crate::expand::Style;
use crate::options::Options;
use crate::parser::suggest::nearest;
use crate::replay::{BaseKnown, State, Visit};
use crate::scope::expand;
use crate::stage::scope::{globals, is_predefined};
use crate::stage::{StageBase, StageGraph};

use super::image_name::is_image_name;
use super::{Facts, Found};

/// Arguments that mean something to the builder only.
const FOR_THE_BUILDER: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// In stages whose base is known: others may have more variables.
pub(super) fn undefined_var(facts: &Facts<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for visit in &facts.visits {
        if visit.before.base == BaseKnown::No {
            continue;
        }
        match &visit.step.instruction.kind {
            Kind::Arg(args) => {
                let mut state = visit.before.clone();
                for arg in args {
                    state.declared.insert(arg.name.as_str().to_owned());
                    let word = arg.value.as_ref().map(|value| (value.clone(), facts.style()));
                    found
                        .extend(word.iter().flat_map(|word| undefined(facts, visit, &state, word)));
                    state.arg(arg, facts.stages, facts.options);
                }
            }
            kind => {
                let words = words(kind, facts.style());
                let undefined = |word| undefined(facts, visit, &visit.before, word);
                found.extend(words.iter().flat_map(undefined));
            }
        }
    }
    found
}

/// What is undefined in one word of an instruction.
fn undefined(
    facts: &Facts<'_>,
    visit: &Visit,
    state: &State,
    (text, style): &(Text, Style),
) -> Vec<Found> {
    let unset = expand(*style, text, &state.variables).map(|word| word.unset).unwrap_or_default();
    let unknown = unset
        .into_iter()
        .filter(|name| !state.declared.contains(name) && !FOR_THE_BUILDER.contains(&name.as_str()));
    let instruction = facts.instruction_of(visit);
    let found = unknown.map(|name| {
        let span = visit.step.source.place(text.span_of(place_of(&name, text.as_str())));
        let message = format!("the variable `{name}` is not defined here");
        let found = Found::at(instruction.clone(), span, message);
        let known = state.variables.pairs().iter().map(|(known, _)| known.as_str());
        if facts.stages.declared.contains(&name) || is_predefined(&name) {
            return found.with_help(format!("repeat `ARG {name}` in this stage"));
        }
        match nearest(&name, known) {
            Some(near) => found.with_help(format!("did you mean `${near}`?")),
            None => found,
        }
    });
    found.collect()
}

/// The pieces of an instruction in which variables count, and how.
fn words(kind: &Kind, style: Style) -> Vec<(Text, Style)> {
    let texts: Vec<Text> = match kind {
        Kind::Env(pairs) | Kind::Label(pairs) => {
            pairs.pairs.iter().flat_map(|pair| [&pair.key, &pair.value]).cloned().collect()
        }
        Kind::Workdir(text) | Kind::User(text) | Kind::Stopsignal(text) => vec![text.clone()],
        Kind::Volume(words) => words.clone(),
        Kind::Run(run) => mounts(run),
        Kind::Copy(copy) => return transferred(&copy.transfer, None, style),
        Kind::Add(add) => return transferred(&add.transfer, add.checksum.as_ref(), style),
        _ => Vec::new(),
    };
    texts.into_iter().map(|text| (text, style)).collect()
}

/// The options of all mounts but `from`, which is not expanded.
fn mounts(run: &Run) -> Vec<Text> {
    let options = run.mounts.iter().flat_map(|mount| &mount.options);
    let expanded = options.filter(|option| option.key != MountKey::From);
    expanded.filter_map(|option| option.value.clone()).collect()
}

fn transferred(transfer: &Transfer, checksum: Option<&Text>, style: Style) -> Vec<(Text, Style)> {
    let flags = [transfer.chown.as_ref(), transfer.chmod.as_ref(), checksum];
    let mut words: Vec<_> = flags.into_iter().flatten().map(|text| (text.clone(), style)).collect();
    for source in &transfer.sources {
        match source {
            TransferSource::Path(path) => words.push((path.clone(), style)),
            TransferSource::Heredoc(doc) if doc.expansion == HeredocExpansion::Expand => {
                words.push((doc.content(), Style::heredoc()));
            }
            TransferSource::Heredoc(_) => {}
        }
    }
    words.push((transfer.dest.clone(), style));
    words
}

/// Where a variable stands in a text.
fn place_of(name: &str, text: &str) -> Range<usize> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    for start in [format!("${name}"), format!("${{{name}")] {
        let mut places = text.match_indices(&start).map(|(at, found)| at..at + found.len());
        if let Some(place) = places.find(|place| !text[place.end..].starts_with(is_name)) {
            let closed = start.starts_with("${") && text[place.end..].starts_with('}');
            return place.start..place.end + usize::from(closed);
        }
    }
    0..text.len()
}

pub(super) fn undefined_arg_in_from(facts: &Facts<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (from, base) in facts.froms() {
        for text in [Some(&base.image), base.platform.as_ref()].into_iter().flatten() {
            let word = expand(facts.style(), text, &facts.stages.globals);
            let unset = word.map(|word| word.unset).unwrap_or_default();
            let unknown = unset.into_iter().filter(|name| !facts.stages.declared.contains(name));
            found.extend(unknown.map(|name| undeclared(facts.stages, from, text, &name)));
        }
    }
    found
}

fn undeclared(stages: &StageGraph, from: &Instruction, text: &Text, name: &str) -> Found {
    let span = text.span_of(place_of(name, text.as_str()));
    let message = format!("no ARG before the first FROM declares `{name}`");
    let found = Found::at(from.span.clone(), span, message);
    let known = stages.globals.pairs().iter().map(|(known, _)| known.as_str());
    let known: BTreeSet<&str> = known.chain(stages.declared.iter().map(String::as_str)).collect();
    match nearest(name, known.into_iter()) {
        Some(near) => found.with_help(format!("did you mean `${near}`?")),
        None => found,
    }
}

/// As if nobody gave a build argument.
pub(super) fn invalid_default_arg_in_from(facts: &Facts<'_>) -> Vec<Found> {
    let is_from = |instruction: &Instruction| matches!(instruction.kind, Kind::From(_));
    let instructions = &facts.ast.instructions;
    let first = instructions.iter().position(is_from).unwrap_or(instructions.len());
    let mut options: Options = facts.options.clone();
    options.build_args.clear();
    let mut failed = Vec::new();
    let escape = facts.ast.directives.escape;
    let defaults = globals(&instructions[..first], escape, &options, None, &mut failed);
    if !failed.is_empty() {
        return Vec::new();
    }
    let invalid = |(index, (from, base)): (usize, (&Instruction, &Base))| {
        let name = expand(facts.style(), &base.image, &defaults.values).ok()?.text;
        let base_is = &facts.stages.stages.get(index)?.base;
        let is_stage = matches!(base_is, StageBase::Stage(_) | StageBase::Context(_));
        if is_stage || is_image_name(&name) {
            return None;
        }
        let message = match name.as_str() {
            "" => format!("`{}` names no image without a build argument", base.image),
            _ => format!(
                "without a build argument `{}` is `{name}`, which names no image",
                base.image
            ),
        };
        Some(Found::in_text(&from.span, &base.image, message))
    };
    facts.froms().enumerate().filter_map(invalid).collect()
}
