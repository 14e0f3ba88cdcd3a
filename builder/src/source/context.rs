//! The build context: the files that a build can see, and the Dockerfile that says what to do.
//!
//! | given | is |
//! |---|---|
//! | a directory | the context; the Dockerfile is `-f`, or `Dockerfile` in it (or `dockerfile`) |
//! | `-` | a Dockerfile on standard input and an empty context |
//! | a directory and `-f -` | the context, and a Dockerfile on standard input |
//!
//! `<Dockerfile>.dockerignore` beside the Dockerfile takes the place of `.dockerignore` in the
//! context. Both are read even if they are ignored themselves, and neither may be a link that
//! leads out of the context: a context can come from strangers. What `-f` names is the user's own
//! choice, and may be anywhere.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_cache::tree::{self, Filter, Owners, Tree};
use rbuild_frontend::ignore::{IgnoreError, IgnoreFile, Verdict};
use tempfile::TempDir;

use crate::source::sniff;

/// A build context that is ready to be read.
#[derive(Debug)]
pub struct BuildContext {
    /// The files, as the ignore rules leave them.
    pub tree: Tree,
    /// The directory, absolute, links resolved. Of an empty context, it is one that only lives as
    /// long as this value.
    pub root: PathBuf,
    /// What to build.
    pub dockerfile: Dockerfile,
    _empty: Option<TempDir>,
}

