//! Finds `<<name` words in a line.
//!
//! A heredoc is a word of its own: `cat <<EOF` and `cat << EOF` have one, `cat<<EOF`, `"<<EOF"`,
//! `$((1<<2))` and `<<<text` have none. Words are split as a shell does, always with `\` as the
//! escape character.

use std::ops::Range;

use crate::ast::{HeredocExpansion, HeredocTabs, Text};

/// A heredoc's announcement.
#[derive(Debug)]
pub(crate) struct Word {
    /// The word as written.
    pub text: Text,
    /// The name without quotes and escapes; not empty.
    pub name: String,
    /// Whether the name was free of quotes.
    pub expansion: HeredocExpansion,
    /// Whether `-` was given.
    pub tabs: HeredocTabs,
    /// The digits before `<<`.
    pub fd: Option<u32>,
    /// Whether it may be a shift in a shell's arithmetic instead.
    pub certainty: Certainty,
}

/// How sure it is that `<<` begins a heredoc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// It does.
    Certain,
    /// It stands within `((`: only if the lines that end it are there.
    IfTerminated,
}

impl Word {
    /// Whether a line, without its line end, closes the heredoc.
    pub fn ends_at(&self, line: &str) -> bool {
        match self.tabs {
            HeredocTabs::Keep => line == self.name,
            HeredocTabs::Strip => line.trim_start_matches('\t') == self.name,
        }
    }
}

/// The heredocs a line announces, in order.
pub(crate) fn announced(line: &Text) -> Vec<Word> {
    let words = shell_words(line).into_iter();
    let heredoc = |range: Range<usize>| {
        let certainty = certainty(&line.as_str()[..range.start]);
        parse(&line.slice(range)).map(|word| Word { certainty, ..word })
    };
    words.filter_map(heredoc).collect()
}

/// Takes a word for a heredoc's announcement, if it is one.
pub(crate) fn parse(word: &Text) -> Option<Word> {
    let text = word.as_str();
    let (digits, rest) = text.split_once("<<")?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || rest.contains('<') {
        return None;
    }
    let (tabs, raw) = match rest.strip_prefix('-') {
        Some(raw) => (HeredocTabs::Strip, raw),
        None => (HeredocTabs::Keep, rest),
    };
    let raw = raw.trim_start();
    let name = unquoted(raw);
    let (expansion, certainty) = (expansion(raw), Certainty::Certain);
    let fd = digits.parse().ok();
    let word = Word { text: word.clone(), name, expansion, tabs, fd, certainty };
    (!word.name.is_empty()).then_some(word)
}

fn certainty(before: &str) -> Certainty {
    match (before.rfind("(("), before.rfind("))")) {
        (Some(_), None) => Certainty::IfTerminated,
        (Some(open), Some(close)) if open > close => Certainty::IfTerminated,
        _ => Certainty::Certain,
    }
}

/// Splits at blanks outside of quotes; quotes and escapes stay in the words. An open quote runs to
/// the end. Blanks behind `<<` are part of the word.
fn shell_words(line: &Text) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut arrows = 0;
    for (at, ch, place) in Scanner::new(line.as_str()) {
        let blank = place == Place::Plain && ch.is_whitespace();
        if blank && arrows > 0 && arrows % 2 == 0 {
            continue;
        }
        arrows = if place == Place::Plain && ch == '<' { arrows + 1 } else { 0 };
        match (start, blank) {
            (Some(from), true) => {
                words.push(from..at);
                start = None;
            }
            (None, false) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| from..line.as_str().len()));
    words
}

fn unquoted(raw: &str) -> String {
    let scanner = Scanner::new(raw);
    scanner.filter(|(_, _, place)| *place != Place::Syntax).map(|(_, ch, _)| ch).collect()
}

/// Quotes make the body literal; an escape character does not.
fn expansion(raw: &str) -> HeredocExpansion {
    let quote = |ch, place| place == Place::Syntax && matches!(ch, '\'' | '"');
    match Scanner::new(raw).any(|(_, ch, place)| quote(ch, place)) {
        true => HeredocExpansion::Literal,
        false => HeredocExpansion::Expand,
    }
}

/// What a character is to a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A quote or an escape character that does its work.
    Syntax,
    /// A character that stands for itself because of them.
    Quoted,
    /// Any other.
    Plain,
}

/// Walks over a text with the quoting rules of a shell.
struct Scanner<'a> {
    chars: std::iter::Peekable<std::str::CharIndices<'a>>,
    quote: Option<char>,
    escaped: bool,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { chars: text.char_indices().peekable(), quote: None, escaped: false }
    }

    fn place(&mut self, ch: char) -> Place {
        if std::mem::take(&mut self.escaped) {
            return Place::Quoted;
        }
        match (self.quote, ch) {
            (Some(quote), _) if quote == ch => self.quote = None,
            (None, '\'' | '"') => self.quote = Some(ch),
            (None, '\\') => self.escaped = true,
            (Some('"'), '\\') if matches!(self.chars.peek(), Some((_, '"' | '$' | '\\'))) => {
                self.escaped = true;
            }
            (Some(_), _) => return Place::Quoted,
            (None, _) => return Place::Plain,
        }
        Place::Syntax
    }
}

impl Iterator for Scanner<'_> {
    type Item = (usize, char, Place);

    fn next(&mut self) -> Option<Self::Item> {
        let (at, ch) = self.chars.next()?;
        let place = self.place(ch);
        Some((at, ch, place))
    }
}

#[cfg(test)]
mod tests;
