//! What every subcommand that touches the store begins with, and how all of them fail.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use rbuild_cache::{OpenError, Store};
use rbuild_solver::worker::Cancel;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::sandbox::{self, Isolation};

/// The isolation, the store and the runtime of one call.
pub struct Session {
    /// What the process got from the kernel.
    pub isolation: Isolation,
    /// The store.
    pub store: Store,
    /// Where registry I/O runs.
    pub runtime: Runtime,
    /// Set when the user ends the call.
    pub cancel: Cancel,
}

/// What the first Ctrl-C does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It ends at once: it has nothing under way that another call would not sweep.
    AtOnce,
    /// It is told by [`Session::cancel`], and comes to an end.
    InOrder,
}

/// Why a call ended early: the exit code, and everything that is printed.
#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    report: String,
}

impl Session {
    /// Enters the isolation and opens the store. Has to come before any thread is started.
    pub fn open(ending: Ending) -> Result<Session, Failure> {
        let isolation = sandbox::enter().map_err(|error| {
            Failure::new(Exit::Machine, &error, error.help().map(str::to_owned))
        })?;
        let root = store_root(&isolation)
            .ok_or_else(|| Failure::usage_text(NO_ROOT, "set RBUILD_ROOT to a folder of yours"))?;
        let store = Store::open(&root)
            .map_err(|error| Failure::new(Exit::Machine, &error, store_help(&error)))?;
        let runtime = runtime()?;
        let cancel = Cancel::new();
        runtime.spawn(listen(&runtime).watch(cancel.clone(), ending));
        Ok(Session { isolation, store, runtime, cancel })
    }

    /// What the user should know before anything starts.
    pub fn notices(&self) -> impl Iterator<Item = String> + '_ {
        self.isolation.notices.iter().cloned().chain(self.store.warnings())
    }
}

/// Where registry I/O runs.
pub fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Machine, &error, None))
}

/// What there is to say where [`store_root`] has no answer.
pub const NO_ROOT: &str =
    "it cannot be told where the store is: neither RBUILD_ROOT nor HOME is set";

/// Where the store is: `RBUILD_ROOT`, `/var/lib/rbuild` for root, the XDG data folder for others
/// (XDG Base Directory Specification, `XDG_DATA_HOME`).
pub fn store_root(isolation: &Isolation) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = || match (set("XDG_DATA_HOME"), set("HOME")) {
        (Some(data), _) => Some(PathBuf::from(data).join("rbuild")),
        (None, Some(home)) => Some(PathBuf::from(home).join(".local/share/rbuild")),
        (None, None) => None,
    };
    match (set("RBUILD_ROOT"), isolation.rootless) {
        (Some(root), _) => Some(PathBuf::from(root)),
        (None, false) => Some(PathBuf::from("/var/lib/rbuild")),
        (None, true) => data(),
    }
}

fn store_help(error: &OpenError) -> Option<String> {
    match error {
        OpenError::NotAStore { .. } | OpenError::Format { .. } => {
            Some("set RBUILD_ROOT to another folder".to_owned())
        }
        OpenError::Index(_) | OpenError::Disk(_) => None,
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What nobody has told yet: what went wrong with the store and was got over.
        let mut err = std::io::stderr();
        for warning in self.store.warnings() {
            let _ = writeln!(err, "note: {warning}");
        }
    }
}

/// Ends the process at the first signal, when `last` was done.
pub fn end_at_once(runtime: &Runtime, last: impl FnOnce() + Send + 'static) {
    let mut signals = listen(runtime);
    runtime.spawn(async move {
        if signals.any().await.is_some() {
            last();
            std::process::exit(130);
        }
    });
}

/// The signals that end a call.
struct Signals([Option<Signal>; 3]);

/// Catches them from here on: there is no moment in which one would end the process by itself.
fn listen(runtime: &Runtime) -> Signals {
    let _inside = runtime.enter();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    Signals(kinds.map(|kind| signal(kind).ok()))
}

impl Signals {
    /// The first one ends the call in order, if it takes care of that; the second one in any case.
    async fn watch(mut self, cancel: Cancel, ending: Ending) {
        while self.any().await.is_some() {
            if ending == Ending::AtOnce || cancel.is_cancelled() {
                std::process::exit(130);
            }
            cancel.cancel();
        }
    }

    /// The next one; none if they cannot be caught.
    async fn any(&mut self) -> Option<()> {
        let Signals([interrupt, terminate, hangup]) = self;
        tokio::select! {
            Some(()) = async { interrupt.as_mut()?.recv().await } => Some(()),
            Some(()) = async { terminate.as_mut()?.recv().await } => Some(()),
            Some(()) = async { hangup.as_mut()?.recv().await } => Some(()),
            else => None,
        }
    }
}

/// What an error says was behind it, as far as it does not say so itself.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut said = error.to_string();
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            causes.push(text.clone());
        }
        said = text;
        cause = error.source();
    }
    causes
}

impl From<crate::registry::config::ConfigError> for Failure {
    fn from(error: crate::registry::config::ConfigError) -> Failure {
        Failure::new(Exit::Usage, &error, None)
    }
}

impl Failure {
    /// An error, what caused it, and what to do.
    pub fn new(exit: Exit, error: &dyn Error, help: Option<String>) -> Failure {
        let mut report = format!("error: {error}\n");
        for cause in causes(error) {
            let _ = writeln!(report, "  because: {cause}");
        }
        if let Some(help) = help {
            let _ = writeln!(report, "help: {help}");
        }
        Failure { exit, report }
    }

    /// A call that cannot be understood.
    pub fn usage(error: impl Error) -> Failure {
        Failure::new(Exit::Usage, &error, None)
    }

    /// A call that cannot be understood, in words.
    pub fn usage_text(message: &str, help: &str) -> Failure {
        Failure { exit: Exit::Usage, report: format!("error: {message}\nhelp: {help}\n") }
    }

    /// A report that is written already.
    pub fn rendered(exit: Exit, report: String) -> Failure {
        Failure { exit, report }
    }

    /// The same, ending the program in another way.
    pub fn ending_with(self, exit: Exit) -> Failure {
        Failure { exit, ..self }
    }

    /// What is printed.
    pub fn report(&self) -> &str {
        &self.report
    }
}
