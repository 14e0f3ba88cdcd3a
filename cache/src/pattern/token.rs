//! The one matcher behind both pattern languages: a pattern as tokens, compared with bytes.

use std::collections::HashSet;
use std::str::Chars;

use super::BadReason;

/// One piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Exactly these bytes.
    Literal(Vec<u8>),
    /// `?`: one character.
    One,
    /// `[a-z]`: one character of these ranges, or one that is in none of them.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// `*`: any characters of one component.
    Star,
    /// `**` before something: nothing, or any number of whole components with their `/`.
    Deep,
    /// `**` at the end: everything that is left.
    Rest,
}

/// What two stars in a row mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stars {
    /// The same as one: `filepath.Match`.
    Plain,
    /// Any number of components: `.dockerignore`.
    Deep,
}

/// How much of the text a pattern has to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// All of it.
    End,
    /// All of it, or all of one of its parents: `a` matches `a/b`.
    Component,
    /// The text is a directory with its final `/`, and the pattern could go on below it.
    Below,
}

/// Cuts a pattern into tokens.
pub(super) fn parse(pattern: &str, stars: Stars) -> Result<Vec<Token>, BadReason> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '*' if stars == Stars::Deep && chars.as_str().starts_with('*') => {
                chars.next();
                push_deep(&mut tokens, &mut chars);
            }
            '*' => push_star(&mut tokens),
            '?' => tokens.push(Token::One),
            '[' => tokens.push(parse_class(&mut chars)?),
            '\\' => push_literal(&mut tokens, chars.next().ok_or(BadReason::LoneEscape)?),
            literal => push_literal(&mut tokens, literal),
        }
    }
    Ok(tokens)
}

fn push_literal(tokens: &mut Vec<Token>, char: char) {
    let mut buffer = [0; 4];
    let bytes = char.encode_utf8(&mut buffer).as_bytes();
    match tokens.last_mut() {
        Some(Token::Literal(text)) => text.extend_from_slice(bytes),
        _ => tokens.push(Token::Literal(bytes.to_vec())),
    }
}

fn push_star(tokens: &mut Vec<Token>) {
    if tokens.last() != Some(&Token::Star) {
        tokens.push(Token::Star);
    }
}

/// The `**` was read; a `/` that follows belongs to it.
fn push_deep(tokens: &mut Vec<Token>, chars: &mut Chars<'_>) {
    if chars.as_str().starts_with('/') {
        chars.next();
    }
    if chars.as_str().is_empty() {
        tokens.push(Token::Rest);
    } else if tokens.last() != Some(&Token::Deep) {
        tokens.push(Token::Deep);
    }
}

/// The `[` was read.
fn parse_class(chars: &mut Chars<'_>) -> Result<Token, BadReason> {
    let negated = chars.as_str().starts_with('^');
    if negated {
        chars.next();
    }
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.as_str().starts_with(']') {
            chars.next();
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_char(chars)?;
        let mut high = low;
        if chars.as_str().starts_with('-') {
            chars.next();
            high = class_char(chars)?;
        }
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut Chars<'_>) -> Result<char, BadReason> {
    match chars.next().ok_or(BadReason::OpenClass)? {
        '-' | ']' => Err(BadReason::EmptyRange),
        '\\' => chars.next().ok_or(BadReason::LoneEscape),
        char => Ok(char),
    }
}

/// Whether `text` matches. Only the last `*` is ever tried again: within one component a later one
/// can take over whatever an earlier one could have taken. Each `**` tries all the components.
pub(super) fn matches(tokens: &[Token], text: &[u8], until: Until) -> bool {
    search(tokens, text, until, &mut HashSet::new())
}

/// What is known not to match, by how much is left of pattern and text. Without it, patterns with
/// many `**` would try the same again and again, for longer than anybody waits.
type Failed = HashSet<(Place, usize, usize)>;

/// Where in a pattern something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// At a `**`, with all components it could take.
    Deep,
    /// Right behind one, with those it had taken.
    Behind,
}

