//! Variables that are in force at one place of a Dockerfile, and expansion that points at the file.

use crate::ast::Text;
use crate::diagnostic::Diagnostic;
use crate::expand::{ExpandError, Expanded, Problem, Style, Variables};

/// What is wrong with one instruction.
pub(crate) type Fallible<T> = Result<T, Box<Diagnostic>>;

/// Variables in the order in which their names first appeared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope(Vec<(String, String)>);

impl Scope {
    /// Sets a variable; one that is there keeps its place.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The variables in order.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

impl Variables for Scope {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Expands a piece of the file.
pub(crate) fn expand(style: Style, text: &Text, scope: &dyn Variables) -> Fallible<Expanded> {
    style.expand(text.as_str(), scope).map_err(|error| Box::new(diagnostic(text, error)))
}

fn diagnostic(text: &Text, error: ExpandError) -> Diagnostic {
    let span = text.span_of(error.span);
    let code = match error.problem {
        Problem::OpenSingleQuote | Problem::OpenDoubleQuote => "unclosed-quote",
        Problem::Required { .. } => "required-variable",
        _ => "bad-substitution",
    };
    let help = help(&error.problem);
    Diagnostic { help, ..Diagnostic::error(code, span, error.problem.to_string()) }
}

fn help(problem: &Problem) -> Option<String> {
    let help = match problem {
        Problem::OpenSingleQuote => "add the second quote, or write `\\'` for an apostrophe",
        Problem::OpenDoubleQuote => "add the second quote, or write `\\\"` for a quote that stays",
        Problem::BadSubstitution => "write `\\$` for a dollar sign that is no variable",
        Problem::MissingBrace => {
            "add the `}`; around blanks it needs quotes: `\"${A:-some text}\"`"
        }
        Problem::UnsupportedModifier(_) => {
            "known are `:-`, `-`, `:+`, `+`, `:?`, `?`, `#`, `##`, `%`, `%%`, `/` and `//`"
        }
        Problem::Required { name, .. } => {
            return Some(format!("set it with `--build-arg {name}=VALUE`, `ARG` or `ENV`"));
        }
        Problem::MissingSlash | Problem::BadPattern(_) | Problem::TooDeep | Problem::TooLong => {
            return None;
        }
    };
    Some(help.to_owned())
}
