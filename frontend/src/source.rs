//! The text of a Dockerfile and where things stand in it.
//!
//! Everything the frontend says about a file is said in byte ranges of this text. What the ranges
//! mean belongs to the lexer and the parser; how they are shown belongs to `diagnostic`.

use std::ops::Range;

/// A byte range of a [`Source`]'s text, on character boundaries.
pub type Span = Range<usize>;

/// A value and the place in the file it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// A named text with an index of its lines.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
    undecodable: Vec<usize>,
}

impl Source {
    /// Takes the bytes of a file. A byte order mark is dropped; bytes that are not UTF-8 become
    /// U+FFFD and are remembered, because only those outside of comments are an error.
    pub fn new(name: &str, text: Vec<u8>) -> Self {
        let bytes = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let (text, undecodable) = decode(bytes);
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { name: name.to_owned(), text, line_starts, undecodable }
    }

    /// The name shown in messages, usually the path as the user typed it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The 1-based line and column, in characters, of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The lines of the file, each with its line end.
    pub fn lines(&self) -> impl Iterator<Item = Span> + '_ {
        let ends = self.line_starts.iter().skip(1).copied().chain([self.text.len()]);
        self.line_starts
            .iter()
            .zip(ends)
            .map(|(start, end)| *start..end)
            .filter(|line| !line.is_empty())
    }

    /// The first place within `span` where the file's bytes were not UTF-8.
    pub fn undecodable_in(&self, span: &Span) -> Option<usize> {
        let next = self.undecodable.partition_point(|at| *at < span.start);
        self.undecodable.get(next).copied().filter(|at| *at < span.end)
    }
}

fn decode(bytes: &[u8]) -> (String, Vec<usize>) {
    let mut text = String::with_capacity(bytes.len());
    let mut undecodable = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            undecodable.push(text.len());
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (text, undecodable)
}

#[cfg(test)]
mod tests;
