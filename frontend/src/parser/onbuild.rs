//! `ONBUILD INSTRUCTION`

use crate::ast::{Instruction, Kind, Onbuild, with_heredocs};
use crate::diagnostic::{Diagnostic, Severity};

use super::keyword::Keyword;
use super::statement::{Context, Statement};
use super::unknown;

/// What is wrong with `ENV` and `LABEL` where words are no pairs. Docker takes no file with that,
/// not even in a trigger.
const PAIRLESS: [&str; 2] = ["missing-equals", "missing-argument"];

/// Parses the trigger. One that could never run is kept as it is written, as Docker does; that is
/// a warning now, so that its author is the first who learns of it.
pub(super) fn parse(statement: Statement, context: &mut Context<'_>) -> Option<Kind> {
    if statement.args.is_empty() {
        context.missing(&statement, Keyword::Onbuild, "an instruction");
        return None;
    }
    let text = statement.args;
    let stored = with_heredocs(&format!("{text}{}", statement.blanks), &statement.heredocs);
    let mut inner = Statement::new(&text);
    let Some(keyword) = inner.keyword else {
        context.report(in_children(unknown::unknown(&inner.word)));
        return Some(Kind::Onbuild(Onbuild { trigger: None, stored }));
    };
    if let Keyword::Onbuild | Keyword::From | Keyword::Maintainer = keyword {
        context.report(forbidden(&inner, keyword));
        return None;
    }
    let takes_pairs = matches!(keyword, Keyword::Env | Keyword::Label) && !inner.args.is_empty();
    let word = inner.word.clone();
    inner.heredocs = statement.heredocs;
    let found = context.diagnostics.len();
    let kind = context.kind(inner, keyword);
    for diagnostic in context.diagnostics.split_off(found) {
        let is_here = takes_pairs && PAIRLESS.contains(&diagnostic.code);
        context.report(if is_here { diagnostic } else { in_children(diagnostic) });
    }
    let (comments, blank_lines) = (Vec::new(), Vec::new());
    let span = text.span();
    let trigger = kind.map(|kind| {
        Box::new(Instruction { span, keyword: word, text, comments, blank_lines, kind })
    });
    Some(Kind::Onbuild(Onbuild { trigger, stored }))
}

/// An error of a trigger harms nobody before there is a child build.
fn in_children(diagnostic: Diagnostic) -> Diagnostic {
    match diagnostic.severity {
        Severity::Error => Diagnostic { severity: Severity::Warning, ..diagnostic }
            .with_note("the trigger is kept as it is written; every build on this image will fail"),
        Severity::Warning => diagnostic,
    }
}

fn forbidden(inner: &Statement, keyword: Keyword) -> Diagnostic {
    let message = format!("`{}` cannot be a trigger", keyword.name());
    let error = Diagnostic::error("invalid-trigger", inner.word.span(), message);
    match keyword {
        Keyword::Onbuild if !inner.args.is_empty() => {
            error.with_help(format!("remove one `ONBUILD`: `ONBUILD {}`", inner.args))
        }
        Keyword::Onbuild => error.with_help("write one `ONBUILD` and an instruction behind it"),
        Keyword::Maintainer => {
            error.with_help("use a label: `ONBUILD LABEL org.opencontainers.image.authors=NAME`")
        }
        Keyword::From => error.with_note("a child build chooses its base itself"),
        _ => error,
    }
}
