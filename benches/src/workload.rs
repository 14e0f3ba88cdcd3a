//! What is built: each workload shows one thing that builds wait for.
//!
//! Here is the table of them, and the folder that they are written to. The Dockerfiles and files
//! are in `shapes`; the series that grow are in `growth`; the image that is expensive to fetch is
//! made in `heavy`.

mod growth;
pub mod heavy;
mod shapes;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::results::Phase;

/// How large everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As in the report.
    Full,
    /// Just enough to see that everything builds.
    Smoke,
}

impl Scale {
    /// One of two sizes.
    pub fn pick<T>(self, full: T, smoke: T) -> T {
        match self {
            Scale::Full => full,
            Scale::Smoke => smoke,
        }
    }
}

/// One line of the report: contexts that are built in the same way again and again.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name, and that of its series.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// How large it is, if it is one of a series.
    pub size: Option<u32>,
    /// The contexts, in folders of these names. Several are built at once.
    pub contexts: Vec<String>,
    /// What is measured of it.
    pub phases: Vec<Phase>,
    /// The file that changes before each build of the phase `touch`.
    pub touch: Option<&'static str>,
    /// What runs in the phase `alone`.
    pub alone: Option<Alone>,
}

/// A step's command by itself.
#[derive(Debug, Clone, Copy)]
pub struct Alone {
    /// The context of the image that it runs in.
    pub context: &'static str,
    /// Its words.
    pub command: &'static str,
}

/// A Dockerfile and the files beside it.
struct Shape {
    dockerfile: String,
    files: Files,
}

/// How the files of a context are made, the same bytes every time.
type Files = Box<dyn Fn(&Context) -> io::Result<()>>;

/// A failure to write the workloads.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the context `{}`: {source}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// The folder of one context.
pub struct Context {
    path: PathBuf,
}

/// The workloads of the report and those of the series. The ones that begin with nothing come last,
/// because they leave nothing to those after them.
pub fn all(scale: Scale) -> Vec<Workload> {
    let mut all: Vec<Workload> =
        shapes::workloads().into_iter().chain(growth::workloads(scale)).collect();
    all.sort_by_key(|workload| workload.phases.contains(&Phase::Cold));
    all
}

/// A context that needs every base: what is built before anything is measured.
pub const WARM: &str = "warm";

/// Writes the contexts below `folder`, for bases in `registry`. Files that an earlier run wrote are
/// kept; Dockerfiles are not, because the registry has another address each time.
pub fn write(
    folder: &Path,
    registry: &str,
    scale: Scale,
    wanted: &[Workload],
) -> Result<(), WriteError> {
    let names = wanted.iter().flat_map(|workload| workload.contexts.iter().map(String::as_str));
    let alone = wanted.iter().filter_map(|workload| Some(workload.alone?.context));
    for name in names.chain(alone).chain([WARM]) {
        let context = Context { path: folder.join(name) };
        let failed = |source| WriteError { path: context.path.clone(), source };
        let shape = growth::shape(name, scale).unwrap_or_else(|| shapes::shape(name, scale));
        context.fill(&shape, registry).map_err(failed)?;
    }
    Ok(())
}

impl Context {
    fn fill(&self, shape: &Shape, registry: &str) -> io::Result<()> {
        let done = self.path.with_extension("done");
        if !done.exists() {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::create_dir_all(&self.path)?,
            }
            (shape.files)(self)?;
            fs::write(&done, "")?;
        }
        fs::write(self.path.join("Dockerfile"), shape.dockerfile.replace("BASES", registry))
    }

    /// Writes a file, and the folders above it.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(path);
        match fs::write(&path, bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.path))?;
                fs::write(path, bytes)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_context_of_every_workload_has_a_shape() {
        let folder = std::env::temp_dir().join(format!("rbuild-benches.{}", std::process::id()));
        let workloads = all(Scale::Smoke);
        write(&folder, "registry.example", Scale::Smoke, &workloads).unwrap();
        for context in workloads.iter().flat_map(|workload| &workload.contexts) {
            let dockerfile = fs::read_to_string(folder.join(context).join("Dockerfile")).unwrap();
            assert!(dockerfile.starts_with("FROM registry.example/"), "{context}: {dockerfile}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_touched_is_not_part_of_the_context_before() {
        for workload in all(Scale::Smoke) {
            let touches = workload.phases.contains(&Phase::Touch);
            assert_eq!(touches, workload.touch.is_some(), "{}", workload.name);
        }
    }
}
