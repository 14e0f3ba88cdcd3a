//! The `# key=value` lines at the top of a file.
//!
//! The block ends at the first line which is anything else: an instruction, a blank line, an
//! ordinary comment or a key nobody knows.

use crate::ast::{Directives, Escape, Text};
use crate::diagnostic::Diagnostic;

use super::Lexer;

impl Lexer<'_> {
    /// Reads the directives and takes over the escape character. To be called first.
    pub fn directives(&mut self, diagnostics: &mut Vec<Diagnostic>) -> Directives {
        let mut seen = Seen::default();
        while let Some((name, key, value)) = self.peek_directive() {
            self.next += 1;
            let slot = seen.slot(key);
            if slot.is_some() {
                diagnostics.push(repeated(&name, key));
            }
            *slot = Some(value);
        }
        let escape = seen.escape.as_ref().and_then(|value| escape(value, diagnostics));
        self.escape = escape.unwrap_or_default();
        Directives { syntax: seen.syntax, escape: self.escape, check: seen.check }
    }

    fn peek_directive(&self) -> Option<(Text, Key, Text)> {
        let span = self.lines.get(self.next)?;
        let line = Text::verbatim(&self.source.text()[span.clone()], span.start).trimmed();
        line.as_str().strip_prefix('#')?;
        let equals = line.as_str().find('=')?;
        let name = line.slice(1..equals).trimmed();
        let value = line.slice(equals + 1..line.as_str().len()).trimmed();
        let key = Key::new(name.as_str())?;
        (!value.is_empty()).then_some((name, key, value))
    }
}

#[derive(Debug, Clone, Copy)]
enum Key {
    Syntax,
    Escape,
    Check,
}

impl Key {
    fn new(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "syntax" => Some(Self::Syntax),
            "escape" => Some(Self::Escape),
            "check" => Some(Self::Check),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        }
    }
}

#[derive(Default)]
struct Seen {
    syntax: Option<Text>,
    escape: Option<Text>,
    check: Option<Text>,
}

impl Seen {
    fn slot(&mut self, key: Key) -> &mut Option<Text> {
        match key {
            Key::Syntax => &mut self.syntax,
            Key::Escape => &mut self.escape,
            Key::Check => &mut self.check,
        }
    }
}

fn escape(value: &Text, diagnostics: &mut Vec<Diagnostic>) -> Option<Escape> {
    match value.as_str() {
        "\\" => Some(Escape::Backslash),
        "`" => Some(Escape::Backtick),
        other => {
            let message = format!("`{other}` cannot be the escape character");
            let error = Diagnostic::error("invalid-escape", value.span(), message);
            diagnostics.push(error.with_help("the choice is between `\\` and a backtick"));
            None
        }
    }
}

fn repeated(name: &Text, key: Key) -> Diagnostic {
    let message = format!("the directive `{}` is given twice", key.name());
    Diagnostic::error("duplicate-directive", name.span(), message).with_help("remove one of them")
}
