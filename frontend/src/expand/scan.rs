//! One pass over a text: quotes, escapes and substitutions.

use super::pattern::{self, BadEscape, End, Take, Times};
use super::{ExpandError, Expanded, Problem, Quotes, Style, Unset, Variables};

/// Deeper nesting than this is refused: it would only serve to overflow the stack.
const MAX_DEPTH: usize = 64;
/// A text does not become longer than this by its variables: each `$a$a` would double what is
/// there. Linux starts no program with an argument or a variable of more than 128 KiB.
const MAX_GROWTH: usize = 1 << 20;
/// What `${a//b/c}` may come to at worst, before it is known.
const MAX_REPLACED: usize = 64 << 20;

pub(super) fn expand(
    style: &Style,
    text: &str,
    variables: &dyn Variables,
) -> Result<Expanded, ExpandError> {
    let mut scan = Scan { style, variables, text, at: 0, depth: 0, result: Expanded::default() };
    let outcome = scan.run(None, Escapes::Removed)?;
    Ok(Expanded { text: outcome.text, words: outcome.words, ..scan.result })
}

struct Scan<'a> {
    style: &'a Style,
    variables: &'a dyn Variables,
    text: &'a str,
    at: usize,
    depth: usize,
    result: Expanded,
}

/// Whether an escape character is still there afterwards: it is in the operands that are patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Removed,
    Kept,
}

/// The text so far, and the same cut into words.
#[derive(Default)]
struct Output {
    text: String,
    words: Vec<String>,
    word: String,
}

impl Output {
    /// Text that belongs to the current word whatever it is.
    fn quoted(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
    }

    fn quoted_char(&mut self, char: char) {
        self.quoted(char.encode_utf8(&mut [0; 4]));
    }

    /// Text whose blanks end a word.
    fn split(&mut self, text: &str) {
        self.text.push_str(text);
        for char in text.chars() {
            if char.is_whitespace() {
                self.end_word();
            } else {
                self.word.push(char);
            }
        }
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Output {
        self.end_word();
        self
    }
}

impl Scan<'_> {
    /// Scans up to `stop`, which is consumed, or to the end if there is none.
    fn run(&mut self, stop: Option<char>, escapes: Escapes) -> Result<Output, ExpandError> {
        let mut output = Output::default();
        while let Some(char) = self.peek() {
            let start = self.at;
            self.next();
            match char {
                _ if Some(char) == stop => return Ok(output.finish()),
                '$' => output.split(&self.dollar(start)?),
                '\'' if self.style.quotes != Quotes::Ordinary => {
                    output.quoted(&self.single_quoted(start)?);
                }
                '"' if self.style.quotes != Quotes::Ordinary => {
                    output.quoted(&self.double_quoted(start, escapes)?);
                }
                _ if char == self.style.escape => self.escape(&mut output, escapes),
                _ => output.split(&self.text[start..self.at]),
            }
            self.check_length(start, output.text.len())?;
        }
        match stop {
            None => Ok(output.finish()),
            Some('/') => Err(self.error(self.at, Problem::MissingSlash)),
            Some(_) => Err(self.error(self.at, Problem::MissingBrace)),
        }
    }

    /// The escape was read: what follows it has no meaning, and the last one of a text is dropped.
    fn escape(&mut self, output: &mut Output, escapes: Escapes) {
        if escapes == Escapes::Kept {
            output.quoted_char(self.style.escape);
        }
        if let Some(char) = self.next() {
            output.quoted_char(char);
        }
    }

    fn single_quoted(&mut self, start: usize) -> Result<String, ExpandError> {
        let Some(length) = self.text[self.at..].find('\'') else {
            self.at = self.text.len();
            return Err(self.error(start, Problem::OpenSingleQuote));
        };
        let inner = &self.text[self.at..self.at + length];
        self.at += length + 1;
        Ok(self.requoted('\'', inner))
    }

