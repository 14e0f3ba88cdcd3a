//! `RUN [FLAGS] COMMAND`

use crate::ast::{Command, Kind, Run, RunNetwork, RunSecurity, Text};
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;

use super::command;
use super::keyword::Keyword;
use super::mount;
use super::statement::{Context, Statement, whole};
use super::suggest;

const NETWORKS: [(&str, RunNetwork); 3] =
    [("default", RunNetwork::Default), ("none", RunNetwork::None), ("host", RunNetwork::Host)];
const SECURITIES: [(&str, RunSecurity); 2] =
    [("sandbox", RunSecurity::Sandbox), ("insecure", RunSecurity::Insecure)];

/// Parses the flags and the command.
pub(super) fn parse(statement: Statement, context: &mut Context<'_>) -> Option<Kind> {
    let command = command::parse(&statement.args, Keyword::Run, context)?;
    match &command {
        Command::Exec(words) if words.is_empty() => {
            context.missing(&statement, Keyword::Run, "a program to run");
            return None;
        }
        Command::Shell(text) if text.is_empty() => {
            let message = "`RUN` without a command runs an empty shell";
            let warning = Diagnostic::warning("empty-command", whole(&statement), message);
            context.report(warning.with_help("remove the line, or add a command"));
        }
        _ => {}
    }
    let Statement { flags, heredocs, .. } = statement;
    let mounts = flags.list("mount").into_iter();
    Some(Kind::Run(Run {
        mounts: mounts.filter_map(|text| mount::parse(text, context)).collect(),
        network: choice(flags.text("network"), "network", &NETWORKS, context),
        security: choice(flags.text("security"), "security", &SECURITIES, context),
        devices: flags.list("device"),
        command,
        heredocs,
    }))
}

fn choice<T: Copy>(
    given: Option<Text>,
    flag: &str,
    choices: &[(&str, T)],
    context: &mut Context<'_>,
) -> Option<Spanned<T>> {
    let given = given?;
    let found = choices.iter().find(|(name, _)| given == *name);
    if found.is_none() {
        context.report(not_a_choice(&given, flag, choices.iter().map(|(name, _)| *name).collect()));
    }
    found.map(|(_, value)| Spanned { value: *value, span: given.span() })
}

fn not_a_choice(given: &Text, flag: &str, names: Vec<&str>) -> Diagnostic {
    let message = format!("`--{flag}` cannot be `{given}`");
    let error = Diagnostic::error("invalid-flag-value", given.span(), message);
    match suggest::nearest(given.as_str(), names.iter().copied()) {
        Some(near) => error.with_help(format!("did you mean `{near}`?")),
        None => error.with_help(format!("choose one of `{}`", names.join("`, `"))),
    }
}
