//! What the language has and this rbuild does not do yet. All of it is refused, none of it ignored.
//!
//! Asked before any image is looked up, and only of what the target needs.

use crate::ast::{AddFiles, CopyFiles, Instruction, Kind, Text};
use crate::diagnostic::Diagnostic;
use crate::options::Options;
use crate::source::{Span, Spanned};

/// Frontends whose language is this one.
const THIS_LANGUAGE: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// A `# syntax` line, or the build argument that beats it, naming another frontend.
pub(super) fn syntax(directive: Option<&Text>, options: &Options) -> Option<Diagnostic> {
    let (reference, span) = match (options.build_args.get("BUILDKIT_SYNTAX"), directive) {
        (Some(given), _) => (given.as_str(), 0..0),
        (None, Some(text)) => (text.as_str(), text.span()),
        (None, None) => return None,
    };
    let reference = reference.split_whitespace().next().unwrap_or_default();
    if reference == "dockerfile.v0" || THIS_LANGUAGE.contains(&repository(reference)) {
        return None;
    }
    let message = format!("the frontend `{reference}` cannot be run by this rbuild");
    Some(
        Diagnostic::error("unsupported-syntax", span, message)
            .with_help("this rbuild speaks the language of `docker/dockerfile` itself"),
    )
}

/// A reference without host, tag and digest.
fn repository(reference: &str) -> &str {
    let reference = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let name = reference.split('@').next().unwrap_or(reference);
    name.split(':').next().unwrap_or(name)
}

/// What cannot be done of one instruction.
pub(super) fn instruction(instruction: &Instruction) -> Vec<Diagnostic> {
    match &instruction.kind {
        Kind::Copy(copy) => of_copy(copy),
        Kind::Add(add) => of_add(add),
        _ => Vec::new(),
    }
}

fn of_copy(copy: &CopyFiles) -> Vec<Diagnostic> {
    let link = set(copy.transfer.link.as_ref()).map(|span| refuse("COPY --link", span));
    let parents = set(copy.parents.as_ref()).map(|span| refuse("COPY --parents", span));
    link.into_iter().chain(parents).collect()
}

fn of_add(add: &AddFiles) -> Vec<Diagnostic> {
    let link = set(add.transfer.link.as_ref()).map(|span| refuse("ADD --link", span));
    link.into_iter().collect()
}

fn set(flag: Option<&Spanned<bool>>) -> Option<Span> {
    flag.filter(|flag| flag.value).map(|flag| flag.span.clone())
}

fn refuse(what: &str, span: Span) -> Diagnostic {
    let message = format!("{what} is not supported by this rbuild yet");
    Diagnostic::error("unsupported", span, message)
}
