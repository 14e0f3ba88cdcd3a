//! Languages that are not this one: refused before any image is looked up, never guessed at.

use crate::ast::Text;
use crate::diagnostic::Diagnostic;
use crate::options::Options;

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
