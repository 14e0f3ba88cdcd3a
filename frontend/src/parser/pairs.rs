//! `ENV` and `LABEL`: `key=value ...`, or the old `key the rest of the line`.
//!
//! Which of the two it is depends on whether the first word has a `=`.

use crate::ast::{Pair, PairForm, Pairs, Text};
use crate::diagnostic::Diagnostic;
use crate::lexer::word;

use super::keyword::Keyword;
use super::statement::{COMMENT_HELP, Context, Statement};

/// Parses the pairs.
pub(super) fn parse(
    statement: &Statement,
    keyword: Keyword,
    context: &mut Context<'_>,
) -> Option<Pairs> {
    let words = word::split_quoted(&statement.args, context.escape);
    let Some(first) = words.first() else {
        context.missing(statement, keyword, "a name and a value");
        return None;
    };
    if !first.as_str().contains('=') {
        return legacy(statement, keyword, context);
    }
    let pairs: Vec<_> = words.iter().map(|word| assigned(word, first, context)).collect();
    let pairs = pairs.into_iter().collect::<Option<_>>()?;
    Some(Pairs { form: PairForm::Assigned, pairs })
}

fn assigned(word: &Text, first: &Text, context: &mut Context<'_>) -> Option<Pair> {
    match word.as_str().find('=') {
        None => context.report(without_equals(word, first)),
        Some(0) => {
            let error = Diagnostic::error("empty-name", word.span(), "there is no name before `=`");
            context.report(error.with_help("write `NAME=VALUE`, without blanks around `=`"));
        }
        Some(equals) => {
            let value = word.slice(equals + 1..word.as_str().len());
            return Some(Pair { key: word.slice(0..equals), value });
        }
    }
    None
}

fn without_equals(word: &Text, first: &Text) -> Diagnostic {
    let message = format!("`{word}` has no `=`");
    let error = Diagnostic::error("missing-equals", word.span(), message);
    if word.as_str().starts_with('#') {
        return error.with_help(COMMENT_HELP);
    }
    error
        .with_help("put a value with blanks in quotes: `NAME=\"some text\"`")
        .with_note(format!("`{first}` makes this the form in which every word is `NAME=VALUE`"))
}

fn legacy(statement: &Statement, keyword: Keyword, context: &mut Context<'_>) -> Option<Pairs> {
    let (key, value) = word::split_first(&statement.args);
    if value.is_empty() {
        let message = format!("`{}` needs a value for `{key}`", keyword.name());
        let error = Diagnostic::error("missing-argument", key.span(), message);
        let empty = format!("write `{} {key}=VALUE`, or `{key}=` for an empty one", keyword.name());
        context.report(error.with_help(empty));
        return None;
    }
    if value.as_str().starts_with('=') {
        let message = format!("the value of `{key}` begins with `=`");
        let warning = Diagnostic::warning("blank-before-equals", value.span_of(0..1), message);
        context.report(warning.with_help("remove the blanks around `=`"));
    }
    Some(Pairs { form: PairForm::Legacy, pairs: vec![Pair { key, value }] })
}
