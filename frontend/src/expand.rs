//! `$name` and `${name..}` in the words of a Dockerfile, as BuildKit's own small shell has them.
//!
//! What a modifier, a quote or an escape does is decided here, and nothing else: which variables
//! exist, and which instructions are expanded at all, is for the caller to know. Spans in errors
//! are
//! byte ranges of the text that was given.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

mod pattern;
mod scan;

/// Finds variables.
pub trait Variables {
    /// The value of `name`; none if it is unset, which is not the same as empty.
    fn get(&self, name: &str) -> Option<&str>;
}

/// How a text is expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// The escape character: `\`, or what the `escape` directive says.
    pub escape: char,
    /// What quotes do.
    pub quotes: Quotes,
    /// What becomes of a variable that is unset.
    pub unset: Unset,
}

/// What quotes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// They quote, and are gone afterwards: a word of an instruction.
    Removed,
    /// They quote, and stay: a command line that is shown to a person.
    Kept,
    /// They are characters like others: the body of a heredoc.
    Ordinary,
}

/// What becomes of a variable that is unset and has no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// Nothing is left of it.
    Empty,
    /// The reference stays as it was written.
    Kept,
}

/// A text whose variables are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The result as one word.
    pub text: String,
    /// The result cut at blanks that are neither quoted nor escaped; a variable's value is cut too.
    pub words: Vec<String>,
    /// The variables that were set.
    pub used: BTreeSet<String>,
    /// The variables that were not.
    pub unset: BTreeSet<String>,
}

/// A text that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ExpandError {
    /// Which bytes of the text.
    pub span: Range<usize>,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// `'a`
    #[error("a single quote is never closed")]
    OpenSingleQuote,
    /// `"a`
    #[error("a double quote is never closed")]
    OpenDoubleQuote,
    /// `${a`
    #[error("a `${{` is never closed with `}}`")]
    MissingBrace,
    /// `${a/b}`
    #[error("`${{name/pattern/replacement}}` has no second `/`")]
    MissingSlash,
    /// `${}`, `${:-b}`, `${{a}`
    #[error("no name of a variable follows `${{`")]
    BadSubstitution,
    /// `${a=b}`, `${a:#b}`
    #[error("`{0}` is not known behind the name of a variable")]
    UnsupportedModifier(String),
    /// `${a#\b}`
    #[error(
        "the pattern `{0}` of a substitution is not valid: `\\` only escapes `*`, `?` and `\\`"
    )]
    BadPattern(String),
    /// `${a?}` and `${a:?message}` where there is no such value.
    #[error("`{name}`: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message that was written, or a standard one.
        message: String,
    },
    /// More `${a:-${a:-..` than anyone means.
    #[error("substitutions are nested too deeply")]
    TooDeep,
    /// `$a$a` of `$a$a` of ..
    #[error("with its variables this becomes longer than anything that a program takes")]
    TooLong,
}

impl Style {
    /// The words of instructions.
    pub fn word(escape: char) -> Style {
        Style { escape, quotes: Quotes::Removed, unset: Unset::Empty }
    }

    /// The body of a heredoc that `COPY` or `ADD` writes: its escape is always `\`.
    pub fn heredoc() -> Style {
        Style { escape: '\\', quotes: Quotes::Ordinary, unset: Unset::Empty }
    }

    /// A command line for people: what is not known is left as it is.
    pub fn shown(escape: char) -> Style {
        Style { escape, quotes: Quotes::Kept, unset: Unset::Kept }
    }

    /// Replaces the variables of `text`.
    pub fn expand(&self, text: &str, variables: &dyn Variables) -> Result<Expanded, ExpandError> {
        scan::expand(self, text, variables)
    }
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        BTreeMap::get(self, name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
