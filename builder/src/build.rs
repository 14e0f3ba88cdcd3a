//! One build from top to bottom. Read this first: one call an arrow of the diagram in
//! ARCHITECTURE.md, one error type a call.

pub mod check;
mod error;
mod output;
mod variant;

use std::collections::HashMap;

use rbuild_cache::Digest;
use rbuild_frontend::ast::Ast;
use rbuild_frontend::diagnostic::Diagnostic;
use rbuild_frontend::parser::parse;
use rbuild_frontend::source::Source;
use rbuild_frontend::stage::Bases;
use rbuild_solver::solve::{self, Limits};

use crate::cli::{Session, Stdin};
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
use variant::{Variant, Work, lower_all, missing_bases, variants, wrong_with_stages};

/// What came of a build.
#[derive(Debug)]
pub struct Built {
    /// The image's id: the digest of its config, or that of the index of several platforms.
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
    let remotes = Remotes::new(session, &options.given, now(options))?;
    let context = open_context(options, session, &remotes, progress)?;
    let source = Source::new(&context.dockerfile.name, context.dockerfile.text.clone());
    let ast = read(&source, options, progress)
        .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, &source))?;
    let variants = variants(&ast, &source, options)
        .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, &source))?;
    let images = Images::open(session, progress)?;
    let bases = resolve(&variants, &images, options, session, &source, progress)?;
    let mut work = lower_all(&variants, &bases)
        .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, &source))?;
    warn(&work.warnings, &source, progress);
    check::beside_build((&ast, &source), &variants, &bases, &context, progress)?;
    pin(&mut work, &remotes, &source, progress)?;
    let sources = Sources { context: &context, images: &images, remotes: &remotes };
    let finished = run(&work, options, session, &sources, &source, progress)?;
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
    let stdin = &mut Stdin(&session.cancel);
    let opened = BuildContext::open(&options.context, options.file.as_deref(), stdin, reader);
    if session.cancel.is_cancelled() {
        return Err(BuildError::Interrupted);
    }
    let mut context = opened?;
    for (name, source) in &options.contexts {
        context.add(name, source, reader)?;
    }
    phase.done();
    Ok(context)
}

/// Reads the Dockerfile; shows its warnings, fails on its errors: all of them that can be told.
fn read(
    source: &Source,
    options: &BuildOptions,
    progress: &Progress,
) -> Result<Ast, Vec<Diagnostic>> {
    let parsed = parse(source);
    if !parsed.has_errors() {
        warn(&parsed.diagnostics, source, progress);
        return Ok(parsed.ast);
    }
    let stages = wrong_with_stages(&parsed, source, options);
    let mut diagnostics = parsed.diagnostics;
    diagnostics.extend(stages);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    Err(diagnostics)
}

/// Finds the digests and configs of all images that the target needs, for every platform. A base can
/// ask for more by its ONBUILD instructions, so this goes on until nothing is missing.
fn resolve(
    variants: &[Variant],
    images: &Images,
    options: &BuildOptions,
    session: &Session,
    source: &Source,
    progress: &Progress,
) -> Result<Bases, BuildError> {
    let mut bases = Bases::default();
    loop {
        let missing = missing_bases(variants, &bases)
            .map_err(|diagnostics| BuildError::dockerfile(&diagnostics, source))?;
        if missing.is_empty() {
            return Ok(bases);
        }
        let shown = (options.frontend.platforms, progress);
        let resolved = images.resolve_all(&missing, policy(options), shown, &session.cancel);
        for (request, resolved) in missing.into_iter().zip(resolved) {
            let resolved = resolved
                .map_err(|error| BuildError::base(&request, error, &variants[0].stages, source))?;
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
    work: &Work,
    options: &BuildOptions,
    session: &Session,
    sources: &Sources<'_>,
    source: &Source,
    progress: &Progress,
) -> Result<Finished, BuildError> {
    let targets = work.targets();
    if targets.is_empty() {
        return Ok(Finished::new(work, &options.platforms, &HashMap::new()));
    }
    let Sources { context, images, remotes } = *sources;
    progress.graph(&work.graph);
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
        given: options.given.clone(),
        devices: options.devices.clone(),
        limits: options.limits,
        memory: &memory,
        epoch: options.frontend.epoch,
        looked_at: looked_at(&work.graph, &targets, output::kind(&options.outputs)),
        cancel: &session.cancel,
        known: Known::default(),
    };
    let limits =
        Limits { jobs: options.jobs, memory: options.max_memory.or_else(|| memory.available()) };
    let events = |event| progress.event(&event);
    let results = solve::solve(&work.graph, &targets, &worker, limits, &session.cancel, &events)
        .map_err(|error| BuildError::step(error, &work.graph, source))?;
    for files in std::iter::once(&context.files).chain(context.named.values()) {
        if let Err(error) = files.stats.save() {
            progress.notice(&format!("the next build has to read the context again: {error}"));
        }
    }
    let results = targets.into_iter().zip(results).collect();
    Ok(Finished::new(work, &options.platforms, &results))
}

/// Finds out what everything from elsewhere is now, so that it can be keyed.
fn pin(
    work: &mut Work,
    remotes: &Remotes<'_>,
    source: &Source,
    progress: &Progress,
) -> Result<(), BuildError> {
    let targets = work.targets();
    let pinned = remotes.pin_all(&mut work.graph, &targets, progress);
    pinned.map_err(|error| BuildError::remote(error, &work.graph, source))
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
