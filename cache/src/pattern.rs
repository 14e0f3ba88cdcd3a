//! Patterns over slash-separated paths: the wildcards of `COPY` and the rules of `.dockerignore`.
//!
//! [`Glob`] is Go's `filepath.Match`, which `COPY` sources are matched with. [`rules::Rules`] is an
//! ordered list of patterns that also know `**` and `!`, as `.dockerignore` and `--exclude` mean
//! them; that is not gitignore's meaning. Both are compiled once and then only compare bytes: a
//! regular expression per path costs more than the file's `stat`.
//!
//! Paths are bytes, because names on disk are; `?` and classes still take one whole UTF-8 character
//! where there is one. In both languages `/` is matched by `/` only (and by `**`).

pub mod rules;
mod token;

use token::{Stars, Token};

/// A pattern of Go's `filepath.Match`: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
}

/// A pattern that breaks the syntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a valid pattern: {reason}")]
pub struct BadPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: BadReason,
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReason {
    /// `[a`
    #[error("a `[` is never closed")]
    OpenClass,
    /// `[]`, `[^]`, `[-a]`, `[a-]`
    #[error("a `[..]` has a missing character or range end")]
    EmptyRange,
    /// `a\`
    #[error("nothing follows the last `\\`")]
    LoneEscape,
    /// `!`
    #[error("nothing follows the `!`")]
    LoneNegation,
}

impl Glob {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Result<Glob, BadPattern> {
        let tokens = token::parse(pattern, Stars::Plain)
            .map_err(|reason| BadPattern { pattern: pattern.to_owned(), reason })?;
        Ok(Glob { tokens })
    }

    /// Compiles each component of a path pattern on its own, for a walk that enters only the
    /// directories which can match. A class cannot hold a `/` here.
    pub fn components(pattern: &str) -> Result<Vec<Glob>, BadPattern> {
        pattern.split('/').filter(|part| !part.is_empty()).map(Glob::new).collect()
    }

    /// Whether all of `name` matches.
    pub fn matches(&self, name: impl AsRef<[u8]>) -> bool {
        token::matches(&self.tokens, name.as_ref(), token::Until::End)
    }

    /// The one name that this pattern matches, if there are no wildcards in it: escapes are gone.
    pub fn literal(&self) -> Option<&[u8]> {
        match self.tokens.as_slice() {
            [] => Some(b""),
            [Token::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// Whether `text` is a pattern rather than the literal name of a source: whether it has a wildcard
/// that no `\` takes the meaning from.
pub fn has_wildcards(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}

/// A pattern that matches nothing but the path `text`.
pub fn escaped(text: &str) -> String {
    if !has_wildcards(text) {
        return text.to_owned();
    }
    let mut pattern = String::new();
    for char in text.chars() {
        match char {
            // In brackets they make it a pattern, so that what is escaped is taken as such.
            '*' | '?' => pattern.extend(['[', char, ']']),
            '[' => pattern.push_str(r"[\[]"),
            '\\' => pattern.push_str(r"\\"),
            _ => pattern.push(char),
        }
    }
    pattern
}

/// Whether all of `name` matches `pattern`, for one comparison; [`Glob`] serves many.
pub fn matches(pattern: &str, name: impl AsRef<[u8]>) -> Result<bool, BadPattern> {
    Ok(Glob::new(pattern)?.matches(name))
}

#[cfg(test)]
mod tests;
