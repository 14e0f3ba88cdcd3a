//! The rules, applied: beside a build, or instead of one.

use rbuild_frontend::Options as FrontendOptions;
use rbuild_frontend::ast::Ast;
use rbuild_frontend::diagnostic::{Diagnostic, Severity};
use rbuild_frontend::lint::{Facts, Finding, Findings, OnWarning, lint};
use rbuild_frontend::lower::lower;
use rbuild_frontend::outline::{Outline, Target, outline, targets};
use rbuild_frontend::parser::parse;
use rbuild_frontend::source::Source;
use rbuild_frontend::stage::{BaseRequest, Bases, StageGraph, stages, stages_with_errors};
use rbuild_solver::graph::Graph;

use super::variant::{Variant, each_once, wrong_with_stages};
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
    variants: &[Variant],
    bases: &Bases,
    context: &BuildContext,
    progress: &Progress,
) -> Result<(), BuildError> {
    let (mut findings, mut on_warning) = (Vec::new(), OnWarning::Continue);
    for Variant { options, stages } in variants {
        let found = look(ast, stages, bases, options, context)
            .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, source))?;
        add_new(&mut findings, found.findings);
        on_warning = found.on_warning;
    }
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
    let (context, source) = open(options, session, progress)?;
    let parsed = parse(&source);
    let stages = match parsed.has_errors() {
        true => wrong_with_stages(&parsed, &source, options),
        false => Vec::new(),
    };
    let is_error = |found: &Diagnostic| found.severity == Severity::Error;
    let (mut errors, warnings): (Vec<_>, _) = parsed.diagnostics.into_iter().partition(is_error);
    errors.extend(stages);
    errors.sort_by_key(|error| error.span.start);
    let mut checked = Checked { source, warnings, findings: Vec::new(), errors };
    if !checked.errors.is_empty() {
        return Ok(checked);
    }
    let mut known = KnownBases::default();
    for frontend in options.readings() {
        let (graph, errors) = stages_with_errors(&parsed.ast, &checked.source, &frontend);
        let graph = match frontend.target {
            None if errors.is_empty() => graph.with_all_stages(),
            _ => graph,
        };
        known.errors = errors;
        known.look_up(&graph, options, session, progress)?;
        if known.errors.is_empty() && known.unknown == Unknown::Nothing {
            let lowered = lower(&mut Graph::new(), &graph, &known.bases, &frontend);
            known.errors.extend(lowered.err().unwrap_or_default());
        }
        checked.errors.append(&mut known.errors);
        match look(&parsed.ast, &graph, &known.bases, &frontend, &context) {
            Ok(found) => add_new(&mut checked.findings, found.findings),
            Err(errors) => checked.errors.extend(errors),
        }
    }
    checked.errors = each_once(checked.errors);
    Ok(checked)
}

/// The build context, and the file in it that is looked at.
fn open(
    options: &BuildOptions,
    session: &Session,
    progress: &Progress,
) -> Result<(BuildContext, Source), BuildError> {
    let remotes = Remotes::new(session, &options.given, now(options))?;
    let context = open_context(options, session, &remotes, progress)?;
    let source = Source::new(&context.dockerfile.name, context.dockerfile.text.clone());
    Ok((context, source))
}

fn look(
    ast: &Ast,
    graph: &StageGraph,
    bases: &Bases,
    options: &FrontendOptions,
    context: &BuildContext,
) -> Result<Findings, Vec<Diagnostic>> {
    let hidden = |path: &str| context.files.tree.hides(path.as_bytes());
    lint(&Facts::new(ast, graph, bases, options, &hidden))
}

/// Adds what was not found for an earlier platform, in the order of the file.
fn add_new(findings: &mut Vec<Finding>, found: Vec<Finding>) {
    for finding in found {
        if !findings.iter().any(|known| known.diagnostic == finding.diagnostic) {
            findings.push(finding);
        }
    }
    findings.sort_by_key(|finding| finding.diagnostic.span.start);
}

/// What a file offers.
pub struct Offered {
    /// Its stages.
    pub targets: Vec<Target>,
    /// What the target takes.
    pub outline: Outline,
}

/// Finds what a file offers, for the first platform, or all that is wrong with it; and the file.
/// No image is looked up.
pub fn offered(
    options: &BuildOptions,
    session: &Session,
    progress: &Progress,
) -> Result<(Source, Result<Offered, Vec<Diagnostic>>), BuildError> {
    let (_, source) = open(options, session, progress)?;
    let offered = super::read(&source, options, progress).and_then(|ast| {
        let graph = stages(&ast, &source, &options.frontend)?;
        Ok(Offered { targets: targets(&ast), outline: outline(&ast, &graph, &options.frontend) })
    });
    Ok((source, offered))
}

/// Bases, as far as they can be had.
#[derive(Default)]
struct KnownBases {
    bases: Bases,
    /// Bases that do not exist, and what else is wrong with the stages.
    errors: Vec<Diagnostic>,
    unknown: Unknown,
    given_up: Vec<BaseRequest>,
}

/// Whether something about bases could not be found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Unknown {
    #[default]
    Nothing,
    Something,
}

impl KnownBases {
    /// Looks up what the wanted stages need, until all of it is known or given up.
    fn look_up(
        &mut self,
        graph: &StageGraph,
        options: &BuildOptions,
        session: &Session,
        progress: &Progress,
    ) -> Result<(), BuildError> {
        let images = Images::open(session, progress)?;
        let shown = (options.frontend.platforms, progress);
        loop {
            let (mut missing, errors) = graph.bases_with_errors(&self.bases);
            missing.retain(|request| !self.given_up.contains(request));
            if missing.is_empty() {
                self.errors.extend(errors);
                return Ok(());
            }
            let resolved = images.resolve_all(&missing, policy(options), shown, &session.cancel);
            for (request, resolved) in missing.into_iter().zip(resolved) {
                match resolved {
                    Ok(base) => {
                        self.bases.insert((request.reference, request.platform), base);
                    }
                    Err(error) => {
                        self.give_up(&request, error, graph, progress)?;
                        self.given_up.push(request);
                    }
                }
            }
        }
    }

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
