//! What must be true of the file as a whole: there are instructions, and `FROM` comes before them.

use crate::diagnostic::Diagnostic;
use crate::source::Span;

use super::keyword::Keyword;
use super::{Parser, Stages};

/// An instruction of the file, understood or not.
#[derive(Debug)]
pub(super) struct Seen {
    keyword: Keyword,
    span: Span,
}

impl Seen {
    /// An instruction whose keyword stands at `span`.
    pub fn new(keyword: Keyword, span: Span) -> Self {
        Self { keyword, span }
    }
}

impl Parser<'_> {
    /// Reports what is wrong with the file as a whole.
    pub fn check_order(&mut self) {
        let first_from = self.seen.iter().position(|seen| seen.keyword == Keyword::From);
        let before = &self.seen[..first_from.unwrap_or(self.seen.len())];
        if first_from.is_none() {
            self.parsed.stages = Stages::Unknown;
        }
        if let Some(early) = before.iter().find(|seen| seen.keyword != Keyword::Arg) {
            self.parsed.diagnostics.push(too_early(early, first_from.is_some()));
        } else if first_from.is_none() && !self.parsed.has_errors() {
            self.parsed.diagnostics.push(self.nothing_to_build());
        }
    }

    fn nothing_to_build(&self) -> Diagnostic {
        if let Some(last) = self.seen.last() {
            let message = "there is no `FROM`, so there is nothing to build";
            return Diagnostic::error("missing-from", last.span.clone(), message)
                .with_help("go on with a base, such as `FROM scratch`");
        }
        let blank = self.source.text().trim().is_empty();
        let message = match blank {
            true => "the file is empty",
            false => "the file has comments, but no instructions",
        };
        Diagnostic::error("no-instructions", 0..0, message)
            .with_help("begin with a base, such as `FROM scratch`")
    }
}

fn too_early(seen: &Seen, has_from: bool) -> Diagnostic {
    let message = format!("`{}` needs a `FROM` before it", seen.keyword.name());
    let error = Diagnostic::error("instruction-before-from", seen.span.clone(), message);
    match has_from {
        true => error.with_help("move it below `FROM`; only `ARG` can stand above"),
        false => error.with_help("begin with a base, such as `FROM scratch`"),
    }
}