/// A Dockerfile that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// As it is called in messages: the path as the user would write it, or `-`.
    pub name: String,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// Why there is no build context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A kind of context that there is no support for.
    #[error("cannot use {kind} as the build context yet; use a directory")]
    Unsupported {
        /// What it is: `a git repository`.
        kind: &'static str,
    },
    /// No such directory, or it cannot be entered.
    #[error("cannot open the build context `{}`: {source}", path.display())]
    Root {
        /// As it was given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Both would be read from standard input.
    #[error("the build context and the Dockerfile cannot both be `-`")]
    TwiceStdin,
    /// There is none.
    #[error("no Dockerfile in `{}`: name it with `-f`", context.display())]
    NoDockerfile {
        /// Where it was looked for.
        context: PathBuf,
    },
    /// `-f` as some other builders take it.
    #[error("no `{}`: `-f` is relative to the working directory; there is `{}`", path.display(), inside.display())]
    Misplaced {
        /// As it was given.
        path: PathBuf,
        /// A file of that name in the context.
        inside: PathBuf,
    },
    /// It is empty, or holds nothing but blanks.
    #[error("the Dockerfile `{0}` is empty")]
    EmptyDockerfile(String),
    /// A file that would be read is a link to somewhere else.
    #[error("`{}` is a link that leads out of the build context, to `{}`", path.display(), to.display())]
    Outside {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// A Dockerfile or ignore file of more than 16 MiB is none.
    #[error("`{0}` is too large: more than {MAX_FILE} bytes")]
    TooLarge(String),
    /// The disk, or standard input.
    #[error("cannot read `{name}`: {source}")]
    Read {
        /// What.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A line of the ignore file is no rule.
    #[error("`{name}`: {source}")]
    Ignore {
        /// The ignore file.
        name: String,
        /// Which line, and why.
        source: IgnoreError,
    },
}

/// More than anybody wrote by hand; less than an endless file.
const MAX_FILE: u64 = 16 << 20;

impl BuildContext {
    /// Opens the context at `place`, with the Dockerfile `file` (relative to the working
    /// directory) or the one that is found there. `stdin` is read if one of them is `-`.
    pub fn open(
        place: &str,
        file: Option<&str>,
        stdin: &mut dyn Read,
    ) -> Result<BuildContext, ContextError> {
        if place == "-" {
            return match file {
                Some("-") => Err(ContextError::TwiceStdin),
                file => empty(file, stdin),
            };
        }
        let root = directory(place)?;
        let found = match file {
            Some("-") => Found { path: None, dockerfile: from_stdin(stdin)? },
            Some(file) => Found::named(file, Path::new(place))?,
            None => Found::inside(Path::new(place), &root)?,
        };
        let ignore = found.ignore(Path::new(place), &root)?;
        let tree = open_tree(&root, ignore)?;
        Ok(BuildContext { tree, root, dockerfile: found.dockerfile, _empty: None })
    }
}

/// A Dockerfile and where it is, if it is a file.
struct Found {
    path: Option<PathBuf>,
    dockerfile: Dockerfile,
}

impl Found {
    /// What the user named.
    fn named(file: &str, place: &Path) -> Result<Found, ContextError> {
        if let Some(kind) = remote(file) {
            return Err(ContextError::Unsupported { kind });
        }
        let (path, inside) = (PathBuf::from(file), place.join(file));
        if !path.exists() && inside.exists() {
            return Err(ContextError::Misplaced { path, inside });
        }
        let text = read(&path)?;
        Found::new(path, text)
    }

    /// What is found in the context.
    fn inside(place: &Path, root: &Path) -> Result<Found, ContextError> {
        for name in ["Dockerfile", "dockerfile"] {
            let path = place.join(name);
            if let Some(text) = read_inside(&path, root)? {
                return Found::new(path, text);
            }
        }
        Err(ContextError::NoDockerfile { context: place.to_owned() })
    }

    fn new(path: PathBuf, text: Vec<u8>) -> Result<Found, ContextError> {
        let name = path.strip_prefix(".").unwrap_or(&path).display().to_string();
        let dockerfile = Dockerfile { name, text }.checked()?;
        Ok(Found { path: Some(path), dockerfile })
    }

    /// The ignore rules that go with it.
    fn ignore(&self, place: &Path, root: &Path) -> Result<Option<Ignore>, ContextError> {
        let beside = self.path.as_ref().map(|path| {
            let mut name = OsString::from(path);
            name.push(".dockerignore");
            PathBuf::from(name)
        });
        let own = match beside.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
            Some(path) if self.is_inside(root) => read_inside(path, root)?.map(|text| (path, text)),
            Some(path) => Some((path, read(path)?)),
            None => None,
        };
        if let Some((path, text)) = own {
            return Ignore::parse(path, &text).map(Some);
        }
        let path = place.join(".dockerignore");
        read_inside(&path, root)?.map(|text| Ignore::parse(&path, &text)).transpose()
    }

    fn is_inside(&self, root: &Path) -> bool {
        let directory = self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        directory.canonicalize().is_ok_and(|directory| directory.starts_with(root))
    }
}

impl Dockerfile {
    fn checked(self) -> Result<Dockerfile, ContextError> {
        if self.text.trim_ascii().is_empty() {
            return Err(ContextError::EmptyDockerfile(self.name));
        }
        Ok(self)
    }
}

/// An ignore file as the tree's filter.
struct Ignore {
    file: IgnoreFile,
    name: String,
    lines: Vec<String>,
}

impl Ignore {
    fn parse(path: &Path, text: &[u8]) -> Result<Ignore, ContextError> {
        let name = path.strip_prefix(".").unwrap_or(path).display().to_string();
        match IgnoreFile::parse(text) {
            Ok(file) => {
                let lines = String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
                Ok(Ignore { file, name, lines })
            }
            Err(source) => Err(ContextError::Ignore { name, source }),
        }
    }
}

impl Filter for Ignore {
    fn verdict(&self, path: &[u8]) -> tree::Verdict {
        match self.file.verdict(path) {
            Verdict::Included => tree::Verdict::Included,
            Verdict::Excluded { line } => tree::Verdict::Excluded { rule: line },
        }
    }

    fn prunes(&self, directory: &[u8]) -> bool {
        self.file.prunes(directory)
    }

    fn describe(&self, rule: usize) -> String {
        let text = rule.checked_sub(1).and_then(|index| self.lines.get(index));
        format!("{}:{rule} `{}`", self.name, text.map_or("", |line| line.trim()))
    }
}

impl fmt::Debug for Ignore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ignore").field(&self.name).finish()
    }
}

