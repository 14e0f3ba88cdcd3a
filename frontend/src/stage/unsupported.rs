//! What the language has and this rbuild does not do yet. All of it is refused, none of it ignored.
//!
//! Asked before any image is looked up, and only of what the target needs.

use crate::ast::{AddFiles, CopyFiles, Instruction, Kind, Run, Text, TransferSource};
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
        Kind::Run(run) => of_run(run),
        Kind::Copy(copy) => of_copy(copy),
        Kind::Add(add) => of_add(add),
        _ => Vec::new(),
    }
}

fn of_run(run: &Run) -> Vec<Diagnostic> {
    let mounts = run.mounts.iter().map(|mount| refuse("RUN --mount", mount.span()));
    let devices = run.devices.iter().map(|device| refuse("RUN --device", device.span()));
    let insecure = run
        .security
        .as_ref()
        .filter(|security| security.value == crate::ast::RunSecurity::Insecure)
        .map(|security| refuse("RUN --security=insecure", security.span.clone()));
    mounts.chain(devices).chain(insecure).collect()
}

fn of_copy(copy: &CopyFiles) -> Vec<Diagnostic> {
    let link = set(copy.transfer.link.as_ref()).map(|span| refuse("COPY --link", span));
    let parents = set(copy.parents.as_ref()).map(|span| refuse("COPY --parents", span));
    let remote = copy.transfer.sources.iter().filter_map(path).filter(|path| is_remote(path));
    let remote = remote.map(|path| {
        let message = format!("COPY takes files, `{path}` is an address");
        Diagnostic::error("remote-source", path.span(), message).with_help("use ADD")
    });
    link.into_iter().chain(parents).chain(remote).collect()
}

fn of_add(add: &AddFiles) -> Vec<Diagnostic> {
    let link = set(add.transfer.link.as_ref()).map(|span| refuse("ADD --link", span));
    let git = set(add.keep_git_dir.as_ref()).map(|span| refuse("ADD --keep-git-dir", span));
    let checksum = add.checksum.as_ref().map(|text| refuse("ADD --checksum", text.span()));
    let remote = add.transfer.sources.iter().filter_map(path).filter(|path| is_remote(path));
    let remote = remote.map(|path| refuse("ADD of an address", path.span()));
    link.into_iter().chain(git).chain(checksum).chain(remote).collect()
}

fn path(source: &TransferSource) -> Option<&Text> {
    match source {
        TransferSource::Path(path) => Some(path),
        TransferSource::Heredoc(_) => None,
    }
}

/// URLs and the short forms of git; what only shows after expansion is found by lowering.
pub(crate) fn is_remote(path: &Text) -> bool {
    is_address(path.as_str())
}

/// Whether a source is an address rather than a path of the build context: a URL, or what `ssh` calls
/// `user@host:path`.
pub(crate) fn is_address(path: &str) -> bool {
    let schemes = ["http://", "https://", "git://", "ssh://"];
    schemes.iter().any(|scheme| path.starts_with(scheme)) || is_ssh_path(path)
}

fn is_ssh_path(path: &str) -> bool {
    let of_name = |part: &str, more: char| {
        let belongs = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == more;
        !part.is_empty() && part.chars().all(belongs)
    };
    let host = path.split_once('@').and_then(|(user, rest)| Some((user, rest.split_once(':')?.0)));
    host.is_some_and(|(user, host)| of_name(user, '_') && of_name(host, '.'))
}

fn set(flag: Option<&Spanned<bool>>) -> Option<Span> {
    flag.filter(|flag| flag.value).map(|flag| flag.span.clone())
}

fn refuse(what: &str, span: Span) -> Diagnostic {
    let message = format!("{what} is not supported by this rbuild yet");
    Diagnostic::error("unsupported", span, message)
}
