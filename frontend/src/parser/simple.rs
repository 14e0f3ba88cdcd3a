//! Instructions that are one value or a list of words.

use crate::ast::{Kind, Text};
use crate::diagnostic::Diagnostic;
use crate::lexer::word;

use super::json::{self, Json};
use super::keyword::Keyword;
use super::statement::{Context, Statement};

/// The one value of `WORKDIR`, `USER`, `STOPSIGNAL` and `MAINTAINER`: all of the line, blanks
/// included.
pub(super) fn one(
    statement: &Statement,
    keyword: Keyword,
    context: &mut Context<'_>,
) -> Option<Text> {
    if statement.args.is_empty() {
        let what = match keyword {
            Keyword::Workdir => "a path",
            Keyword::User => "a user",
            Keyword::Stopsignal => "a signal",
            _ => "a name",
        };
        context.missing(statement, keyword, what);
        return None;
    }
    Some(statement.args.clone())
}

/// Parses an `EXPOSE`.
pub(super) fn expose(statement: &Statement, context: &mut Context<'_>) -> Option<Kind> {
    let words = word::split(&statement.args);
    if words.is_empty() {
        context.missing(statement, Keyword::Expose, "a port");
        return None;
    }
    Some(Kind::Expose(words))
}

/// Parses a `VOLUME`.
pub(super) fn volume(statement: &Statement, context: &mut Context<'_>) -> Option<Kind> {
    let words = match json::parse(&statement.args) {
        Json::Array(words) => words,
        Json::NotStrings => {
            context.report(json::not_strings(&statement.args));
            return None;
        }
        Json::Other => {
            let almost = json::almost(&statement.args, "its parts are taken for paths");
            context.diagnostics.extend(almost);
            word::split(&statement.args)
        }
    };
    if words.is_empty() {
        context.missing(statement, Keyword::Volume, "a path");
        return None;
    }
    for word in words.iter().filter(|word| word.as_str().trim().is_empty()) {
        let error = Diagnostic::error("empty-path", word.span(), "`VOLUME` needs a path");
        context.report(error.with_help("write the path of a folder, such as `/data`"));
    }
    Some(Kind::Volume(words))
}

/// Parses a `SHELL`, which has the JSON form only.
pub(super) fn shell(statement: &Statement, context: &mut Context<'_>) -> Option<Kind> {
    match json::parse(&statement.args) {
        Json::Array(words) if !words.is_empty() => return Some(Kind::Shell(words)),
        Json::NotStrings => context.report(json::not_strings(&statement.args)),
        Json::Other if !statement.args.is_empty() => {
            let message = "`SHELL` needs a JSON array";
            let span = statement.args.span();
            let error = Diagnostic::error("json-required", span, message);
            context.report(error.with_help(shell_help(&statement.args)));
        }
        _ => context.missing(statement, Keyword::Shell, "a program"),
    }
    None
}

fn shell_help(args: &Text) -> String {
    json::array(args).map_or_else(
        || format!("usage: {}", Keyword::Shell.usage()),
        |array| format!("did you mean `SHELL {array}`?"),
    )
}
