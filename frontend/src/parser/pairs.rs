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
    match words.iter().map(assigned).collect::<Option<_>>() {
        Some(pairs) => Some(Pairs { form: PairForm::Assigned, pairs }),
        None => {
            context.diagnostics.extend(first_wrong(&words));
            None
        }
    }
}

/// Splits `NAME=VALUE`.
fn assigned(word: &Text) -> Option<Pair> {
    let equals = word.as_str().find('=').filter(|equals| *equals > 0)?;
    let value = word.slice(equals + 1..word.as_str().len());
    Some(Pair { key: word.slice(0..equals), value })
}

/// One finding for an instruction: what follows a word that went wrong is wrong for the same
/// reason.
fn first_wrong(words: &[Text]) -> Option<Diagnostic> {
    let wrong = words.iter().position(|word| assigned(word).is_none())?;
    let word = &words[wrong];
    if word.as_str().starts_with('=') {
        let error = Diagnostic::error("empty-name", word.span(), "there is no name before `=`");
        return Some(error.with_help(NO_BLANKS));
    }
    let message = format!("`{word}` has no `=`");
    let error = Diagnostic::error("missing-equals", word.span(), message);
    let before = wrong.checked_sub(1).map(|before| words[before].as_str());
    let after = words.get(wrong + 1).map(Text::as_str);
    let typographic = |word: &&Text| word.as_str().contains(['“', '”', '„', '‘', '’']);
    Some(if word.as_str().starts_with('#') {
        error.with_help(COMMENT_HELP)
    } else if words.iter().any(|word| typographic(&word)) {
        error.with_help("only `\"` and `'` are quotes here, not `“` and `”`")
    } else if before.is_some_and(|word| word.ends_with('='))
        || after.is_some_and(|word| word.starts_with('='))
    {
        error.with_help(NO_BLANKS)
    } else {
        error
            .with_help("put a value with blanks in quotes: `NAME=\"some text\"`")
            .with_note(format!("every word must be `NAME=VALUE`, because `{}` is", words[0]))
    })
}

const NO_BLANKS: &str = "write `NAME=VALUE`, without blanks around `=`";

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