    fn double_quoted(&mut self, start: usize, escapes: Escapes) -> Result<String, ExpandError> {
        let mut inner = String::new();
        loop {
            let at = self.at;
            match self.next() {
                None => return Err(self.error(start, Problem::OpenDoubleQuote)),
                Some('"') => return Ok(self.requoted('"', &inner)),
                Some('$') => inner.push_str(&self.dollar(at)?),
                Some(char) if char == self.style.escape => {
                    self.escape_in_quotes(&mut inner, escapes);
                }
                Some(char) => inner.push(char),
            }
            self.check_length(start, inner.len())?;
        }
    }

    /// Within double quotes only `"`, `$` and the escape itself can be escaped.
    fn escape_in_quotes(&mut self, inner: &mut String, escapes: Escapes) {
        let escape = self.style.escape;
        if escapes == Escapes::Kept {
            inner.push(escape);
        }
        match self.peek() {
            Some(char) if char == '"' || char == '$' || char == escape => {
                self.next();
                inner.push(char);
            }
            Some(_) => inner.push(escape),
            None => {}
        }
    }

    fn requoted(&self, quote: char, inner: &str) -> String {
        match self.style.quotes {
            Quotes::Kept => format!("{quote}{inner}{quote}"),
            Quotes::Removed | Quotes::Ordinary => inner.to_owned(),
        }
    }

