//! Splits the arguments of an instruction into words.

use crate::ast::{Escape, Text};

/// Whether Dockerfiles take the character for a blank between words. Other white space, such as a
/// no-break space, is part of a word.
pub(crate) fn is_blank(ch: char) -> bool {
    matches!(ch, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

/// The first word and what follows it, blanks in between removed.
pub(crate) fn split_first(text: &Text) -> (Text, Text) {
    let value = text.as_str();
    let end = value.find(is_blank).unwrap_or(value.len());
    let rest = value[end..].trim_start_matches(is_blank);
    (text.slice(0..end), text.slice(value.len() - rest.len()..value.len()))
}

/// All words, split at blanks without regard to quotes.
pub(crate) fn split(text: &Text) -> Vec<Text> {
    let mut words = Vec::new();
    let mut at = 0;
    for word in text.as_str().split(is_blank) {
        if !word.is_empty() {
            words.push(text.slice(at..at + word.len()));
        }
        at += word.len() + 1;
    }
    words
}

/// All words, split at blanks outside of quotes. Quotes and escapes stay as they are; an open quote
/// runs to the end.
pub(crate) fn split_quoted(text: &Text, escape: Escape) -> Vec<Text> {
    let escape = escape.char();
    let mut words = Vec::new();
    let (mut start, mut quote) = (None, None);
    let mut chars = text.as_str().char_indices();
    while let Some((at, ch)) = chars.next() {
        if quote.is_none() && ch.is_whitespace() {
            words.extend(start.take().map(|from| text.slice(from..at)));
            continue;
        }
        start.get_or_insert(at);
        match quote {
            Some(open) if open == ch => quote = None,
            None if matches!(ch, '\'' | '"') => quote = Some(ch),
            _ => {}
        }
        if ch == escape && quote != Some('\'') {
            chars.next();
        }
    }
    words.extend(start.map(|from| text.slice(from..text.as_str().len())));
    words
}

#[cfg(test)]
mod tests;
