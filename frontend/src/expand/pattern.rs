//! The patterns of `${name#p}`, `${name%p}` and `${name/p/r}`: `*`, `?` and `\`, no classes.

use regex::Regex;

/// Which end of a value is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `#`
    Prefix,
    /// `%`
    Suffix,
}

/// How much a pattern takes when it could take more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// `#`, `%`
    Shortest,
    /// `##`, `%%`
    Longest,
}

/// How many matches are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// `/`
    First,
    /// `//`
    All,
}

/// A pattern with an escape that means nothing.
pub(super) struct BadEscape;

/// Cuts what `pattern` matches from an end of `value`.
pub(super) fn trim(value: &str, pattern: &str, end: End, take: Take) -> Result<String, BadEscape> {
    let whole = compile(&format!("^(?:{})$", regex_of(pattern)?))?;
    let mut cuts: Vec<usize> = value.char_indices().map(|(at, _)| at).collect();
    cuts.push(value.len());
    // Short prefixes end early, short suffixes start late.
    if (end == End::Prefix) == (take == Take::Longest) {
        cuts.reverse();
    }
    let kept = cuts.into_iter().find_map(|cut| {
        let (before, after) = value.split_at(cut);
        match end {
            End::Prefix => whole.is_match(before).then_some(after),
            End::Suffix => whole.is_match(after).then_some(before),
        }
    });
    Ok(kept.unwrap_or(value).to_owned())
}

/// Replaces what `pattern` matches in `value`, taking as much as it can.
pub(super) fn replace(
    value: &str,
    pattern: &str,
    with: &str,
    times: Times,
) -> Result<String, BadEscape> {
    let pattern = compile(&regex_of(pattern)?)?;
    let limit = match times {
        Times::First => 1,
        Times::All => 0,
    };
    Ok(pattern.replacen(value, limit, regex::NoExpand(with)).into_owned())
}

/// Too large a pattern is the only way in which this fails.
fn compile(regex: &str) -> Result<Regex, BadEscape> {
    Regex::new(regex).map_err(|_| BadEscape)
}

fn regex_of(pattern: &str) -> Result<String, BadEscape> {
    let mut regex = String::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '\\' => match chars.next() {
                Some(char @ ('*' | '?' | '\\' | '/' | '}')) => push_literal(&mut regex, char),
                _ => return Err(BadEscape),
            },
            literal => push_literal(&mut regex, literal),
        }
    }
    Ok(regex)
}

fn push_literal(regex: &mut String, char: char) {
    regex.push_str(&regex::escape(char.encode_utf8(&mut [0; 4])));
}
