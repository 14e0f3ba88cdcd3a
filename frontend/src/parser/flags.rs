//! The `--name=value` words between a keyword and its arguments.
//!
//! Quotes and backslashes are taken off here, with `\` whatever the escape directive says; what
//! remains may hold variables that lowering expands.

use crate::ast::{Text, TextBuilder};
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Spanned};

use super::keyword::{FlagKind, FlagSpec, Keyword};
use super::statement::Context;
use super::suggest;

/// The flags of one instruction.
#[derive(Debug, Default)]
pub(super) struct Flags {
    given: Vec<Flag>,
    open_quote: Option<Span>,
}

#[derive(Debug)]
struct Flag {
    name: Text,
    value: Option<Text>,
    span: Span,
}

/// Separates the flags from the arguments. A bare `--` ends the flags.
pub(super) fn take(rest: &Text) -> (Flags, Text) {
    let mut flags = Flags::default();
    let value = rest.as_str();
    let mut at = 0;
    loop {
        at += value[at..].len() - value[at..].trim_start().len();
        if !value[at..].starts_with("--") {
            break;
        }
        let word = FlagWord::read(rest, at);
        at = word.end;
        if word.text == "--" {
            break;
        }
        flags.open_quote = flags.open_quote.or(word.open_quote);
        flags.given.push(Flag::new(&word.text));
    }
    (flags, rest.slice(at..value.len()).trimmed())
}

struct FlagWord {
    text: Text,
    end: usize,
    open_quote: Option<Span>,
}

impl FlagWord {
    fn read(rest: &Text, start: usize) -> Self {
        let mut text = TextBuilder::new(rest.span_of(start..start + 1).start);
        let mut quote = None;
        let mut chars = rest.as_str()[start..].char_indices().map(|(at, ch)| (start + at, ch));
        let mut end = rest.as_str().len();
        while let Some((at, ch)) = chars.next() {
            let kept = match (quote, ch) {
                (None, ch) if ch.is_whitespace() => {
                    end = at;
                    break;
                }
                (None, '\'' | '"') => {
                    quote = Some((ch, at));
                    None
                }
                (Some((open, _)), ch) if open == ch => {
                    quote = None;
                    None
                }
                (_, '\\') => chars.next(),
                (_, ch) => Some((at, ch)),
            };
            if let Some((at, ch)) = kept {
                text.push_text(&rest.slice(at..at + ch.len_utf8()));
            }
        }
        let open_quote = quote.map(|(_, at)| rest.span_of(at..at + 1));
        Self { text: text.finish(), end, open_quote }
    }
}

impl Flag {
    fn new(word: &Text) -> Self {
        let text = word.as_str();
        let equals = text.find('=');
        let name = word.slice(2.min(text.len())..equals.unwrap_or(text.len()).max(2));
        let value = equals.map(|at| word.slice(at + 1..text.len()));
        Self { name, value, span: word.span() }
    }
}

impl Flags {
    /// Where the first one stands.
    pub fn first_span(&self) -> Option<Span> {
        self.given.first().map(|flag| flag.span.clone())
    }

    /// Whether a quote among the flags swallowed the rest of the line.
    pub fn are_open(&self) -> bool {
        self.open_quote.is_some()
    }

    /// Reports the flags that the instruction does not take, or not like this.
    pub fn check(&self, keyword: Keyword, context: &mut Context<'_>) {
        for (index, flag) in self.given.iter().enumerate() {
            match keyword.flag(flag.name.as_str()) {
                None => context.report(unknown(flag, keyword)),
                Some(spec) => {
                    let earlier = &self.given[..index];
                    context.diagnostics.extend(flag.wrong(spec, earlier));
                }
            }
        }
        if let Some(span) = &self.open_quote {
            let error = Diagnostic::error("open-quote", span.clone(), "this quote is never closed");
            context.report(error.with_help("close it before the next blank"));
        }
    }

    /// The value of a flag that is given at most once.
    pub fn text(&self, name: &str) -> Option<Text> {
        self.given.iter().find(|flag| flag.name == name)?.value.clone()
    }

    /// A flag that is on or off.
    pub fn switch(&self, name: &str) -> Option<Spanned<bool>> {
        let flag = self.given.iter().find(|flag| flag.name == name)?;
        let off = flag.value.as_ref().is_some_and(|v| v.as_str().eq_ignore_ascii_case("false"));
        Some(Spanned { value: !off, span: flag.span.clone() })
    }

    /// The values of a flag that can be repeated.
    pub fn list(&self, name: &str) -> Vec<Text> {
        let flags = self.given.iter().filter(|flag| flag.name == name);
        flags.filter_map(|flag| flag.value.clone()).collect()
    }
}

impl Flag {
    fn wrong(&self, spec: FlagSpec, earlier: &[Flag]) -> Option<Diagnostic> {
        let again = earlier.iter().any(|flag| flag.name == spec.name);
        match (spec.kind, &self.value) {
            (FlagKind::Text | FlagKind::Switch, _) if again => Some(self.repeated()),
            (FlagKind::Text | FlagKind::List, None) => Some(self.without_value()),
            (FlagKind::Switch, Some(value)) if !is_bool(value.as_str()) => {
                Some(self.not_bool(value))
            }
            _ => None,
        }
    }

    fn repeated(&self) -> Diagnostic {
        let message = format!("the flag `--{}` is given twice", self.name);
        Diagnostic::error("duplicate-flag", self.span.clone(), message)
            .with_help("remove one of them")
    }

    fn without_value(&self) -> Diagnostic {
        let message = format!("the flag `--{}` needs a value", self.name);
        Diagnostic::error("missing-flag-value", self.span.clone(), message)
            .with_help(format!("write `--{}=VALUE`, without blanks around `=`", self.name))
    }

    fn not_bool(&self, value: &Text) -> Diagnostic {
        let message = format!("the flag `--{}` is either on or off", self.name);
        let label = match value.is_empty() {
            true => "there is nothing behind `=`".to_owned(),
            false => format!("`{value}` is neither `true` nor `false`"),
        };
        Diagnostic::error("invalid-flag-value", self.span.clone(), message)
            .with_label(label)
            .with_help(format!("write `--{}` or `--{0}=false`", self.name))
    }
}

fn is_bool(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

fn unknown(flag: &Flag, keyword: Keyword) -> Diagnostic {
    let name = flag.name.as_str();
    let message = format!("`{}` has no flag `--{name}`", keyword.name());
    let error = Diagnostic::error("unknown-flag", flag.span.clone(), message);
    let names = keyword.flags().iter().map(|spec| spec.name);
    if let Some(near) = suggest::nearest(name, names) {
        return error.with_help(format!("did you mean `--{near}`?"));
    }
    let error = match Keyword::ALL.into_iter().find(|other| other.flag(name).is_some()) {
        Some(other) => error.with_note(format!("`--{name}` is a flag of `{}`", other.name())),
        None => error,
    };
    error.with_help(known_flags(keyword))
}

fn known_flags(keyword: Keyword) -> String {
    let flags: Vec<_> = keyword.flags().iter().map(|flag| format!("`--{}`", flag.name)).collect();
    match flags.as_slice() {
        [] => format!(
            "`{}` takes no flags; put `--` before an argument that begins like one",
            keyword.name()
        ),
        [only] => format!("its only flag is {only}"),
        [most @ .., last] => format!("its flags are {} and {last}", most.join(", ")),
    }
}
