//! Lines that begin with no known instruction.
//!
//! Several such lines in a row have one cause, usually a forgotten continuation, and get one
//! message.

use crate::ast::Text;
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};

use super::Parser;
use super::keyword::Keyword;
use super::statement::Statement;
use super::suggest;

/// Unknown lines in a row.
#[derive(Debug, Default)]
pub(super) struct Run {
    first: Option<Diagnostic>,
    last: Span,
}

impl Parser<'_> {
    /// Takes note of an unknown line.
    pub fn unknown_instruction(&mut self, statement: &Statement) {
        let word = &statement.word;
        let near = suggestion(word.as_str());
        if near.is_none() && self.unknown.first.is_some() {
            self.unknown.last = word.span();
            return;
        }
        self.end_of_unknown();
        if near == Some(Keyword::From) {
            self.seen.push(super::order::Seen::new(Keyword::From, word.span()));
        }
        let mut error = unknown(word);
        if near.is_none() {
            error.help = error.help.or_else(|| self.forgotten(word));
        }
        self.unknown = Run { first: Some(error), last: word.span() };
    }

    /// Reports the unknown lines, if there are any.
    pub fn end_of_unknown(&mut self) {
        let Run { first, last } = std::mem::take(&mut self.unknown);
        let Some(error) = first else { return };
        self.parsed.diagnostics.push(with_range(error, last, self.source));
    }

    /// What may be missing in the line above.
    fn forgotten(&self, word: &Text) -> Option<String> {
        let above = self.parsed.ast.instructions.last()?;
        let (line, _) = self.source.position(above.span.end);
        let (here, _) = self.source.position(word.span().start);
        let escape = self.lexer.escape().char();
        let text = above.text.as_str();
        if let Some(almost) = almost_heredoc(text) {
            return Some(format!(
                "`{almost}` in line {line} starts no heredoc: write `<<NAME` as a word of its own"
            ));
        }
        if text.ends_with(escape) {
            return Some(format!(
                "line {line} ends with two `{escape}`: that is no continuation, use one"
            ));
        }
        (line + 1 == here)
            .then(|| format!("if this continues line {line}, end that line with `{escape}`"))
    }
}

/// The finding for a word that is no instruction.
pub(super) fn unknown(word: &Text) -> Diagnostic {
    let message = format!("unknown instruction `{}`", shortened(word.as_str()));
    let error = Diagnostic::error("unknown-instruction", word.span(), message);
    if let Some(odd) = word.as_str().chars().find(|ch| ch.is_whitespace()) {
        let help = format!("replace the character {odd:?} by an ordinary blank");
        return error.with_help(help.replace('\'', "`"));
    }
    match suggestion(word.as_str()) {
        Some(keyword) => error.with_help(format!("did you mean `{}`?", keyword.name())),
        None => error,
    }
}

fn suggestion(word: &str) -> Option<Keyword> {
    let names = Keyword::ALL.iter().map(|keyword| keyword.name());
    suggest::nearest(word, names).and_then(Keyword::new)
}

/// A `<<` that is not a heredoc because of blanks or other text next to it.
fn almost_heredoc(text: &str) -> Option<&str> {
    let at = text.find("<<")?;
    let start = text[..at].rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
    let rest = &text[at + 2..];
    let behind = rest.trim_start_matches([' ', '\t', '-']);
    behind
        .starts_with(|ch: char| ch.is_alphanumeric() || matches!(ch, '_' | '\'' | '"'))
        .then_some(())?;
    let end = text.len() - behind.len() + behind.find(char::is_whitespace).unwrap_or(behind.len());
    Some(&text[start..end])
}

fn shortened(word: &str) -> String {
    match word.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &word[..at]),
        None => word.to_owned(),
    }
}

fn with_range(error: Diagnostic, last: Span, source: &Source) -> Diagnostic {
    let (from, _) = source.position(error.span.start);
    let (to, _) = source.position(last.start);
    if to <= from {
        return error;
    }
    error.with_note(format!("nor do the lines up to {to} begin with an instruction"))
}
