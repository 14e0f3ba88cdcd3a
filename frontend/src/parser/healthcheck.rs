//! `HEALTHCHECK [FLAGS] CMD COMMAND` and `HEALTHCHECK NONE`

use std::time::Duration;

use crate::ast::{Command, Healthcheck, Kind, Probe, Text};
use crate::diagnostic::Diagnostic;
use crate::lexer::word;

use super::command;
use super::flags::Flags;
use super::keyword::Keyword;
use super::statement::{Context, Statement};

/// The shortest duration a container engine takes; zero means the default.
const SHORTEST: Duration = Duration::from_millis(1);

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
        context.report(Diagnostic::error("surplus-argument", rest.span(), message));
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
    let wrong = match parse_duration(text.as_str()) {
        _ if text.is_empty() => return None,
        Ok(Signed::Positive(duration)) if duration.is_zero() || duration >= SHORTEST => {
            return Some(duration);
        }
        Ok(Signed::Negative(duration)) if duration.is_zero() => return Some(duration),
        Ok(_) => Diagnostic::error(
            "invalid-flag-value",
            text.span(),
            format!("`{text}` is shorter than a millisecond"),
        )
        .with_help("write at least `1ms`; `0s` means the default"),
        Err(NotADuration) => not_a_duration(&text),
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

enum Signed {
    Positive(Duration),
    Negative(Duration),
}

struct NotADuration;

/// Reads a duration as Go writes it: an optional sign, then numbers with units, or just `0`.
fn parse_duration(text: &str) -> Result<Signed, NotADuration> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let duration = match unsigned {
        "0" => Duration::ZERO,
        _ => parse_unsigned(unsigned)?,
    };
    match text.starts_with('-') {
        true => Ok(Signed::Negative(duration)),
        false => Ok(Signed::Positive(duration)),
    }
}

fn parse_unsigned(text: &str) -> Result<Duration, NotADuration> {
    let mut total = 0_u128;
    let mut rest = text;
    while !rest.is_empty() || total == 0 {
        let number_end =
            rest.find(|ch: char| !ch.is_ascii_digit() && ch != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|ch: char| ch.is_ascii_digit() || ch == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total = total.checked_add(nanoseconds(number, unit)?).ok_or(NotADuration)?;
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    let nanoseconds = u64::try_from(total).map_err(|_| NotADuration)?;
    i64::try_from(nanoseconds).map(|_| Duration::from_nanos(nanoseconds)).map_err(|_| NotADuration)
}

fn nanoseconds(number: &str, unit: &str) -> Result<u128, NotADuration> {
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(NotADuration),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return Err(NotADuration);
    }
    let digits = |digits: &str| match digits {
        "" => Ok(0),
        digits => digits.parse::<u64>().map(u128::from).map_err(|_| NotADuration),
    };
    // Beyond 18 digits a fraction is below a nanosecond of the largest unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| NotADuration)?);
    Ok(digits(whole)? * unit + digits(fraction)? * unit / scale)
}

#[cfg(test)]
mod tests;
