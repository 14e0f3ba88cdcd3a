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
    let message = error.problem.to_string();
    match error.problem {
        Problem::OpenSingleQuote | Problem::OpenDoubleQuote => {
            Diagnostic::error("unclosed-quote", span, message)
        }
        Problem::Required { name, .. } => Diagnostic::error("required-variable", span, message)
            .with_help(format!("set it with `--build-arg {name}=VALUE`, `ARG` or `ENV`")),
        Problem::BadSubstitution => Diagnostic::error("bad-substitution", span, message)
            .with_help("write `\\$` for a dollar sign that is no variable"),
        Problem::MissingBrace
        | Problem::MissingSlash
        | Problem::UnsupportedModifier(_)
        | Problem::BadPattern(_)
        | Problem::TooDeep => Diagnostic::error("bad-substitution", span, message),
    }
}
