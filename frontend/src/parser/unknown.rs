//! Lines that begin with no known instruction.
//!
//! Several such lines in a row have one cause, usually a forgotten continuation, and get one
//! message.

use crate::ast::{Kind, Text};
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};

use super::Parser;
use super::keyword::Keyword;
use super::statement::Statement;
use super::suggest;

/// Unknown lines in a row.
#[derive(Debug, Default)]
pub(super) struct UnknownLines {
    first: Option<Diagnostic>,
    cause: Cause,
    last: Span,
}

/// Why a line begins with no instruction.
#[derive(Debug, Default, PartialEq, Eq)]
enum Cause {
    /// An instruction is misspelt.
    Typing,
    /// The line was probably meant to belong to an instruction above.
    #[default]
    Continuation,
}

impl Parser<'_> {
    /// Takes note of an unknown line.
    pub fn unknown_instruction(&mut self, statement: &Statement) {
        let word = &statement.word;
        let near = suggestion(word.as_str());
        let follows = self.unknown.first.is_some() && self.unknown.cause == Cause::Continuation;
        if near.is_none() && follows {
            self.unknown.last = word.span();
            return;
        }
        self.end_of_unknown();
        if near == Some(Keyword::From) {
            self.seen.push(super::order::Seen::new(Keyword::From, word.span()));
        }
        if let Some(Keyword::Run | Keyword::Copy | Keyword::Add) = near {
            self.announced(&statement.args);
        }
        let mut error = unknown(word);
        if near.is_none() {
            let help = error.help.or_else(|| foreign(word).map(str::to_owned));
            error.help = help.or_else(|| self.forgotten(word)).or_else(|| program(word));
        }
        let cause = if near.is_some() { Cause::Typing } else { Cause::Continuation };
        self.unknown = UnknownLines { first: Some(error), cause, last: word.span() };
    }

    /// Reports the unknown lines, if there are any.
    pub fn end_of_unknown(&mut self) {
        let UnknownLines { first, last, .. } = std::mem::take(&mut self.unknown);
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
        if text.contains("<<") {
            let almost = almost_heredoc(text)?;
            if !matches!(above.kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_)) {
                return Some("only `RUN`, `COPY` and `ADD` take heredocs".to_owned());
            }
            let advice = match almost.contains("<<- ") {
                true => "remove the blank behind `<<-`",
                false => "put a blank before `<<`",
            };
            Some(format!("`{almost}` in line {line} is no heredoc: {advice}"))
        } else if text.ends_with(escape) {
            Some(format!("line {line} ends with two `{escape}`: for a continuation write one"))
        } else if line + 1 == here && can_continue(&above.kind) {
            Some(format!("if this continues line {line}, end that line with `{escape}`"))
        } else {
            None
        }
    }
}

fn can_continue(kind: &Kind) -> bool {
    !matches!(kind, Kind::From(_) | Kind::Workdir(_) | Kind::User(_) | Kind::Stopsignal(_))
}

/// Advice for a line that is of no Dockerfile at all.
fn foreign(word: &Text) -> Option<&'static str> {
    match word.as_str() {
        fence if fence.starts_with("```") => Some("remove this line: it is Markdown's"),
        "<<<<<<<" | "=======" | ">>>>>>>" | "|||||||" => {
            Some("a merge left this mark: choose one of the two versions")
        }
        "cd" => Some("for what follows, write `WORKDIR`; for one step, `RUN cd ... && ...`"),
        "export" => Some("for what follows, write `ENV NAME=VALUE`"),
        "version:" | "services:" => {
            Some("this looks like a Compose file: name the Dockerfile with `-f PATH`")
        }
        _ => None,
    }
}

/// Advice for a line that looks like a shell's.
fn program(word: &Text) -> Option<String> {
    let program = word.as_str();
    let plain = |ch: char| ch.is_ascii_lowercase() || ch.is_ascii_digit() || "-_./".contains(ch);
    let short = program.len() <= 40 && program.chars().all(plain);
    short.then(|| format!("to run a program in the image, write `RUN {program} ...`"))
}

/// The finding for a word that is no instruction.
pub(super) fn unknown(word: &Text) -> Diagnostic {
    let message = format!("unknown instruction `{}`", shortened(word.as_str()));
    let error = Diagnostic::error("unknown-instruction", word.span(), message);
    if let Some(odd) = word.as_str().chars().find(|ch| ch.is_whitespace()) {
        let help = match odd {
            '\u{a0}' => "write an ordinary blank in place of the no-break space".to_owned(),
            odd => format!("write an ordinary blank in place of U+{:04X}", u32::from(odd)),
        };
        return error.with_help(help);
    }
    if let Some(keyword) = glued(word.as_str()) {
        return error.with_help(format!("write a blank behind `{}`", keyword.name()));
    }
    match suggestion(word.as_str()) {
        Some(keyword) => error.with_help(format!("did you mean `{}`?", keyword.name())),
        None => error,
    }
}

/// An instruction with its first argument right behind it.
fn glued(word: &str) -> Option<Keyword> {
    let begins = |keyword: &&Keyword| {
        let rest = word.strip_prefix(keyword.name()).unwrap_or_default();
        rest.starts_with(|ch: char| !ch.is_ascii_uppercase())
    };
    Keyword::ALL.iter().find(begins).copied()
}

fn suggestion(word: &str) -> Option<Keyword> {
    // Of a shell, and close to instructions that mean something else.
    if matches!(word, "cd" | "export" | "rm" | "cmp" | "sum") {
        return None;
    }
    let names = Keyword::ALL.iter().map(|keyword| keyword.name());
    suggest::nearest(word, names).and_then(Keyword::new)
}

/// A `<<` that is not a heredoc because of blanks or other text next to it.
fn almost_heredoc(text: &str) -> Option<&str> {
    let at = text.find("<<")?;
    let start = text[..at].trim_end_matches(|ch: char| !ch.is_whitespace()).len();
    let name = text[at + 2..].trim_start_matches([' ', '\t', '-']);
    let end = text.len() - name.trim_start_matches(|ch: char| !ch.is_whitespace()).len();
    let plain = name.starts_with(|ch: char| ch.is_alphanumeric() || "_'\"".contains(ch));
    (plain && !text[start..at].contains('"')).then(|| &text[start..end])
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
    let these = match from + 1 == to {
        true => format!("line {to} does"),
        false => format!("the lines down to {to} do"),
    };
    error.with_note(format!("{these} not begin with an instruction either"))
}
