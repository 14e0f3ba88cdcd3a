//! Dockerfile text to [`Ast`] and diagnostics. Never fails, never stops at the first error.
//!
//! The whole language is understood here, whatever of it the builder can do. Questions which need
//! variables, stages or images are left to lowering. One file below per kind of instruction.

mod arg;
mod command;
mod duration;
mod flags;
mod from;
mod healthcheck;
mod json;
mod keyword;
pub(crate) mod mount;
mod onbuild;
mod order;
mod pairs;
mod run;
mod simple;
mod statement;
pub mod suggest;
mod transfer;
mod unknown;

use crate::ast::{Ast, Heredoc, Instruction, Kind, Onbuild, Text};
use crate::diagnostic::{Diagnostic, Severity};
use crate::lexer::heredoc::{self, Certainty};
use crate::lexer::{Lexer, Line, Unterminated};
use crate::source::{Source, Span};

use keyword::Keyword;
use statement::{Context, Statement};

/// What a text says and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// Everything that could be understood.
    pub ast: Ast,
    /// The findings in the order of the file. After an [`Severity::Error`] the tree is not
    /// complete.
    pub diagnostics: Vec<Diagnostic>,
    /// How far the stages can be told from the tree.
    pub stages: Stages,
}

/// Whether what is wrong with a file leaves its stages as they were meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stages {
    /// Every `FROM` and `ARG` is in the tree.
    #[default]
    Known,
    /// One may be missing: what the tree says of stages may be wrong.
    Unknown,
}

impl Parsed {
    /// Whether the tree is not to be trusted.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Parses a Dockerfile.
pub fn parse(source: &Source) -> Parsed {
    let mut parser = Parser::new(source);
    parser.parsed.ast.directives = parser.lexer.directives(&mut parser.parsed.diagnostics);
    parser.instructions();
    parser.check_order();
    parser.finish()
}

/// Parses the text of an `ONBUILD` trigger as an image config holds it: one instruction, no `FROM`
/// needed.
pub fn parse_trigger(source: &Source) -> Parsed {
    let mut parser = Parser::new(source);
    parser.instructions();
    parser.finish()
}

struct Parser<'a> {
    source: &'a Source,
    lexer: Lexer<'a>,
    parsed: Parsed,
    seen: Vec<order::Seen>,
    unknown: unknown::UnknownLines,
}

impl<'a> Parser<'a> {
    fn new(source: &'a Source) -> Self {
        let lexer = Lexer::new(source);
        let (parsed, seen) = (Parsed::default(), Vec::new());
        Self { source, lexer, parsed, seen, unknown: unknown::UnknownLines::default() }
    }

    fn instructions(&mut self) {
        while let Some(line) = self.lexer.next_line() {
            let statement = Statement::new(&line.text);
            match statement.keyword {
                Some(keyword) => self.known(line, statement, keyword),
                None => {
                    self.parsed.stages = Stages::Unknown;
                    self.unknown_instruction(&statement);
                }
            }
        }
        self.end_of_unknown();
    }

    fn known(&mut self, line: Line, mut statement: Statement, keyword: Keyword) {
        self.end_of_unknown();
        self.seen.push(order::Seen::new(keyword, statement.word.span()));
        statement.heredocs = self.heredocs(&line, &statement);
        statement.blanks.clone_from(&line.blanks);
        let end = match statement.heredocs.is_empty() {
            true => line.text.span().end,
            false => self.lexer.consumed_to(),
        };
        let span = line.text.span().start..end;
        self.check_encoding(&span, keyword);
        let diagnostics = &mut self.parsed.diagnostics;
        let mut context = Context { escape: self.lexer.escape(), diagnostics };
        let word = statement.word.clone();
        let Some(mut kind) = context.kind(statement, keyword) else {
            if matches!(keyword, Keyword::From | Keyword::Arg) {
                self.parsed.stages = Stages::Unknown;
            }
            return;
        };
        if let Kind::Onbuild(Onbuild { trigger: Some(trigger), .. }) = &mut kind {
            trigger.span.end = span.end;
        }
        let Line { text, comments, blank_lines, .. } = line;
        let instruction = Instruction { span, keyword: word, text, comments, blank_lines, kind };
        self.parsed.ast.instructions.push(instruction);
    }

    /// Reads the bodies of the heredocs that the line announces.
    fn heredocs(&mut self, line: &Line, statement: &Statement) -> Vec<Heredoc> {
        if !statement.can_hold_heredocs() {
            return Vec::new();
        }
        self.announced(&line.text)
    }

    fn announced(&mut self, line: &Text) -> Vec<Heredoc> {
        heredoc::announced(line).into_iter().filter_map(|word| self.heredoc(word)).collect()
    }

    fn heredoc(&mut self, word: heredoc::Word) -> Option<Heredoc> {
        if word.certainty == Certainty::IfTerminated && !self.lexer.has_end(&word) {
            return None;
        }
        let body = self.lexer.heredoc_body(&word).unwrap_or_else(|unterminated| {
            self.parsed.diagnostics.push(self.unterminated(&word, &unterminated));
            self.parsed.stages = Stages::Unknown;
            Text::default()
        });
        let heredoc::Word { text, name, expansion, tabs, fd, .. } = word;
        Some(Heredoc { word: text, name, expansion, tabs, fd, body })
    }

    fn unterminated(&self, word: &heredoc::Word, found: &Unterminated) -> Diagnostic {
        let message = format!("the heredoc `{}` has no end", word.text);
        let error = Diagnostic::error("unterminated-heredoc", word.text.span(), message)
            .with_label(format!("no line after this one consists of `{}` alone", word.name));
        match &found.almost {
            None => error.with_help(format!("end the text with a line `{}`", word.name)),
            Some(almost) => {
                let (line, _) = self.source.position(almost.start);
                error
                    .with_help(format!("remove the blanks around `{}` in line {line}", word.name))
                    .with_note("with `<<-` the lines may begin with tabs, but not with spaces")
            }
        }
    }

    /// Bytes that are not UTF-8 are lost in a config, which deserves a warning, and would change
    /// what a step does.
    fn check_encoding(&mut self, span: &Span, keyword: Keyword) {
        let Some(at) = self.source.undecodable_in(span) else { return };
        let place = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        let message = "this is not UTF-8 text";
        let found = match keyword {
            Keyword::Run | Keyword::Copy | Keyword::Add | Keyword::Onbuild => {
                Diagnostic::error("invalid-utf8", place, message)
            }
            _ => Diagnostic::warning("invalid-utf8", place, message)
                .with_label("becomes U+FFFD in the image"),
        };
        self.parsed.diagnostics.push(found.with_help("save the file as UTF-8"));
    }

    fn finish(mut self) -> Parsed {
        self.parsed.diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        self.parsed
    }
}

#[cfg(test)]
mod tests;
