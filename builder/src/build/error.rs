//! Why a build failed, and how it is told: with the Dockerfile's line, the last output, and what
//! to do.

use std::io;
use std::path::PathBuf;

use rbuild_frontend::diagnostic::{self, Diagnostic};
use rbuild_frontend::source::Source;
use rbuild_frontend::stage::{BaseRequest, StageGraph};
use rbuild_solver::graph::{Graph, VertexId};
use rbuild_solver::solve::SolveError;

use crate::cli::{Failure, causes, nearest_command};
use crate::exit::Exit;
use crate::export::{AssembleError, FilesError, LayoutError};
use crate::progress;
use crate::source::context::ContextError;
use crate::source::images::ImagesError;
use crate::source::remote::RemoteError;
use crate::worker::WorkError;

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile, or a step that it asks for.
    #[error("{report}")]
    Reported {
        /// Everything there is to say.
        report: String,
        /// What is at fault.
        exit: Exit,
    },
    /// The build context.
    #[error(transparent)]
    Context(Box<ContextError>),
    /// Something from elsewhere.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A base, or a push.
    #[error(transparent)]
    Image(#[from] ImagesError),
    /// The image could not be put together.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// An archive could not be written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The files of the image could not be written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The store could not be used.
    #[error(transparent)]
    Store(#[from] rbuild_cache::FsError),
    /// The image could not be named.
    #[error("cannot name the image in the store")]
    Tag(#[from] rbuild_cache::ImageError),
    /// A file of settings.
    #[error(transparent)]
    Config(#[from] crate::registry::config::ConfigError),
    /// A file that was asked for could not be written.
    #[error("cannot write `{}`", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user ended the build.
    #[error("the build was interrupted")]
    Interrupted,
}

impl From<ContextError> for BuildError {
    fn from(error: ContextError) -> BuildError {
        BuildError::Context(Box::new(error))
    }
}

impl BuildError {
    /// Errors of the Dockerfile.
    pub fn dockerfile(diagnostics: &[Diagnostic], source: &Source) -> BuildError {
        BuildError::Reported { report: render(diagnostics, source), exit: Exit::Build }
    }

    /// A base that could not be resolved.
    pub fn base(
        request: &BaseRequest,
        error: ImagesError,
        graph: &StageGraph,
        source: &Source,
    ) -> BuildError {
        let diagnostic = of_base(request, &error, graph);
        BuildError::Reported { report: render(&[diagnostic], source), exit: error.exit() }
    }

    /// A step that failed.
    pub fn step(error: SolveError<WorkError>, graph: &Graph, source: &Source) -> BuildError {
        let SolveError::Step { vertex, error } = error else { return BuildError::Interrupted };
        let origin = &graph.vertex(vertex).origin;
        let message = match &error {
            WorkError::Exited { .. } => format!("`{}` {error}", origin.title),
            _ => error.to_string(),
        };
        let exit = error.exit();
        let span = origin.span.clone().unwrap_or_default();
        let mut diagnostic = Diagnostic::error("step", span, message);
        diagnostic
            .notes
            .extend(causes(&error).into_iter().map(|cause| format!("because: {cause}")));
        diagnostic.help = error.help().or_else(|| outside_help(&error, &origin.title));
        let mut report = render(&[diagnostic], source);
        if let WorkError::Exited { log, tail, .. } = error {
            report.push_str(&output(log, &tail));
        }
        BuildError::Reported { report, exit }
    }

    /// A source that could not be looked up.
    pub fn remote(
        (vertex, error): (VertexId, RemoteError),
        graph: &Graph,
        source: &Source,
    ) -> BuildError {
        BuildError::step(SolveError::Step { vertex, error: error.into() }, graph, source)
    }

    /// What is printed, and the exit code.
    pub fn into_failure(self) -> Failure {
        match self {
            BuildError::Reported { report, exit } => Failure::rendered(exit, report),
            BuildError::Interrupted => Failure::new(Exit::Interrupted, &self, None),
            BuildError::Context(ref error) => match &**error {
                ContextError::Remote(error) => Failure::new(error.exit(), error, error.help()),
                error => Failure::new(Exit::Build, error, context_help(error)),
            },
            BuildError::Image(ref error) => Failure::new(error.exit(), error, error.help()),
            BuildError::Remote(ref error) => Failure::new(error.exit(), error, error.help()),
            ref error => Failure::new(Exit::Machine, error, None),
        }
    }
}

/// What is wrong with a base. It may be a stage's name that is mistyped.
pub fn of_base(request: &BaseRequest, error: &ImagesError, graph: &StageGraph) -> Diagnostic {
    let message = format!("cannot use `{}` as a base: {error}", request.reference);
    let mut diagnostic = Diagnostic::error("base", request.span.clone(), message);
    let causes = causes(error).into_iter().map(|cause| format!("because: {cause}"));
    diagnostic.notes.extend(causes);
    diagnostic.help = graph.meant_stage(&request.reference, &request.span).or_else(|| error.help());
    diagnostic
}

/// A word that is no folder may have been meant as a subcommand.
fn context_help(error: &ContextError) -> Option<String> {
    let ContextError::Root { path, .. } = error else { return None };
    let command = nearest_command(path.to_str()?)?;
    Some(format!("did you mean `rbuild {command}`?"))
}

/// A source with `..` is looked for in the context all the same: there is no way out of it.
fn outside_help(error: &WorkError, title: &str) -> Option<String> {
    let outside = matches!(error, WorkError::Select(_)) && title.contains("..");
    outside.then(|| {
        "`..` stops at the root of the build context: what is outside cannot be copied. Build \
         with a folder further up as the context, and name the Dockerfile with `-f`"
            .to_owned()
    })
}

/// The last lines of a step, and where the others are.
fn output(log: Option<PathBuf>, tail: &[String]) -> String {
    let mut text = String::new();
    if !tail.is_empty() {
        text.push_str("\nthe last lines of its output:\n");
        tail.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    if let Some(log) = log {
        text.push_str(&format!("\nwhole output: {}\n", log.display()));
    }
    text
}

/// Diagnostics as they are shown on standard error.
pub fn render(diagnostics: &[Diagnostic], source: &Source) -> String {
    diagnostic::render(diagnostics, source, progress::color())
}
