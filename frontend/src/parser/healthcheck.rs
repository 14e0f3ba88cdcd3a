//! `HEALTHCHECK [FLAGS] CMD COMMAND` and `HEALTHCHECK NONE`

use std::time::Duration;

use crate::ast::{Command, Healthcheck, Kind, Probe, Text};
use crate::diagnostic::Diagnostic;
use crate::lexer::word;

use super::command;
use super::duration;
use super::flags::Flags;
use super::keyword::Keyword;
use super::statement::{Context, Statement};

/// The shortest duration a container engine takes, in nanoseconds; zero means the default.
const SHORTEST: i64 = 1_000_000;

/// Parses the flags and the command.
pub(super) fn parse(statement: Statement, context: &mut Context<'_>) -> Option<Kind> {
    let (form, rest) = word::split_first(&statement.args);
    match form.as_str().to_ascii_uppercase().as_str() {
        "" => {
            context.missing(&statement, Keyword::Healthcheck, "`CMD` and a command, or `NONE`");
            None
        }
        "NONE" => none(&statement.flags, &rest, context),
        "CMD" => probe(&statement, &rest, context),
        _ => {
            context.report(unknown_form(&statement.args, &form));
            None
        }
    }
}

fn none(flags: &Flags, rest: &Text, context: &mut Context<'_>) -> Option<Kind> {
    if !rest.is_empty() {
        let message = "nothing may follow `HEALTHCHECK NONE`";
        let error = Diagnostic::error("surplus-argument", rest.span(), message);
        context.report(error.with_help("remove `NONE` for a check, or what follows it for none"));
        return None;
    }
    if let Some(span) = flags.first_span() {
        let message = "`HEALTHCHECK NONE` makes no use of flags";
        let warning = Diagnostic::warning("unused-flag", span, message);
        context.report(warning.with_help("remove the flags"));
    }
    Some(Kind::Healthcheck(Healthcheck::None))
}

fn probe(statement: &Statement, rest: &Text, context: &mut Context<'_>) -> Option<Kind> {
    let command = command::parse(rest, Keyword::Healthcheck, context)?;
    let empty = match &command {
        Command::Shell(text) => text.is_empty(),
        Command::Exec(words) => words.is_empty(),
    };
    if empty {
        context.missing(statement, Keyword::Healthcheck, "a command behind `CMD`");
        return None;
    }
    let mut duration = |name| duration(statement.flags.text(name)?, context);
    let (interval, timeout) = (duration("interval"), duration("timeout"));
    let (start_period, start_interval) = (duration("start-period"), duration("start-interval"));
    let retries = statement.flags.text("retries").and_then(|text| retries(&text, context));
    let probe = Probe { interval, timeout, start_period, start_interval, retries, command };
    Some(Kind::Healthcheck(Healthcheck::Probe(probe)))
}

fn unknown_form(args: &Text, form: &Text) -> Diagnostic {
    let message = format!("`HEALTHCHECK` is followed by `CMD` or `NONE`, not by `{form}`");
    Diagnostic::error("unknown-healthcheck", form.span(), message)
        .with_help(format!("did you mean `HEALTHCHECK CMD {args}`?"))
}

fn retries(text: &Text, context: &mut Context<'_>) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let number = text.as_str().parse::<i32>().ok().and_then(|number| u32::try_from(number).ok());
    if number.is_none() {
        let message = format!("`{text}` is not a number of retries");
        let error = Diagnostic::error("invalid-flag-value", text.span(), message);
        context.report(error.with_help("write a whole number; 0 means the default"));
    }
    number
}

fn duration(text: Text, context: &mut Context<'_>) -> Option<Duration> {
    let wrong = match duration::nanoseconds(text.as_str()) {
        _ if text.is_empty() => return None,
        None => not_a_duration(&text),
        Some(time) if time == 0 || time >= SHORTEST => {
            return time.try_into().ok().map(Duration::from_nanos);
        }
        Some(_) => {
            let message = format!("`{text}` is shorter than a millisecond");
            Diagnostic::error("invalid-flag-value", text.span(), message)
                .with_help("write at least `1ms`; `0s` means the default")
        }
    };
    context.report(wrong);
    None
}

fn not_a_duration(text: &Text) -> Diagnostic {
    let message = format!("`{text}` is not a duration");
    let error = Diagnostic::error("invalid-flag-value", text.span(), message);
    match text.as_str().parse::<u64>() {
        Ok(number) => error.with_help(format!("add a unit: `{number}s` for seconds")),
        Err(_) => error.with_help("write numbers with units, such as `30s` or `1m30s`"),
    }
}
