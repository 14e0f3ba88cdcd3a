//! The rules, applied: beside a build, or instead of one.

use rbuild_frontend::ast::Ast;
use rbuild_frontend::diagnostic::{Diagnostic, Severity};
use rbuild_frontend::lint::{Facts, Finding, Findings, OnWarning, lint};
use rbuild_frontend::lower::lower;
use rbuild_frontend::outline::{Outline, Target, outline, targets};
use rbuild_frontend::parser::parse;
use rbuild_frontend::source::Source;
use rbuild_frontend::stage::{BaseRequest, Bases, StageGraph, stages, stages_with_errors};

use super::{BuildError, error, now, open_context, policy};
use crate::cli::Session;
use crate::exit::Exit;
use crate::options::BuildOptions;
use crate::progress::Progress;
use crate::source::context::BuildContext;
use crate::source::images::{Images, ImagesError};
use crate::source::remote::Remotes;

/// What came of looking at a file.
pub struct Checked {
    /// The file.
    pub source: Source,
    /// What the parser warns of.
    pub warnings: Vec<Diagnostic>,
    /// What the rules found.
    pub findings: Vec<Finding>,
    /// Why it cannot be built.
    pub errors: Vec<Diagnostic>,
}

/// Shows what the rules find in a file that is about to be built. An error if the file wants that
/// to fail.
pub(super) fn beside_build(
    (ast, source): (&Ast, &Source),
    graph: &StageGraph,
    bases: &Bases,
    options: &BuildOptions,
    context: &BuildContext,
    progress: &Progress,
) -> Result<(), BuildError> {
    let Findings { findings, on_warning } = look(ast, graph, bases, options, context)
        .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, source))?;
    for finding in &findings {
        progress.warning(&error::render(std::slice::from_ref(&finding.diagnostic), source));
    }
    if on_warning == OnWarning::Continue || findings.is_empty() {
        return Ok(());
    }
    let mut names: Vec<&str> = findings.iter().map(|finding| finding.rule.name).collect();
    names.dedup();
    let names = names.join(", ");
    let report =
        format!("error: the file counts warnings as errors (`check=error=true`): {names}\n");
    Err(BuildError::Reported { report, exit: Exit::Build })
}

/// Looks at a file without building it: at the target, or at all stages if none is named. Bases are
/// looked up; where that is not possible, the rules that need one are left out.
pub fn check(
    options: &BuildOptions,
    session: &Session,
    progress: &Progress,
) -> Result<Checked, BuildError> {
    let remotes = Remotes::new(session, &options.given, now(options))?;
    let context = open_context(options, session, &remotes, progress)?;
    let source = Source::new(&context.dockerfile.name, context.dockerfile.text.clone());
    let parsed = parse(&source);
    let is_error = |found: &Diagnostic| found.severity == Severity::Error;
    let (errors, warnings) = parsed.diagnostics.into_iter().partition(is_error);
    let mut checked = Checked { source, warnings, findings: Vec::new(), errors };
    if !checked.errors.is_empty() {
        return Ok(checked);
    }
    let (graph, errors) = stages_with_errors(&parsed.ast, &checked.source, &options.frontend);
    let graph = match options.frontend.target {
        None if errors.is_empty() => graph.with_all_stages(),
        _ => graph,
    };
    let known = known_bases(&graph, options, session, progress)?;
    checked.errors = errors.into_iter().chain(known.errors).collect();
    if checked.errors.is_empty() && known.unknown == Unknown::Nothing {
        let lowered = lower(&graph, &known.bases, &options.frontend);
        checked.errors.extend(lowered.err().unwrap_or_default());
    }
    match look(&parsed.ast, &graph, &known.bases, options, &context) {
        Ok(found) => checked.findings = found.findings,
        Err(errors) => checked.errors.extend(errors),
    }
    Ok(checked)
}

fn look(
    ast: &Ast,
    graph: &StageGraph,
    bases: &Bases,
    options: &BuildOptions,
    context: &BuildContext,
) -> Result<Findings, Vec<Diagnostic>> {
    let hidden = |path: &str| context.files.tree.hides(path.as_bytes());
    lint(&Facts::new(ast, graph, bases, &options.frontend, &hidden))
}

/// What a file offers.
pub struct Offered {
    /// The file.
    pub source: Source,
    /// Its stages.
    pub targets: Vec<Target>,
    /// What the target takes.
    pub outline: Outline,
}

/// Finds what a file offers. No image is looked up.
pub fn offered(
    options: &BuildOptions,
    session: &Session,
    progress: &Progress,
) -> Result<Offered, BuildError> {
    let remotes = Remotes::new(session, &options.given, now(options))?;
    let context = open_context(options, session, &remotes, progress)?;
    let source = Source::new(&context.dockerfile.name, context.dockerfile.text.clone());
    let ast = super::read(&source, progress)?;
    let graph = stages(&ast, &source, &options.frontend)
        .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, &source))?;
    let outline = outline(&ast, &graph, &options.frontend);
    Ok(Offered { targets: targets(&ast), outline, source })
}

/// Bases, as far as they can be had.
struct KnownBases {
    bases: Bases,
    /// Bases that do not exist, and what else is wrong with the stages.
    errors: Vec<Diagnostic>,
    unknown: Unknown,
}

/// Whether something about bases could not be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Nothing,
    Something,
}

/// Looks up what the wanted stages need, until all of it is known or given up.
fn known_bases(
    graph: &StageGraph,
    options: &BuildOptions,
    session: &Session,
    progress: &Progress,
) -> Result<KnownBases, BuildError> {
    let images = Images::open(session, progress)?;
    let mut known =
        KnownBases { bases: Bases::new(), errors: Vec::new(), unknown: Unknown::Nothing };
    let mut given_up: Vec<BaseRequest> = Vec::new();
    loop {
        let (mut missing, errors) = graph.bases_with_errors(&known.bases);
        missing.retain(|request| !given_up.contains(request));
        if missing.is_empty() {
            known.errors.extend(errors);
            return Ok(known);
        }
        let resolved = images.resolve_all(&missing, policy(options), progress, &session.cancel);
        for (request, resolved) in missing.into_iter().zip(resolved) {
            match resolved {
                Ok(base) => {
                    known.bases.insert((request.reference, request.platform), base);
                }
                Err(error) => {
                    known.give_up(&request, error, graph, progress)?;
                    given_up.push(request);
                }
            }
        }
    }
}

impl KnownBases {
    /// A name that means nothing is a mistake of the file; everything else is not its fault.
    fn give_up(
        &mut self,
        request: &BaseRequest,
        error: ImagesError,
        graph: &StageGraph,
        progress: &Progress,
    ) -> Result<(), BuildError> {
        self.unknown = Unknown::Something;
        if error.exit() == Exit::Interrupted {
            return Err(BuildError::Interrupted);
        }
        if error.is_about_the_name() {
            self.errors.push(error::of_base(request, &error, graph));
            return Ok(());
        }
        let name = &request.reference;
        progress
            .notice(&format!("cannot look at `{name}`, rules that need it are left out: {error}"));
        Ok(())
    }
}