fn search(tokens: &[Token], text: &[u8], until: Until, failed: &mut Failed) -> bool {
    let mut token = 0;
    let mut at = 0;
    let mut star: Option<(usize, usize)> = None;
    loop {
        if until == Until::Below && at == text.len() {
            return true;
        }
        let step = match tokens.get(token) {
            None if ended(text, at, until) => return true,
            None => None,
            Some(Token::Rest) => return true,
            Some(Token::Deep) => {
                if matches_below(&tokens[token + 1..], &text[at..], until, failed) {
                    return true;
                }
                None
            }
            Some(Token::Star) => {
                star = Some((token + 1, at));
                Some(0)
            }
            Some(single) => taken(single, &text[at..], until),
        };
        if let Some(length) = step {
            token += 1;
            at += length;
            continue;
        }
        // The star takes more: at least one byte, and as many as it needs for what follows it to
        // begin. A byte within a character begins nothing.
        let Some((after, from)) = star else { return false };
        let Some(next) = next_start(tokens.get(after), text, from) else { return false };
        star = Some((after, next));
        token = after;
        at = next;
    }
}

/// Where, behind `from` and within its component, the token after a `*` could begin.
fn next_start(token: Option<&Token>, text: &[u8], from: usize) -> Option<usize> {
    if matches!(text.get(from), None | Some(b'/')) {
        return None;
    }
    let Some(Token::Literal(literal)) = token else { return Some(from + 1) };
    let first = *literal.first()?;
    let rest = &text[from + 1..];
    let found = rest.iter().position(|byte| *byte == first || *byte == b'/')?;
    (rest[found] == first).then_some(from + 1 + found)
}

fn matches_below(tokens: &[Token], text: &[u8], until: Until, failed: &mut Failed) -> bool {
    if until == Until::Below {
        return true;
    }
    if !failed.insert((Place::Deep, tokens.len(), text.len())) {
        return false;
    }
    let first = match tokens.first() {
        Some(Token::Literal(literal)) => literal.first(),
        _ => None,
    };
    let begins = |start: &usize| first.is_none() || text.get(*start) == first;
    component_starts(text).filter(begins).any(|start| {
        let rest = &text[start..];
        failed.insert((Place::Behind, tokens.len(), rest.len()))
            && search(tokens, rest, until, failed)
    })
}

fn component_starts(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let after_slash = text.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    std::iter::once(0).chain(after_slash.map(|(slash, _)| slash + 1))
}

fn ended(text: &[u8], at: usize, until: Until) -> bool {
    at == text.len() || (until == Until::Component && text[at] == b'/')
}

/// How many bytes at the start of `text` a token that is no star takes.
fn taken(token: &Token, text: &[u8], until: Until) -> Option<usize> {
    match token {
        Token::Literal(literal) if text.starts_with(literal) => Some(literal.len()),
        Token::Literal(literal) if until == Until::Below && literal.starts_with(text) => {
            Some(text.len())
        }
        Token::One => first_char(text).map(|(_, length)| length),
        Token::Class { negated, ranges } => {
            let (char, length) = first_char(text)?;
            let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(&char));
            (within != *negated).then_some(length)
        }
        Token::Literal(_) | Token::Star | Token::Deep | Token::Rest => None,
    }
}

/// The first character that is no `/`, and its length. A byte that is no UTF-8 is a character.
fn first_char(text: &[u8]) -> Option<(char, usize)> {
    let first = *text.first().filter(|byte| **byte != b'/')?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let window = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(window) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default(),
    };
    let char = valid.chars().next();
    Some(char.map_or((char::REPLACEMENT_CHARACTER, 1), |char| (char, char.len_utf8())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_deep_stars_come_to_an_end() {
        // Tried one after the other, these are more ways than there is time for.
        let pattern = "**?".repeat(20) + "b";
        let tokens = parse(&pattern, Stars::Deep).unwrap();
        let text = "a/".repeat(40);
        assert!(!matches(&tokens, text.as_bytes(), Until::End));
        assert!(matches(&tokens, (text + "ab").as_bytes(), Until::End));
    }
}
