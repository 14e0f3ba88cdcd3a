//! `ONBUILD INSTRUCTION`

use crate::ast::{Instruction, Kind, Onbuild, with_heredocs};
use crate::diagnostic::Diagnostic;

use super::keyword::Keyword;
use super::statement::{Context, Statement};
use super::unknown;

/// Parses the trigger. One that could never run is an error now, not only in a child build.
pub(super) fn parse(statement: Statement, context: &mut Context<'_>) -> Option<Kind> {
    if statement.args.is_empty() {
        context.missing(&statement, Keyword::Onbuild, "an instruction");
        return None;
    }
    let text = statement.args;
    let stored = with_heredocs(text.as_str(), &statement.heredocs);
    let mut inner = Statement::new(&text);
    let Some(keyword) = inner.keyword else {
        context.report(unknown::unknown(&inner.word));
        return None;
    };
    if let Keyword::Onbuild | Keyword::From | Keyword::Maintainer = keyword {
        context.report(forbidden(&inner, keyword));
        return None;
    }
    let word = inner.word.clone();
    inner.heredocs = statement.heredocs;
    let kind = context.kind(inner, keyword)?;
    let trigger = Instruction {
        span: text.span(),
        keyword: word,
        text,
        comments: Vec::new(),
        blank_lines: Vec::new(),
        kind,
    };
    Some(Kind::Onbuild(Onbuild { trigger: Box::new(trigger), stored }))
}

fn forbidden(inner: &Statement, keyword: Keyword) -> Diagnostic {
    let message = format!("`{}` cannot be a trigger", keyword.name());
    let error = Diagnostic::error("invalid-trigger", inner.word.span(), message);
    match keyword {
        Keyword::Onbuild if !inner.args.is_empty() => {
            error.with_help(format!("remove one `ONBUILD`: `ONBUILD {}`", inner.args))
        }
        Keyword::From => error.with_note("a child build chooses its base itself"),
        _ => error,
    }
}