/// The Dockerfile comes on standard input, or is named, and there are no files.
fn empty(file: Option<&str>, stdin: &mut dyn Read) -> Result<BuildContext, ContextError> {
    let dockerfile = match file {
        // Only an archive could hold it.
        Some(_) => return Err(ContextError::Unsupported { kind: "an archive on standard input" }),
        None => from_stdin(stdin)?,
    };
    let read_error = |source| ContextError::Root { path: std::env::temp_dir(), source };
    let empty = TempDir::new().map_err(read_error)?;
    let root = empty.path().canonicalize().map_err(read_error)?;
    let tree = open_tree(&root, None)?;
    Ok(BuildContext { tree, root, dockerfile, _empty: Some(empty) })
}

fn from_stdin(stdin: &mut dyn Read) -> Result<Dockerfile, ContextError> {
    let text = limited(stdin, "-")?;
    match sniff::is_archive(text.as_slice()) {
        true => Err(ContextError::Unsupported { kind: "an archive on standard input" }),
        false => Dockerfile { name: "-".to_owned(), text }.checked(),
    }
}

/// The absolute path of a context directory. A name that looks remote is one only if there is no
/// such directory.
fn directory(place: &str) -> Result<PathBuf, ContextError> {
    let path = Path::new(place);
    let fail = |source| ContextError::Root { path: path.to_owned(), source };
    match path.canonicalize() {
        Ok(root) if root.is_dir() => Ok(root),
        Ok(_) => Err(fail(io::ErrorKind::NotADirectory.into())),
        Err(error) => match remote(place) {
            Some(kind) => Err(ContextError::Unsupported { kind }),
            None => Err(fail(error)),
        },
    }
}

/// What a name that is no path stands for.
fn remote(place: &str) -> Option<&'static str> {
    let git = ["git://", "ssh://", "git@", "github.com/"];
    let http = ["http://", "https://"];
    let bare = place.split(['#', '?']).next().unwrap_or(place);
    if git.iter().any(|start| place.starts_with(start)) {
        return Some("a git repository");
    }
    if !http.iter().any(|start| place.starts_with(start)) {
        return None;
    }
    Some(if bare.ends_with(".git") { "a git repository" } else { "a URL" })
}

fn open_tree(root: &Path, ignore: Option<Ignore>) -> Result<Tree, ContextError> {
    let filter = ignore.map(|ignore| Arc::new(ignore) as Arc<dyn Filter>);
    Tree::open(root, Owners::Root, filter)
        .map_err(|error| ContextError::Root { path: error.path, source: error.source })
}

/// A file of the context; none if it is not there. Links are followed inside only.
fn read_inside(path: &Path, root: &Path) -> Result<Option<Vec<u8>>, ContextError> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ContextError::Read { name: path.display().to_string(), source }),
    };
    if !real.starts_with(root) {
        return Err(ContextError::Outside { path: path.to_owned(), to: real });
    }
    read(&real).map(Some)
}

fn read(path: &Path) -> Result<Vec<u8>, ContextError> {
    let name = path.display().to_string();
    let fail = |source| ContextError::Read { name: name.clone(), source };
    if path.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    limited(&mut File::open(path).map_err(fail)?, &name)
}

fn limited(from: &mut dyn Read, name: &str) -> Result<Vec<u8>, ContextError> {
    let mut text = Vec::new();
    let read = from.take(MAX_FILE + 1).read_to_end(&mut text);
    read.map_err(|source| ContextError::Read { name: name.to_owned(), source })?;
    if text.len() as u64 > MAX_FILE {
        return Err(ContextError::TooLarge(name.to_owned()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
