//! One build from top to bottom. Read this first: one call an arrow of the diagram in
//! ARCHITECTURE.md, one error type a call.

pub mod check;
mod error;
mod output;

use rbuild_cache::Digest;
use rbuild_frontend::ast::Ast;
use rbuild_frontend::diagnostic::{Diagnostic, Severity};
use rbuild_frontend::lower::{Lowered, lower};
use rbuild_frontend::parser::parse;
use rbuild_frontend::source::Source;
use rbuild_frontend::stage::{Bases, StageGraph, stages};
use rbuild_solver::graph::VertexId;
use rbuild_solver::solve::{self, Limits};

use crate::cli::Session;
use crate::machine::Memory;
use crate::options::{BuildOptions, Pull};
use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::source::context::{BuildContext, Reader};
use crate::source::image::Policy;
use crate::source::images::Images;
use crate::source::remote::Remotes;
use crate::worker::logs::Logs;
use crate::worker::sight::looked_at;
use crate::worker::{BuildWorker, Known};

pub use error::BuildError;
use output::Finished;

/// What came of a build.
#[derive(Debug)]
pub struct Built {
    /// The image's id: the digest of its config.
    pub id: Digest,
}

/// Where files come from.
struct Sources<'a> {
    context: &'a BuildContext,
    images: &'a Images,
    remotes: &'a Remotes<'a>,
}

/// Builds what `options` say.
pub fn build(
    options: &BuildOptions,
    session: &Session,
    progress: &Progress,
) -> Result<Built, BuildError> {
    let remotes = Remotes::new(session, now(options))?;
    let context = open_context(options, session, &remotes, progress)?;
    let source = Source::new(&context.dockerfile.name, context.dockerfile.text.clone());
    let ast = read(&source, progress)?;
    let graph = stages(&ast, &source, &options.frontend)
        .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, &source))?;
    let images = Images::open(session, progress)?;
    let bases = resolve(&graph, &images, options, session, &source, progress)?;
    let mut lowered = lower(&graph, &bases, &options.frontend)
        .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, &source))?;
    warn(&lowered.warnings, &source, progress);
    check::beside_build((&ast, &source), &graph, &bases, options, &context, progress)?;
    pin(&mut lowered, &remotes, &source, progress)?;
    let sources = Sources { context: &context, images: &images, remotes: &remotes };
    let finished = run(&lowered, options, session, &sources, &source, progress)?;
    finished.write(options, session, &images, progress)
}

fn open_context(
    options: &BuildOptions,
    session: &Session,
    remotes: &Remotes<'_>,
    progress: &Progress,
) -> Result<BuildContext, BuildError> {
    let phase = progress.phase("[internal] load build definition");
    let keep = options.frontend.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    let keep_git_dir = keep.is_some_and(|keep| keep == "1" || keep.eq_ignore_ascii_case("true"));
    let reader = Reader { store: &session.store, remotes, keep_git_dir };
    let stdin = &mut std::io::stdin();
    let file = options.file.as_deref();
    let mut context = BuildContext::open(&options.context, file, stdin, reader)?;
    for (name, source) in &options.contexts {
        context.add(name, source, reader)?;
    }
    phase.done();
    Ok(context)
}

/// Reads the Dockerfile; shows its warnings, fails on its errors.
fn read(source: &Source, progress: &Progress) -> Result<Ast, BuildError> {
    let parsed = parse(source);
    let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
    if parsed.diagnostics.iter().any(|diagnostic| is_error(&diagnostic)) {
        return Err(BuildError::dockerfile(&parsed.diagnostics, source));
    }
    warn(&parsed.diagnostics, source, progress);
    Ok(parsed.ast)
}

/// Finds the digests and configs of all images that the target needs. A base can ask for more by
/// its ONBUILD instructions, so this goes on until nothing is missing.
fn resolve(
    graph: &StageGraph,
    images: &Images,
    options: &BuildOptions,
    session: &Session,
    source: &Source,
    progress: &Progress,
) -> Result<Bases, BuildError> {
    let mut bases = Bases::default();
    loop {
        let missing = graph
            .bases(&bases)
            .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, source))?;
        if missing.is_empty() {
            return Ok(bases);
        }
        let resolved = images.resolve_all(&missing, policy(options), progress, &session.cancel);
        for (request, resolved) in missing.into_iter().zip(resolved) {
            let resolved =
                resolved.map_err(|error| BuildError::base(&request, error, graph, source))?;
            bases.insert((request.reference, request.platform), resolved);
        }
    }
}

fn policy(options: &BuildOptions) -> Policy {
    match options.pull {
        Pull::Always => Policy::Pull,
        Pull::Missing => Policy::PreferLocal,
    }
}

/// Runs the graph.
fn run(
    lowered: &Lowered,
    options: &BuildOptions,
    session: &Session,
    sources: &Sources<'_>,
    source: &Source,
    progress: &Progress,
) -> Result<Finished, BuildError> {
    let targets = targets(lowered);
    if targets.is_empty() {
        return Ok(Finished::without_layers(lowered));
    }
    let Sources { context, images, remotes } = *sources;
    progress.graph(&lowered.graph);
    let sandbox = Sandbox::new(&session.isolation, options.allowed.clone());
    let memory = Memory::find();
    let worker = BuildWorker {
        store: &session.store,
        sandbox: &sandbox,
        images,
        remotes,
        context,
        logs: Logs::new(&session.store, progress),
        extra_hosts: options.extra_hosts.clone(),
        secrets: options.secrets.clone(),
        agents: options.agents.clone(),
        limits: options.limits,
        memory: &memory,
        epoch: options.frontend.epoch,
        looked_at: looked_at(&lowered.graph, &targets, output::kind(&options.outputs)),
        cancel: &session.cancel,
        known: Known::default(),
    };
    let limits =
        Limits { jobs: options.jobs, memory: options.max_memory.or_else(|| memory.available()) };
    let events = |event| progress.event(&event);
    let mut results =
        solve::solve(&lowered.graph, &targets, &worker, limits, &session.cancel, &events)
            .map_err(|error| BuildError::step(error, &lowered.graph, source))?;
    for files in std::iter::once(&context.files).chain(context.named.values()) {
        if let Err(error) = files.stats.save() {
            progress.notice(&format!("the next build has to read the context again: {error}"));
        }
    }
    Ok(match lowered.target {
        Some(target) => Finished::new(lowered, target, results.remove(0)),
        None => Finished::without_layers(lowered),
    })
}

/// Finds out what everything from elsewhere is now, so that it can be keyed.
fn pin(
    lowered: &mut Lowered,
    remotes: &Remotes<'_>,
    source: &Source,
    progress: &Progress,
) -> Result<(), BuildError> {
    let targets = targets(lowered);
    let pinned = remotes.pin_all(&mut lowered.graph, &targets, progress);
    pinned.map_err(|error| BuildError::remote(error, &lowered.graph, source))
}

/// What is built: the target first, if it has layers.
fn targets(lowered: &Lowered) -> Vec<VertexId> {
    lowered.target.iter().chain(&lowered.also).copied().collect()
}

/// The time of what has none.
fn now(options: &BuildOptions) -> (i64, u32) {
    (options.frontend.epoch.unwrap_or_else(|| jiff::Timestamp::now().as_second()), 0)
}

fn warn(warnings: &[Diagnostic], source: &Source, progress: &Progress) {
    for warning in warnings {
        progress.warning(&error::render(std::slice::from_ref(warning), source));
    }
}
