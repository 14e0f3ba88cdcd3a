//! Text of an instruction that remembers where in the file each part of it stood.
//!
//! A continuation or a comment line can lie in the middle of a word, so one range of the file is
//! not enough.

use std::fmt;
use std::ops::Range;

use crate::source::Span;

/// A piece of an instruction's text and its places in the file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text {
    value: String,
    span: Span,
    pieces: Vec<Piece>,
}

/// From byte `at` of the value on, the text comes from byte `from` of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    at: usize,
    from: usize,
}

impl Text {
    /// Text that stands in the file exactly like this, starting at byte `from`.
    pub fn verbatim(value: &str, from: usize) -> Self {
        let mut builder = TextBuilder::new(from);
        builder.push_str(value, from);
        builder.finish()
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// Where all of it stands. What was left out in between (a comment line, say) is inside of the
    /// range.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Where a byte range of the text stands. A range beyond the end is cut off.
    pub fn span_of(&self, range: Range<usize>) -> Span {
        let end = range.end.min(self.value.len());
        let start = range.start.min(end);
        let from = self.origin(start);
        if start == end {
            return from..from;
        }
        from..(self.origin(end - 1) + 1).clamp(from, self.span.end.max(from))
    }

    /// A byte range of the text as text of its own. The range lies within the text, on character
    /// boundaries.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let first = self.pieces.partition_point(|piece| piece.at <= range.start).saturating_sub(1);
        let pieces = self.pieces[first..].iter().take_while(|piece| piece.at < range.end);
        let cut = |piece: &Piece| {
            let skipped = range.start.saturating_sub(piece.at);
            Piece { at: piece.at.max(range.start) - range.start, from: piece.from + skipped }
        };
        Self {
            value: self.value[range.clone()].to_owned(),
            span: self.span_of(range.clone()),
            pieces: pieces.map(cut).collect(),
        }
    }

    /// The text without blanks at both ends.
    pub fn trimmed(&self) -> Self {
        let kept = self.value.trim_start();
        let start = self.value.len() - kept.len();
        self.slice(start..start + kept.trim_end().len())
    }

    /// The text without the tabs that begin its lines.
    pub fn without_leading_tabs(&self) -> Self {
        let mut builder = TextBuilder::new(self.span.start);
        let mut at = 0;
        for line in self.value.split_inclusive('\n') {
            let tabs = line.len() - line.trim_start_matches('\t').len();
            builder.push_text(&self.slice(at + tabs..at + line.len()));
            at += line.len();
        }
        builder.finish()
    }

    /// The place in the file of a byte of the text; for the end of the text, the end of its place.
    fn origin(&self, at: usize) -> usize {
        if at >= self.value.len() {
            return self.span.end;
        }
        let next = self.pieces.partition_point(|piece| piece.at <= at);
        let piece = next.checked_sub(1).map(|index| self.pieces[index]);
        piece.map_or(self.span.start, |piece| piece.from + (at - piece.at)).min(self.span.end)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.value)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} @{:?}", self.value, self.span)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.value == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.value == *other
    }
}

/// Puts a [`Text`] together from front to back.
#[derive(Debug, Clone)]
pub struct TextBuilder {
    text: Text,
}

impl TextBuilder {
    /// Starts with nothing, at byte `from` of the file.
    pub fn new(from: usize) -> Self {
        Self { text: Text { span: from..from, ..Text::default() } }
    }

    /// Appends text that stands like this at byte `from` of the file.
    pub fn push_str(&mut self, value: &str, from: usize) {
        self.push_decoded(value, from..from + value.len());
    }

    /// Appends text that is written differently in the file, such as an escape sequence.
    pub fn push_decoded(&mut self, value: &str, span: Span) {
        if value.is_empty() {
            return;
        }
        let at = self.text.value.len();
        if at == 0 {
            self.text.span.start = span.start;
        }
        let continues = self.text.pieces.last().is_some_and(|p| p.from + (at - p.at) == span.start);
        if !continues {
            self.text.pieces.push(Piece { at, from: span.start });
        }
        self.text.value.push_str(value);
        self.text.span.end = span.end;
    }

    /// Appends text with the places it has.
    pub fn push_text(&mut self, text: &Text) {
        for (index, piece) in text.pieces.iter().enumerate() {
            let end = text.pieces.get(index + 1).map_or(text.value.len(), |next| next.at);
            self.push_str(&text.value[piece.at..end], piece.from);
        }
        if !text.is_empty() {
            self.text.span.end = text.span.end;
        }
    }

    /// The text.
    pub fn finish(self) -> Text {
        self.text
    }
}

#[cfg(test)]
mod tests;