    /// The `$` was read.
    fn dollar(&mut self, start: usize) -> Result<String, ExpandError> {
        if self.peek() == Some('{') {
            self.next();
            return self.braced(start);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        let value = self.value(&name);
        Ok(value.unwrap_or_else(|| self.unset(&format!("${name}"))))
    }

    /// The `${` was read.
    fn braced(&mut self, start: usize) -> Result<String, ExpandError> {
        match self.peek() {
            None => return Err(self.error(start, Problem::MissingBrace)),
            Some('{' | '}' | ':') => {
                self.next();
                return Err(self.error(start, Problem::BadSubstitution));
            }
            Some(_) => {}
        }
        if self.depth == MAX_DEPTH {
            return Err(self.error(start, Problem::TooDeep));
        }
        self.depth += 1;
        let name = self.name();
        let value = self.modified(start, &name);
        self.depth -= 1;
        value
    }

    /// What follows the name, up to the closing brace.
    fn modified(&mut self, start: usize, name: &str) -> Result<String, ExpandError> {
        let at = self.at;
        match self.next() {
            None => Err(self.error(start, Problem::MissingBrace)),
            Some('}') => {
                let value = self.value(name);
                Ok(value.unwrap_or_else(|| self.unset(&format!("${{{name}}}"))))
            }
            Some('/') => self.replaced(start, name),
            Some(sign @ ('#' | '%')) => self.trimmed(start, name, sign),
            Some(':') => match self.next() {
                Some(sign @ ('-' | '+' | '?')) => self.chosen(start, name, sign, Empty::IsUnset),
                _ => Err(self.unsupported(start, at)),
            },
            Some(sign @ ('-' | '+' | '?')) => self.chosen(start, name, sign, Empty::IsSet),
            Some(_) => Err(self.unsupported(start, at)),
        }
    }

    /// `${name-word}`, `${name+word}`, `${name?word}` and the same with a colon.
    fn chosen(
        &mut self,
        start: usize,
        name: &str,
        sign: char,
        empty: Empty,
    ) -> Result<String, ExpandError> {
        let word = self.operand(start, '}', Escapes::Removed)?;
        let value = self.value(name);
        if value.is_none() && self.style.unset == Unset::Kept {
            let colon = if empty == Empty::IsUnset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{sign}{word}}}"));
        }
        let was_set = value.is_some();
        let counts = value.filter(|value| empty == Empty::IsSet || !value.is_empty());
        match (sign, counts) {
            ('-', counts) => Ok(counts.unwrap_or(word)),
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            (_, None) => {
                let standard = if was_set { "is not allowed to be empty" } else { "is not set" };
                let message = if word.is_empty() { standard.to_owned() } else { word };
                Err(self.error(start, Problem::Required { name: name.to_owned(), message }))
            }
        }
    }

    /// `${name#pattern}`, `${name%pattern}` and the same with the sign doubled.
    fn trimmed(&mut self, start: usize, name: &str, sign: char) -> Result<String, ExpandError> {
        let operand = self.operand(start, '}', Escapes::Kept)?;
        let Some(value) = self.value(name) else {
            return Ok(self.unset(&format!("${{{name}{sign}{operand}}}")));
        };
        let end = if sign == '#' { End::Prefix } else { End::Suffix };
        let (pattern, take) = match operand.strip_prefix(sign) {
            Some(pattern) => (pattern, Take::Longest),
            None => (operand.as_str(), Take::Shortest),
        };
        let trimmed = pattern::trim(&value, pattern, end, take);
        trimmed.map_err(|BadEscape| self.error(start, Problem::BadPattern(pattern.to_owned())))
    }

    /// `${name/pattern/word}` and `${name//pattern/word}`.
    fn replaced(&mut self, start: usize, name: &str) -> Result<String, ExpandError> {
        let times = if self.peek() == Some('/') { Times::All } else { Times::First };
        if times == Times::All {
            self.next();
        }
        let pattern = self.operand(start, '/', Escapes::Kept)?;
        let with = self.operand(start, '}', Escapes::Kept)?;
        let Some(value) = self.value(name) else {
            return Ok(self.unset(&format!("${{{name}/{pattern}/{with}}}")));
        };
        let most = if times == Times::All { value.len() + 1 } else { 1 };
        if most.saturating_mul(with.len()) > MAX_REPLACED {
            return Err(self.error(start, Problem::TooLong));
        }
        let replaced = pattern::replace(&value, &pattern, &with, times);
        replaced.map_err(|BadEscape| self.error(start, Problem::BadPattern(pattern)))
    }

    fn check_length(&self, start: usize, length: usize) -> Result<(), ExpandError> {
        match length > self.text.len() + MAX_GROWTH {
            true => Err(self.error(start, Problem::TooLong)),
            false => Ok(()),
        }
    }

    fn operand(
        &mut self,
        start: usize,
        stop: char,
        escapes: Escapes,
    ) -> Result<String, ExpandError> {
        let output = self.run(Some(stop), escapes).map_err(|error| match error.problem {
            // These are about the substitution as a whole, not about where the text ended.
            Problem::MissingBrace | Problem::MissingSlash
                if error.span.start == self.text.len() =>
            {
                self.error(start, error.problem)
            }
            _ => error,
        })?;
        Ok(output.text)
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name);
        let names = if value.is_some() { &mut self.result.used } else { &mut self.result.unset };
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
        value.map(str::to_owned)
    }

    fn unset(&self, written: &str) -> String {
        match self.style.unset {
            Unset::Empty => String::new(),
            Unset::Kept => written.to_owned(),
        }
    }

    /// A variable's name; digits and the special parameters of a shell are names too.
    fn name(&mut self) -> String {
        let rest = &self.text[self.at..];
        let length = match rest.chars().next() {
            Some('0'..='9') => run_length(rest, |char| char.is_ascii_digit()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => run_length(rest, |char| char.is_alphanumeric() || char == '_'),
        };
        self.at += length;
        rest[..length].to_owned()
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += char.len_utf8();
        Some(char)
    }

    fn unsupported(&self, start: usize, modifier: usize) -> ExpandError {
        let modifier = self.text[modifier..self.at].to_owned();
        self.error(start, Problem::UnsupportedModifier(modifier))
    }

    fn error(&self, start: usize, problem: Problem) -> ExpandError {
        ExpandError { span: start..self.at, problem }
    }
}

/// Whether a variable that is set to nothing counts as set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    IsSet,
    IsUnset,
}

fn run_length(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|char| !belongs(char)).unwrap_or(text.len())
}
