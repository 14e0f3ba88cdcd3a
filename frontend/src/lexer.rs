//! Physical lines to logical ones: directives, comments, continuations and heredoc bodies.
//!
//! What a logical line means is the parser's business; the lexer only knows which lines belong
//! together.

mod directive;
pub(crate) mod heredoc;
pub(crate) mod word;

use crate::ast::{Escape, Text, TextBuilder};
use crate::source::{Source, Span};

/// One instruction's line with its continuations joined.
#[derive(Debug)]
pub(crate) struct Line {
    /// The joined text without blanks at both ends; never empty.
    pub text: Text,
    /// The blanks behind it, which a trigger keeps.
    pub blanks: String,
    /// The comment lines directly above.
    pub comments: Vec<Text>,
    /// Blank lines that stood between the parts.
    pub blank_lines: Vec<Span>,
}

/// Reads a file from top to bottom.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    source: &'a Source,
    lines: Vec<Span>,
    next: usize,
    escape: Escape,
}

impl<'a> Lexer<'a> {
    /// Stands before the first line.
    pub fn new(source: &'a Source) -> Self {
        Self { source, lines: source.lines().collect(), next: 0, escape: Escape::default() }
    }

    /// The escape character that is in force.
    pub fn escape(&self) -> Escape {
        self.escape
    }

    /// The next logical line that holds an instruction.
    pub fn next_line(&mut self) -> Option<Line> {
        let mut comments = Vec::new();
        loop {
            let line = self.take()?;
            if is_comment(line.as_str()) {
                comments.push(comment_text(&line));
            } else if is_blank(line.as_str()) {
                comments.clear();
            } else {
                let (joined, blank_lines) = self.join(&line);
                let text = joined.trimmed();
                if !text.is_empty() {
                    let blanks = joined.as_str()[joined.as_str().trim_end().len()..].to_owned();
                    return Some(Line { text, blanks, comments, blank_lines });
                }
            }
        }
    }

    /// Consumes the lines up to one that consists of `name`. Without such a line everything that is
    /// left is consumed.
    pub fn heredoc_body(&mut self, word: &heredoc::Word) -> Result<Text, Unterminated> {
        let mut body = TextBuilder::new(self.offset());
        let mut almost = None;
        while let Some(span) = self.take_span() {
            let line = &self.source.text()[span.clone()];
            if word.ends_at(without_line_end(line)) {
                return Ok(body.finish());
            }
            if almost.is_none() && line.trim() == word.name {
                almost = Some(span.clone());
            }
            body.push_str(line, span.start);
        }
        Err(Unterminated { almost })
    }

    /// Whether a later line ends the heredoc.
    pub fn has_end(&self, word: &heredoc::Word) -> bool {
        let mut lines = self.lines[self.next..].iter();
        lines.any(|span| word.ends_at(without_line_end(&self.source.text()[span.clone()])))
    }

    /// The end of what has been consumed, without the line end.
    pub fn consumed_to(&self) -> usize {
        let last = self.next.checked_sub(1).and_then(|index| self.lines.get(index));
        last.map_or(0, |span| {
            span.start + without_line_end(&self.source.text()[span.clone()]).len()
        })
    }

    fn join(&mut self, first: &Text) -> (Text, Vec<Span>) {
        let mut joined = TextBuilder::new(first.span().start);
        let mut blank_lines = Vec::new();
        let mut part = first.clone();
        while let Some(kept) = self.continued(&part) {
            joined.push_text(&kept);
            match self.next_part(&mut blank_lines) {
                Some(next) => part = next,
                None => return (joined.finish(), blank_lines),
            }
        }
        joined.push_text(&part);
        (joined.finish(), blank_lines)
    }

    /// The next line of a continuation: comments and blank lines are passed over.
    fn next_part(&mut self, blank_lines: &mut Vec<Span>) -> Option<Text> {
        loop {
            let line = self.take()?;
            if is_blank(line.as_str()) {
                blank_lines.push(line.span());
            } else if !is_comment(line.as_str()) {
                return Some(line);
            }
        }
    }

    /// The line without its continuation character, if it has one. Blanks may follow the character;
    /// a doubled one stands for itself.
    fn continued(&self, line: &Text) -> Option<Text> {
        let escape = self.escape.char();
        let head = line.as_str().trim_end_matches([' ', '\t']).strip_suffix(escape)?;
        (!head.ends_with(escape)).then(|| line.slice(0..head.len()))
    }

    fn take(&mut self) -> Option<Text> {
        let span = self.take_span()?;
        let line = without_line_end(&self.source.text()[span.clone()]);
        Some(Text::verbatim(line, span.start))
    }

    fn take_span(&mut self) -> Option<Span> {
        let span = self.lines.get(self.next)?.clone();
        self.next += 1;
        Some(span)
    }

    fn offset(&self) -> usize {
        self.lines.get(self.next).map_or(self.source.text().len(), |span| span.start)
    }
}

/// No line ends a heredoc.
#[derive(Debug)]
pub(crate) struct Unterminated {
    /// A line that would, were it not for blanks around the name.
    pub almost: Option<Span>,
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn is_blank(line: &str) -> bool {
    line.trim_start().is_empty()
}

fn comment_text(line: &Text) -> Text {
    let line = line.trimmed();
    line.slice(1..line.as_str().len()).trimmed()
}

fn without_line_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}
