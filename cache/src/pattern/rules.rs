//! An ordered list of patterns, the last one that matches deciding: `.dockerignore`, `--exclude`.
//!
//! A path is decided after its parents, from the top. A rule that matched a parent matches what is
//! below it. Rules are asked in their order, but one is asked only if it would change something: a
//! `!rule` that had nothing to take back in at a directory does not match what is below. So `a/*` and
//! `!a` leave nothing of `a`, and `a` and `!a` everything. `**` stands for any number of components.
//! Nothing is anchored by a slash as in gitignore: every pattern starts at the root. The meaning is
//! that of <https://github.com/moby/patternmatcher>, which Docker walks a context with.

use super::token::{self, Stars, Token, Until};
use super::{BadPattern, BadReason};

/// Rules in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    effect: Effect,
    shape: Shape,
}

/// What a rule does with the paths it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They are left out.
    Exclude,
    /// They are taken back in: `!pattern`.
    Include,
}

/// The rule that decided about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Its position in the list that the rules were made from.
    pub rule: usize,
    /// What it does.
    pub effect: Effect,
}

/// The forms that are common enough to have a comparison of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// No wildcards.
    Literal(Vec<u8>),
    /// `**name`: whatever ends so, in any component and also within one.
    Suffix(Vec<u8>),
    /// Everything else.
    Tokens(Vec<Token>),
    /// An empty line: matches nothing, and keeps the positions right.
    Never,
}

impl Rules {
    /// Compiles patterns. Blanks around each are dropped, and `.` and `..` resolved; an empty one
    /// matches nothing.
    ///
    /// The error names the position of the first pattern that is malformed.
    pub fn new<S: AsRef<str>>(
        patterns: impl IntoIterator<Item = S>,
    ) -> Result<Rules, (usize, BadPattern)> {
        let parse = |(position, text): (usize, S)| {
            Rule::parse(text.as_ref()).map_err(|error| (position, error))
        };
        let rules = patterns.into_iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Rules { rules })
    }

    /// The rule that decides about `path` (relative, clean), if any rule does: the last one that
    /// changed whether the path is there.
    pub fn decide(&self, path: impl AsRef<[u8]>) -> Option<Decision> {
        let path = path.as_ref();
        let concerned = |(_, rule): &(usize, &Rule)| rule.shape.matches(path);
        let mut rules = self.rules.iter().enumerate().filter(concerned).peekable();
        rules.peek()?;
        let mut candidates: Vec<Candidate<'_>> = rules.map(Candidate::new).collect();
        path_and_parents(path).map(|part| decide_part(&mut candidates, part)).last()?
    }

    /// Whether `path` is left out.
    pub fn excludes(&self, path: impl AsRef<[u8]>) -> bool {
        self.decide(path).is_some_and(|decision| decision.effect == Effect::Exclude)
    }

    /// Whether the directory `path` is left out and so is everything below it, whatever is there:
    /// a walk need not enter it.
    pub fn prunes(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        match self.decide(path) {
            Some(Decision { rule, effect: Effect::Exclude }) => {
                let mut later = self.rules[rule + 1..].iter();
                !later.any(|rule| rule.effect == Effect::Include && rule.shape.reaches_below(path))
            }
            _ => false,
        }
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// A rule that matches a path or one of its parents.
struct Candidate<'a> {
    position: usize,
    rule: &'a Rule,
    /// Whether it matched the part of the path that was decided last.
    matched: bool,
}

impl Candidate<'_> {
    fn new((position, rule): (usize, &Rule)) -> Candidate<'_> {
        Candidate { position, rule, matched: false }
    }
}

/// Decides about a path whose parents are decided.
fn decide_part(candidates: &mut [Candidate<'_>], part: &[u8]) -> Option<Decision> {
    let mut decision: Option<Decision> = None;
    for candidate in candidates {
        let effect = candidate.rule.effect;
        let is_out = decision.is_some_and(|decision| decision.effect == Effect::Exclude);
        let changes = is_out == (effect == Effect::Include);
        candidate.matched = candidate.matched || (changes && candidate.rule.shape.is(part));
        if candidate.matched && changes {
            decision = Some(Decision { rule: candidate.position, effect });
        }
    }
    decision
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, BadPattern> {
        let trimmed = text.trim();
        let (effect, pattern) = match trimmed.strip_prefix('!') {
            Some(rest) => (Effect::Include, rest.trim()),
            None => (Effect::Exclude, trimmed),
        };
        let bad = |reason| BadPattern { pattern: trimmed.to_owned(), reason };
        if effect == Effect::Include && pattern.is_empty() {
            return Err(bad(BadReason::LoneNegation));
        }
        let shape = Shape::parse(&clean(pattern)).map_err(bad)?;
        Ok(Rule { effect, shape })
    }
}

impl Shape {
    fn parse(pattern: &str) -> Result<Shape, BadReason> {
        let tokens = token::parse(pattern, Stars::Deep)?;
        let suffix = pattern.strip_prefix("**").filter(|rest| !rest.starts_with('/'));
        Ok(match (tokens.as_slice(), suffix) {
            ([], _) => Shape::Never,
            ([Token::Literal(text)], _) => Shape::Literal(text.clone()),
            ([Token::Deep, Token::Literal(text)], Some(rest)) if rest.as_bytes() == text => {
                Shape::Suffix(text.clone())
            }
            _ => Shape::Tokens(tokens),
        })
    }

    /// Whether it matches the path itself.
    fn is(&self, path: &[u8]) -> bool {
        match self {
            Shape::Literal(text) => path == text,
            Shape::Suffix(text) => path.ends_with(text),
            Shape::Tokens(tokens) => token::matches(tokens, path, Until::End),
            Shape::Never => false,
        }
    }

    /// Whether it matches the path or one of its parents.
    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Shape::Literal(text) => path
                .strip_prefix(text.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/'),
            Shape::Suffix(text) => path_and_parents(path).any(|part| part.ends_with(text)),
            Shape::Tokens(tokens) => token::matches(tokens, path, Until::Component),
            Shape::Never => false,
        }
    }

    /// Whether some path below the directory could match.
    fn reaches_below(&self, directory: &[u8]) -> bool {
        match self {
            Shape::Literal(text) => {
                text.strip_prefix(directory).is_some_and(|rest| rest.first() == Some(&b'/'))
            }
            Shape::Suffix(_) => true,
            Shape::Tokens(tokens) => {
                token::matches(tokens, &[directory, b"/"].concat(), Until::Below)
            }
            Shape::Never => false,
        }
    }
}

fn path_and_parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| &path[..at]).chain(std::iter::once(path))
}

/// The shortest equivalent of a path, as Go's `filepath.Clean` has it; empty stays empty.
pub fn clean(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}
