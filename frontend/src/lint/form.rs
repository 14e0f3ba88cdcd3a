//! Forms that have a better one.

use crate::ast::{Command, Instruction, Kind, PairForm};
use crate::replay::Visit;

use super::config::options_of;
use super::{Facts, Found};

/// BuildKit places it at the last line of the instruction, so the lines are the same here.
pub(super) fn no_empty_continuation(facts: &Facts<'_>) -> Vec<Found> {
    let found = facts.ast.instructions.iter().filter_map(|instruction| {
        let first = instruction.blank_lines.first()?;
        let last = instruction.blank_lines.last()?;
        let end = last.end.max(instruction.text.span().end);
        let message = format!("an empty line interrupts this `{}`", instruction.keyword);
        let found = Found::at(instruction.span.clone(), first.clone(), message);
        Some(Found { lines: end..end, ..found })
    });
    found.collect()
}

/// Not where a SHELL was chosen: then a shell is what is wanted.
pub(super) fn json_args_recommended(facts: &Facts<'_>) -> Vec<Found> {
    let in_shell_form = |visit: &Visit| match &visit.step.instruction.kind {
        Kind::Cmd(Command::Shell(_)) | Kind::Entrypoint(Command::Shell(_)) => {
            !visit.before.has_shell
        }
        _ => false,
    };
    let found = facts.visits.iter().filter(|visit| in_shell_form(visit)).map(|visit| {
        let keyword = visit.step.instruction.keyword.as_str().to_uppercase();
        let message = format!("{keyword} starts a shell, which does not pass signals on");
        Found::at(facts.instruction_of(visit), visit.step.span(), message)
    });
    found.collect()
}

pub(super) fn maintainer_deprecated(facts: &Facts<'_>) -> Vec<Found> {
    let found = facts.ast.instructions.iter().filter_map(|instruction| match &instruction.kind {
        Kind::Maintainer(author) => {
            let message = "MAINTAINER is deprecated";
            let label = format!("LABEL org.opencontainers.image.authors={:?}", author.as_str());
            let found = Found::at(instruction.span.clone(), instruction.span.clone(), message);
            Some(found.with_help(format!("write `{label}`")))
        }
        _ => None,
    });
    found.collect()
}

pub(super) fn legacy_key_value_format(facts: &Facts<'_>) -> Vec<Found> {
    let found = facts.ast.instructions.iter().filter_map(|instruction| {
        let (Kind::Env(pairs) | Kind::Label(pairs)) = &instruction.kind else { return None };
        let [pair] = pairs.pairs.as_slice() else { return None };
        if pairs.form == PairForm::Assigned {
            return None;
        }
        let keyword = instruction.keyword.as_str().to_uppercase();
        let message = format!("{keyword} is written without `=`");
        let found = Found::at(instruction.span.clone(), instruction.span.clone(), message);
        let quote = if needs_quotes(pair.value.as_str()) { "\"" } else { "" };
        let better = format!("write `{keyword} {}={quote}{}{quote}`", pair.key, pair.value);
        Some(found.with_help(better))
    });
    found.collect()
}

fn needs_quotes(value: &str) -> bool {
    value.contains(char::is_whitespace) && !value.contains(['"', '\''])
}

/// The comment line right above has to begin with the name of what it describes.
pub(super) fn invalid_definition_description(facts: &Facts<'_>) -> Vec<Found> {
    facts.ast.instructions.iter().filter_map(misdescribed).collect()
}

fn misdescribed(instruction: &Instruction) -> Option<Found> {
    let names: Vec<&str> = match &instruction.kind {
        Kind::From(base) => base.name.iter().map(|name| name.as_str()).collect(),
        Kind::Arg(args) => args.iter().map(|arg| arg.name.as_str()).collect(),
        _ => return None,
    };
    let (comment, first) = (instruction.comments.last()?, names.first()?);
    let word = comment.as_str().split(' ').next().unwrap_or_default();
    if names.contains(&word) || options_of(comment).is_some() {
        return None;
    }
    let name = if names.len() == 1 { first } else { "NAME" };
    let keyword = instruction.keyword.as_str().to_uppercase();
    let message = format!("the comment above this {keyword} does not begin with a name it defines");
    let help = format!("write `# {name} ...`, or put an empty line below the comment");
    Some(Found::at(instruction.span.clone(), comment.span(), message).with_help(help))
}
