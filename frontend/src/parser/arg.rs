//! `ARG NAME[=DEFAULT]...`

use crate::ast::{Arg, Kind, Text};
use crate::diagnostic::Diagnostic;
use crate::lexer::word;

use super::keyword::Keyword;
use super::statement::{Context, Statement};

/// Parses the names and defaults.
pub(super) fn parse(statement: &Statement, context: &mut Context<'_>) -> Option<Kind> {
    let words = word::split_quoted(&statement.args, context.escape);
    if words.is_empty() {
        context.missing(statement, Keyword::Arg, "a name");
        return None;
    }
    words.iter().map(|word| one(word, context)).collect::<Option<_>>().map(Kind::Arg)
}

fn one(word: &Text, context: &mut Context<'_>) -> Option<Arg> {
    let Some(equals) = word.as_str().find('=') else {
        return Some(Arg { name: word.clone(), value: None });
    };
    if equals == 0 {
        let error = Diagnostic::error("empty-name", word.span(), "there is no name before `=`");
        context.report(error.with_help("write `NAME=VALUE`, without blanks around `=`"));
        return None;
    }
    let value = word.slice(equals + 1..word.as_str().len());
    Some(Arg { name: word.slice(0..equals), value: Some(value) })
}
