//! Lowering: stages and the images they build on, to a graph of ops and an image config.
//!
//! One file below per group of instructions. Each instruction changes the state of its stage, and
//! those that touch files add a vertex. Only what the target needs is lowered. What an op does is
//! the worker's business; what cannot be done yet was refused before, in `stage`.

mod arguments;
mod config;
mod copy;
mod environment;
mod expose;
mod gotext;
pub(crate) mod mount;
mod path;
mod remote;
mod run;
mod signal;
mod stage;
mod title;

use std::collections::{BTreeMap, BTreeSet};

use rbuild_solver::graph::{Graph, VertexId};
use rbuild_solver::op::Platform;

use crate::config::ImageConfig;
use crate::diagnostic::Diagnostic;
use crate::options::Options;
use crate::stage::{BaseRequest, Bases, StageGraph};

pub use remote::git_op;

use stage::{Lowering, StageState};

/// What a build for one platform needs of a graph, and what its image says.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// Whose result is the image's tree; none for an image without layers.
    pub target: Option<VertexId>,
    /// What else has to be built, and adds nothing to the image.
    pub also: Vec<VertexId>,
    /// The image's config. Times, and the digests of the layers that the build adds, are left to the
    /// exporter.
    pub config: ImageConfig,
    /// The platform of the image.
    pub platform: Platform,
    /// What the user should know.
    pub warnings: Vec<Diagnostic>,
}

/// Lowers what the target needs into `graph`. Every image that [`StageGraph::bases`] asks for must
/// be in `bases`. What was lowered for another platform before and is the same for this one is there
/// once.
///
/// The errors are in the order of the file.
pub fn lower(
    graph: &mut Graph,
    stages: &StageGraph,
    bases: &Bases,
    options: &Options,
) -> Result<Lowered, Vec<Diagnostic>> {
    let reach = stages.reach(bases)?;
    if !reach.missing.is_empty() {
        return Err(reach.missing.iter().map(not_looked_up).collect());
    }
    let mut lowering = Lowering {
        stages,
        bases,
        options,
        reach: &reach,
        graph,
        done: BTreeMap::new(),
        diagnostics: Vec::new(),
        warnings: Vec::new(),
        declared: arguments::declared(stages, &reach),
    };
    for index in reach.stages.keys() {
        lowering.stage(*index);
    }
    let Lowering { mut done, mut diagnostics, mut warnings, declared, .. } = lowering;
    if !diagnostics.is_empty() {
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        return Err(diagnostics);
    }
    warnings.extend(arguments::unused(stages, options, &declared));
    let tip = |stage: &usize| done.get(stage)?.tip;
    let also: BTreeSet<VertexId> = stages.also.iter().filter_map(tip).collect();
    let state = done.remove(&stages.target).unwrap_or_default();
    let target = state.tip;
    let also = also.into_iter().filter(|also| Some(*also) != target).collect();
    let (config, platform) = finish(state, options);
    Ok(Lowered { target, also, config, platform, warnings })
}

/// A build for another platform says so, whatever the base says of itself.
fn finish(state: StageState, options: &Options) -> (ImageConfig, Platform) {
    let mut config = state.config;
    config.config.labels.extend(options.labels.clone());
    let unknown = config.os.is_empty() || config.architecture.is_empty();
    if options.platform != options.build_platform || unknown {
        let Platform { os, architecture, variant } = options.platform.clone();
        let same = config.os == os && config.architecture == architecture;
        if !same || !variant.is_empty() {
            config.variant = variant;
        }
        (config.os, config.architecture) = (os, architecture);
    }
    let platform = Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
    };
    (config, platform)
}

fn not_looked_up(request: &BaseRequest) -> Diagnostic {
    let message = format!("`{}` for {} was not looked up", request.reference, request.platform);
    Diagnostic::error("unresolved-base", request.span.clone(), message)
}

/// The names of arguments that some `ARG` declares.
type Declared = BTreeSet<String>;
