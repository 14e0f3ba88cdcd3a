//! What a person sees while a build runs. Views of events, and nothing else: no view decides
//! anything, and the build runs the same with any of them.

mod lines;
mod plain;
mod quiet;
mod tty;

pub use plain::size;

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rbuild_frontend::diagnostic::Color;
use rbuild_solver::event::Event;
use rbuild_solver::graph::Graph;

/// Which view the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// `tty` in a terminal, else `plain`.
    Auto,
    /// One line for each thing that happens.
    Plain,
    /// Running steps side by side, redrawn in place.
    Tty,
    /// Nothing but errors.
    Quiet,
}

/// Whether what is written to standard error is coloured (<https://no-color.org>).
pub fn color() -> Color {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && stderr().is_terminal() { Color::Always } else { Color::Never }
}

/// Something to show besides the vertices of the graph: loading, resolving, exporting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PhaseId(usize);

/// One way of showing. Called from one thread at a time.
trait View: Send {
    /// From now on vertices have these titles.
    fn titles(&mut self, titles: Vec<String>);
    /// Something happened to a vertex.
    fn event(&mut self, event: &Event);
    /// A phase begins.
    fn phase(&mut self, id: PhaseId, title: &str);
    /// A phase ended, or failed.
    fn phase_end(&mut self, id: PhaseId, ended: bool, started: Instant);
    /// One line that the user should see, outside of any step.
    fn notice(&mut self, text: &str);
    /// A warning about the Dockerfile, several lines, rendered.
    fn warning(&mut self, text: &str);
    /// Nothing more will come: leave the terminal as it was.
    fn finish(&mut self);
}

/// The view of one build. Clones share it.
#[derive(Clone)]
pub struct Progress(Arc<Mutex<Shared>>);

struct Shared {
    view: Box<dyn View>,
    phases: usize,
}

/// A phase under way. Dropped before [`Phase::done`], it has failed.
pub struct Phase {
    progress: Progress,
    id: PhaseId,
    started: Instant,
    done: bool,
}

impl Progress {
    /// The view that fits `mode` and standard error, where all of them write.
    pub fn new(mode: Mode) -> Progress {
        let view: Box<dyn View> = match mode {
            Mode::Quiet => Box::new(quiet::Quiet),
            Mode::Tty => Box::new(tty::Tty::new()),
            Mode::Auto if stderr().is_terminal() => Box::new(tty::Tty::new()),
            Mode::Auto | Mode::Plain => Box::new(plain::Plain::new(stderr())),
        };
        Progress(Arc::new(Mutex::new(Shared { view, phases: 0 })))
    }

    /// Tells the view how the vertices of `graph` are called.
    pub fn graph(&self, graph: &Graph) {
        let titles = graph.in_order().map(|id| graph.vertex(id).origin.title.clone()).collect();
        self.shared(|shared| shared.view.titles(titles));
    }

    /// Shows an event of the solver.
    pub fn event(&self, event: &Event) {
        self.shared(|shared| shared.view.event(event));
    }

    /// Shows one line.
    pub fn notice(&self, text: &str) {
        self.shared(|shared| shared.view.notice(text));
    }

    /// Shows a warning about the Dockerfile.
    pub fn warning(&self, text: &str) {
        self.shared(|shared| shared.view.warning(text));
    }

    /// Begins a phase.
    pub fn phase(&self, title: &str) -> Phase {
        let id = self.shared(|shared| {
            shared.phases += 1;
            let id = PhaseId(shared.phases);
            shared.view.phase(id, title);
            id
        });
        Phase { progress: self.clone(), id, started: Instant::now(), done: false }
    }

    /// Leaves the terminal as it was. What is shown afterwards is lost.
    pub fn finish(&self) {
        self.shared(|shared| shared.view.finish());
    }

    /// A view that a panic interrupted is still good enough to show the rest.
    fn shared<T>(&self, show: impl FnOnce(&mut Shared) -> T) -> T {
        show(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Phase {
    /// The phase ended well.
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        let (id, done, started) = (self.id, self.done, self.started);
        self.progress.shared(|shared| shared.view.phase_end(id, done, started));
    }
}
