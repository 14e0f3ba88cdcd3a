//! Finds `<<name` words in a line.
//!
//! A heredoc is a word of its own: `cat <<EOF` has one, `cat<<EOF`, `"<<EOF"`, `$((1<<2))` and
//! `<<<text` have
//! none. Words are split as a shell does, always with `\` as the escape character.

use crate::ast::{HeredocExpansion, HeredocTabs, Text};

/// A heredoc's announcement.
#[derive(Debug)]
pub(crate) struct Word {
    /// The word as written.
    pub text: Text,
    /// The name without quotes and escapes; not empty.
    pub name: String,
    /// Whether the name was free of quotes and escapes.
    pub expansion: HeredocExpansion,
    /// Whether `-` was given.
    pub tabs: HeredocTabs,
    /// The digits before `<<`.
    pub fd: Option<u32>,
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
    shell_words(line).iter().filter_map(parse).collect()
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
    let name = unquoted(raw);
    let expansion = if name == raw { HeredocExpansion::Expand } else { HeredocExpansion::Literal };
    let word = Word { text: word.clone(), name, expansion, tabs, fd: digits.parse().ok() };
    (!word.name.is_empty()).then_some(word)
}

/// Splits at blanks outside of quotes; quotes and escapes stay in the words. An open quote runs to
/// the end.
fn shell_words(line: &Text) -> Vec<Text> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, ch, place) in Scanner::new(line.as_str()) {
        match (start, place == Place::Plain && ch.is_whitespace()) {
            (Some(from), true) => {
                words.push(line.slice(from..at));
                start = None;
            }
            (None, false) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| line.slice(from..line.as_str().len())));
    words
}

fn unquoted(raw: &str) -> String {
    let scanner = Scanner::new(raw);
    scanner.filter(|(_, _, place)| *place != Place::Syntax).map(|(_, ch, _)| ch).collect()
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
