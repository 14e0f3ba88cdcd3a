//! `FROM [--platform=PLATFORM] IMAGE [AS NAME]`

use crate::ast::{Base, Kind, Text};
use crate::diagnostic::Diagnostic;
use crate::lexer::word;

use super::keyword::Keyword;
use super::statement::{COMMENT_HELP, Context, Statement, whole};

/// Parses the base and the stage's name.
pub(super) fn parse(statement: Statement, context: &mut Context<'_>) -> Option<Kind> {
    let words = word::split(&statement.args);
    let (image, r#as, name) = match words.as_slice() {
        [] => {
            context.missing(&statement, Keyword::From, "an image");
            return None;
        }
        [image] => (image, None, None),
        [image, r#as, name] if r#as.as_str().eq_ignore_ascii_case("as") => {
            (image, Some(r#as), Some(name))
        }
        [image, rest @ ..] => {
            context.report(surplus(&statement, image, rest));
            return None;
        }
    };
    if let Some(name) = name.filter(|name| !is_stage_name(name.as_str())) {
        context.report(invalid_name(name));
        return None;
    }
    let platform = statement.flags.text("platform");
    let (image, r#as, name) = (image.clone(), r#as.cloned(), name.cloned());
    Some(Kind::From(Base { platform, image, r#as, name }))
}

/// A letter, then letters, digits, `-`, `_` and `.`.
fn is_stage_name(name: &str) -> bool {
    name.starts_with(|ch: char| ch.is_ascii_alphabetic())
        && name.chars().all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.'))
}

fn invalid_name(name: &Text) -> Diagnostic {
    let message = format!("`{name}` cannot be the name of a stage");
    Diagnostic::error("invalid-stage-name", name.span(), message)
        .with_help("begin with a letter, go on with letters, digits, `-`, `_` and `.`")
}

fn surplus(statement: &Statement, image: &Text, rest: &[Text]) -> Diagnostic {
    if let [r#as] = rest
        && r#as.as_str().eq_ignore_ascii_case("as")
    {
        let error = Diagnostic::error("missing-argument", r#as.span(), "`AS` needs a name");
        return error.with_help(format!("usage: {}", Keyword::From.usage()));
    }
    let span = rest.first().map_or_else(|| whole(statement), Text::span);
    let end = rest.last().map_or(span.end, |word| word.span().end);
    let message = format!("this does not belong behind `FROM {image}`");
    let error = Diagnostic::error("surplus-argument", span.start..end, message);
    let words: Vec<_> = rest.iter().map(Text::as_str).collect();
    match words.as_slice() {
        [first, ..] if first.starts_with("--") => {
            error.with_help(format!("flags go first: `FROM {first} {image}`"))
        }
        [first, ..] if first.starts_with('#') => error.with_help(COMMENT_HELP),
        [r#as, _, third, ..] if r#as.eq_ignore_ascii_case("as") && third.starts_with('#') => {
            error.with_help(COMMENT_HELP)
        }
        [name] if is_stage_name(name) => {
            error.with_help(format!("did you mean `FROM {image} AS {name}`?"))
        }
        _ => error.with_help(format!("usage: {}", Keyword::From.usage())),
    }
}
