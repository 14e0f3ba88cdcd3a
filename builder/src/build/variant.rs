//! One file, read once for each platform that is built for: the stages of each, their bases, and all
//! of them lowered into one graph, where what is the same for several platforms is there once.
//!
//! What is said about a file is said once, however many platforms it is wrong for.

use rbuild_frontend::Options as FrontendOptions;
use rbuild_frontend::ast::Ast;
use rbuild_frontend::diagnostic::Diagnostic;
use rbuild_frontend::lower::{Lowered, lower};
use rbuild_frontend::parser::{Parsed, Stages};
use rbuild_frontend::source::Source;
use rbuild_frontend::stage::{BaseRequest, Bases, StageGraph, stages};
use rbuild_solver::graph::{Graph, VertexId};

use crate::options::BuildOptions;

/// The file as one platform sees it.
pub struct Variant {
    /// What it is read with.
    pub options: FrontendOptions,
    /// Its stages.
    pub stages: StageGraph,
}

/// Everything that is to be done, and what comes of it for each platform.
pub struct Work {
    /// The ops of all platforms.
    pub graph: Graph,
    /// What each platform needs of them, in the order in which they were asked for.
    pub platforms: Vec<Lowered>,
    /// What the user should know.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the stages for every platform.
pub fn variants(
    ast: &Ast,
    source: &Source,
    options: &BuildOptions,
) -> Result<Vec<Variant>, Vec<Diagnostic>> {
    all(options.readings().map(|options| {
        let stages = stages(ast, source, &options)?;
        Ok(Variant { options, stages })
    }))
}

/// What is wrong with the stages of a file that has other errors, if its stages can be told.
pub fn wrong_with_stages(
    parsed: &Parsed,
    source: &Source,
    options: &BuildOptions,
) -> Vec<Diagnostic> {
    if parsed.stages == Stages::Unknown {
        return Vec::new();
    }
    let variants = variants(&parsed.ast, source, options);
    let missing = variants.and_then(|variants| missing_bases(&variants, &Bases::default()));
    missing.err().unwrap_or_default()
}

/// What still has to be looked up for any of them, each image once.
pub fn missing_bases(
    variants: &[Variant],
    known: &Bases,
) -> Result<Vec<BaseRequest>, Vec<Diagnostic>> {
    let missing = all(variants.iter().map(|variant| variant.stages.bases(known)))?;
    let mut requests: Vec<BaseRequest> = Vec::new();
    for request in missing.into_iter().flatten() {
        let same = |other: &BaseRequest| {
            (&other.reference, &other.platform) == (&request.reference, &request.platform)
        };
        if !requests.iter().any(same) {
            requests.push(request);
        }
    }
    Ok(requests)
}

/// Lowers what every platform needs.
pub fn lower_all(variants: &[Variant], bases: &Bases) -> Result<Work, Vec<Diagnostic>> {
    let mut graph = Graph::new();
    let platforms =
        all(variants.iter().map(|it| lower(&mut graph, &it.stages, bases, &it.options)))?;
    let warnings = platforms.iter().flat_map(|lowered| lowered.warnings.clone());
    let warnings = each_once(warnings.collect());
    Ok(Work { graph, platforms, warnings })
}

/// The same list without what is said already.
pub fn each_once<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in list {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

/// All results, or all that is wrong in the order of the file.
fn all<T>(
    results: impl Iterator<Item = Result<T, Vec<Diagnostic>>>,
) -> Result<Vec<T>, Vec<Diagnostic>> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(one) => good.push(one),
            Err(diagnostics) => wrong.extend(diagnostics),
        }
    }
    if wrong.is_empty() {
        return Ok(good);
    }
    let mut wrong = each_once(wrong);
    wrong.sort_by_key(|diagnostic| diagnostic.span.start);
    Err(wrong)
}

impl Work {
    /// What is built: of each platform the target, if it has layers, and what is built besides.
    pub fn targets(&self) -> Vec<VertexId> {
        let of = |lowered: &Lowered| lowered.target.into_iter().chain(lowered.also.clone());
        each_once(self.platforms.iter().flat_map(of).collect())
    }
}
