//! What is wrong with a Dockerfile, as data, and the only place that turns it into text for people.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, normalize_untrusted_str};

use crate::address::masked;
use crate::source::{Source, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing can be built.
    Error,
    /// Worth knowing.
    Warning,
}

/// One finding at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The stable name of this kind of finding, such as `unknown-instruction`.
    pub code: &'static str,
    /// What is wrong: lower case, one line, the user's values in backticks.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What to write next to the marked place.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// What else is good to know.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// An error without label, help or notes.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message.into())
    }

    /// A warning without label, help or notes.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message.into())
    }

    /// The same with a label at the marked place.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same with advice.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with one more note.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn new(severity: Severity, code: &'static str, span: Span, message: String) -> Self {
        Self { severity, code, message, span, label: None, help: None, notes: Vec::new() }
    }
}

/// Whether rendered text holds ANSI colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// For files and pipes.
    Never,
    /// For terminals.
    Always,
}

/// Renders findings of one file in the order of the slice, a blank line between two. Ends with a
/// line end unless there are none.
pub fn render(diagnostics: &[Diagnostic], source: &Source, color: Color) -> String {
    let rendered: Vec<_> = diagnostics
        .iter()
        .map(|diagnostic| render_with_context(diagnostic, source, color, 0))
        .collect();
    rendered.join("\n")
}

/// Renders one finding with some lines of the file before and after its place: for a step that
/// failed.
pub fn render_with_context(
    diagnostic: &Diagnostic,
    source: &Source,
    color: Color,
    lines: usize,
) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let span = inside(source.text(), &diagnostic.span);
    // As long as the file, so that every place is where it was.
    let text = masked(source.text());
    let snippet = snippet(diagnostic, (source, &text), span, lines);
    let help = diagnostic.help.iter().map(|help| Level::HELP.message(clean(help)));
    let notes = diagnostic.notes.iter().map(|note| Level::NOTE.message(clean(note)));
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let group = title.element(snippet).elements(help).elements(notes);
    let renderer = match color {
        Color::Never => Renderer::plain(),
        Color::Always => Renderer::styled(),
    };
    format!("{}\n", renderer.render(&[group]))
}

fn snippet<'a>(
    diagnostic: &'a Diagnostic,
    (source, text): (&'a Source, &'a str),
    span: Span,
    lines: usize,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let visible = around(source, &span, lines);
    let visible =
        visible.into_iter().map(|line| AnnotationKind::Visible.span(line.start..line.start));
    let mark = AnnotationKind::Primary.span(span).label(diagnostic.label.as_deref().map(clean));
    Snippet::source(text).path(source.name()).annotation(mark).annotations(visible)
}

/// Up to `lines` lines before and after the lines which a span touches.
fn around(source: &Source, span: &Span, lines: usize) -> Vec<Span> {
    let all: Vec<_> = source.lines().collect();
    let first = all.partition_point(|line| line.end <= span.start);
    let behind = all.partition_point(|line| line.start < span.end).max(first + 1).min(all.len());
    let before = &all[first.saturating_sub(lines).min(first)..first.min(all.len())];
    let after = &all[behind..(behind + lines).min(all.len())];
    before.iter().chain(after).cloned().collect()
}

/// Control characters of the file must not reach the terminal.
fn clean(text: &str) -> String {
    normalize_untrusted_str(text)
}

/// The span cut to the text and to whole characters.
fn inside(text: &str, span: &Span) -> Span {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    let start = floor(span.start).unwrap_or(0);
    start..floor(span.end).unwrap_or(0).max(start)
}

#[cfg(test)]
mod tests;
