//! Commands in shell or exec form, as in `RUN`, `CMD`, `ENTRYPOINT` and `HEALTHCHECK CMD`.

use crate::ast::{Command, Text};

use super::json::{self, Json};
use super::keyword::Keyword;
use super::statement::Context;

/// Parses a command. A text that is nearly a JSON array is shell form, as everywhere, but worth a
/// warning.
pub(super) fn parse(args: &Text, keyword: Keyword, context: &mut Context<'_>) -> Option<Command> {
    match json::parse(args) {
        Json::Array(words) => Some(Command::Exec(words)),
        Json::NotStrings => {
            context.report(json::not_strings(args));
            None
        }
        Json::Other => {
            let fallback = match keyword {
                Keyword::Run => "a shell gets the text as it is",
                _ => "a shell will get the text as it is",
            };
            context.diagnostics.extend(json::almost(args, fallback));
            Some(Command::Shell(args.clone()))
        }
    }
}
