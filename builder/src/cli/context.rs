//! `rbuild context ls`: what a build can see of its context, and why it cannot see the rest.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use rbuild_cache::tree::{Filter, NodeKind, PathSelector, Verdict};

use super::help::print;
use super::session::{Ending, Failure, Session};
use super::steps::GivenArgs;
use crate::build::BuildError;
use crate::exit::Exit;
use crate::source::context::{BuildContext, Files, Reader};
use crate::source::remote::Remotes;

/// Flags of `rbuild context`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the files that a build can see, with their sizes
    Ls(LsArgs),
}

/// Flags of `rbuild context ls`.
#[derive(Debug, clap::Args)]
struct LsArgs {
    /// The build context, as `rbuild build` takes it
    context: String,
    /// Tell whether a build can see this path, and which rule of which file says so
    #[arg(long, value_name = "PATH")]
    why: Option<PathBuf>,
    /// The Dockerfile: its own ignore file counts, if it has one
    #[arg(short, long, value_name = "PATH")]
    file: Option<String>,
    #[command(flatten)]
    given: GivenArgs,
}

/// Lists, or explains.
pub fn main(args: Args) -> Result<Exit, Failure> {
    let Command::Ls(args) = args.command;
    let session = Session::open(Ending::AtOnce)?;
    let failed = |error: BuildError| error.into_failure();
    let given = args.given.resolve()?;
    let remotes = Remotes::new(&session, &given, (0, 0)).map_err(|error| failed(error.into()))?;
    let reader = Reader { store: &session.store, remotes: &remotes, keep_git_dir: false };
    let stdin = &mut std::io::stdin();
    let context = BuildContext::open(&args.context, args.file.as_deref(), stdin, reader)
        .map_err(|error| failed(error.into()))?;
    match &args.why {
        Some(path) => why(&context.files, path),
        None => list(&context.files),
    }
}

fn list(files: &Files) -> Result<Exit, Failure> {
    let all = PathSelector::everything();
    let selection =
        files.tree.select(&all).map_err(|error| Failure::new(Exit::Build, &error, None))?;
    let mut lines = String::new();
    for (_, found) in selection.all() {
        let path = String::from_utf8_lossy(&found.path);
        let size = match found.node.kind {
            NodeKind::Dir => continue,
            NodeKind::File => found.node.size,
            _ => 0,
        };
        let _ = writeln!(lines, "{size:>12}  {path}");
    }
    print(&lines);
    Ok(Exit::Success)
}

/// Paths are given relative to the context, or as they are here.
fn why(files: &Files, path: &Path) -> Result<Exit, Failure> {
    let is_inside = path.is_relative() && files.root.join(path).exists();
    let here = path.canonicalize().ok().filter(|_| !is_inside);
    let relative = here.as_deref().and_then(|path| path.strip_prefix(&files.root).ok());
    let relative = relative.unwrap_or(path);
    let clean: PathBuf = relative.components().filter(|part| is_name(*part)).collect();
    let shown = clean.display();
    if !files.root.join(&clean).exists() && !files.root.join(&clean).is_symlink() {
        print(&format!("`{shown}` is not there\n"));
        return Ok(Exit::Build);
    }
    let verdict = files
        .ignore
        .as_ref()
        .map(|ignore| (ignore, ignore.verdict(clean.as_os_str().as_encoded_bytes())));
    let text = match verdict {
        Some((ignore, Verdict::Excluded { rule })) => {
            format!("`{shown}` is left out by {}\n", ignore.describe(rule))
        }
        Some((_, Verdict::Included)) => format!("`{shown}` is part of the context\n"),
        None => format!("`{shown}` is part of the context: there is no ignore file\n"),
    };
    print(&text);
    Ok(Exit::Success)
}

fn is_name(part: Component<'_>) -> bool {
    matches!(part, Component::Normal(_))
}
