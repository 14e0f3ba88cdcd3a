//! `.dockerignore`: which paths of a build context a build can see.
//!
//! The lines of the file become rules, with the line each stands on, so that a missing file can be
//! explained by the rule that hides it. What a pattern matches is `rbuild_cache::pattern`'s
//! business; it is the language of `.dockerignore`, not gitignore's. Finding and reading the file
//! belongs to the builder.

use rbuild_cache::pattern::rules::{Decision, Effect, Rules, clean};
use rbuild_cache::pattern::{BadPattern, BadReason};

/// A parsed `.dockerignore`. The default one ignores nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnoreFile {
    rules: Rules,
    /// The line of each rule, counted from 1.
    lines: Vec<usize>,
}

/// Whether a path is part of the build context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is: no rule matches it, or the last one that does begins with `!`.
    Included,
    /// It is not.
    Excluded {
        /// The line of the rule that decided, counted from 1.
        line: usize,
    },
}

/// A line that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct IgnoreError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub error: BadPattern,
}

impl IgnoreFile {
    /// Reads the bytes of a file. Bytes that are not UTF-8 match no path.
    ///
    /// The error names the first line whose pattern is malformed.
    pub fn parse(bytes: &[u8]) -> Result<IgnoreFile, IgnoreError> {
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        let mut patterns = Vec::new();
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // Only a `#` in the first column begins a comment.
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            lines.push(index + 1);
            patterns
                .push(pattern_of(line).map_err(|error| IgnoreError { line: index + 1, error })?);
        }
        let rules = Rules::new(&patterns);
        let rules = rules.map_err(|(rule, error)| IgnoreError { line: lines[rule], error })?;
        Ok(IgnoreFile { rules, lines })
    }

    /// Whether `path`, relative to the context and clean, is part of it. Parents count: a rule that
    /// matches a directory matches everything below it.
    pub fn verdict(&self, path: impl AsRef<[u8]>) -> Verdict {
        match self.rules.decide(path) {
            Some(Decision { rule, effect: Effect::Exclude }) => {
                Verdict::Excluded { line: self.lines[rule] }
            }
            Some(Decision { effect: Effect::Include, .. }) | None => Verdict::Included,
        }
    }

    /// Whether the directory `path` and everything that could be below it is ignored, so that a
    /// walk
    /// need not enter it.
    pub fn prunes(&self, path: impl AsRef<[u8]>) -> bool {
        self.rules.prunes(path)
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// A rule as written to a pattern relative to the context: `/a` and `a` are the same.
fn pattern_of(line: &str) -> Result<String, BadPattern> {
    let line = line.trim();
    let (negation, pattern) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    let cleaned = clean(pattern);
    // Docker takes `!/` for `!`, too.
    if pattern.is_empty() || (negation == "!" && cleaned == "/") {
        return Err(BadPattern { pattern: line.to_owned(), reason: BadReason::LoneNegation });
    }
    let relative = cleaned.strip_prefix('/').filter(|rest| !rest.is_empty());
    Ok(format!("{negation}{}", relative.unwrap_or(&cleaned)))
}

#[cfg(test)]
mod tests;
