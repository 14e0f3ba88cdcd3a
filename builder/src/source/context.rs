//! The build context: the files that a build can see, and the Dockerfile that says what to do.
//!
//! | given | is |
//! |---|---|
//! | a directory | the context; the Dockerfile is `-f`, or `Dockerfile` in it (or `dockerfile`) |
//! | `-` | an archive, or a Dockerfile and an empty context, on standard input |
//! | a git address | the files of a commit |
//! | another `http://..`, `https://..` | an archive, or a Dockerfile and an empty context |
//!
//! `-f -` is a Dockerfile on standard input, whatever the context. In what is fetched or unpacked,
//! `-f` is looked for first, and then here; an absolute path is always here.
//!
//! `<Dockerfile>.dockerignore` beside the Dockerfile takes the place of `.dockerignore` in the
//! context. Both count for directories only, are read even if they are ignored themselves, and
//! neither may be a link that leads out of the context: a context can come from strangers. What
//! `-f` names here is the user's own choice, and may be anywhere.
//!
//! `--build-context` gives further files under other names, with ignore files of their own.

mod fetch;
mod files;
mod find;
mod ignore;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rbuild_cache::archive::{ArchiveError, is_archive};
use rbuild_cache::{FsError, Store};
use rbuild_frontend::address::{Address, BadAddress};
use rbuild_frontend::ignore::IgnoreError;

pub use self::files::Files;
use self::find::{Found, MAX_FILE, limited, root_ignore};
use super::limits::BYTES;
use super::remote::{RemoteError, Remotes};

/// Where contexts are read with.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Keeps what is fetched or unpacked.
    pub store: &'a Store,
    /// Fetches.
    pub remotes: &'a Remotes<'a>,
    /// Whether the files of a git repository include `.git`: `BUILDKIT_CONTEXT_KEEP_GIT_DIR`.
    pub keep_git_dir: bool,
}

/// A build context that is ready to be read.
#[derive(Debug)]
pub struct BuildContext {
    /// The files of the context.
    pub files: Files,
    /// What project this is: the directory or the address.
    pub place: String,
    /// What to build.
    pub dockerfile: Dockerfile,
    /// The files of named contexts.
    pub named: BTreeMap<String, Files>,
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
    /// A Dockerfile out of a repository.
    #[error(
        "`{0}` is an address: `-f` names a file, here, in the build context or behind `https://`"
    )]
    RemoteDockerfile(String),
    /// An address that is none.
    #[error("cannot use `{place}` as a build context: {source}")]
    Address {
        /// As it was given.
        place: String,
        /// What is wrong with it.
        source: BadAddress,
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
    /// There is none of that name.
    #[error("no `{file}` in `{context}`, and none here")]
    NoSuchDockerfile {
        /// Where it was looked for.
        context: String,
        /// What was asked for.
        file: String,
    },
    /// Only an archive can hold a file.
    #[error("`{0}` is no archive, so `-f` cannot name a file in it")]
    NoArchive(String),
    /// Only an archive can be a named context.
    #[error("`{0}` is no archive")]
    NoNamedArchive(String),
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
    /// It could not be fetched.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// It has more bytes than anybody wants.
    #[error("{0}; {BYTES} sets the limit")]
    LargeArchive(ArchiveError),
    /// It could not be unpacked.
    #[error(transparent)]
    Archive(ArchiveError),
    /// The store.
    #[error(transparent)]
    Disk(#[from] FsError),
    /// The store cannot show what was fetched.
    #[error(transparent)]
    Mount(#[from] rbuild_cache::layer::MountError),
}

/// What `--build-context` names, where it is files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedSource {
    /// A directory here.
    Folder(String),
    /// A git repository or an archive.
    Remote(Address),
}

impl From<ArchiveError> for ContextError {
    fn from(error: ArchiveError) -> ContextError {
        match error {
            ArchiveError::Large(_) => ContextError::LargeArchive(error),
            error => ContextError::Archive(error),
        }
    }
}

impl BuildContext {
    /// Opens the context at `place`, with the Dockerfile `file` (relative to the working
    /// directory) or the one that is found there. `stdin` is read if one of them is `-`.
    pub fn open(
        place: &str,
        file: Option<&str>,
        stdin: &mut dyn Read,
        reader: Reader<'_>,
    ) -> Result<BuildContext, ContextError> {
        let (files, dockerfile) = match (place, file) {
            ("-", Some("-")) => return Err(ContextError::TwiceStdin),
            ("-", file) => reader.stream(stdin, "-", file.map(member))?,
            _ => match address(place)? {
                Some(address) => reader.remote(place, &address, file, stdin)?,
                None => reader.directory(place, file, stdin)?,
            },
        };
        let place = match address(place)? {
            Some(_) => rbuild_frontend::address::redacted(place),
            None => files.root.display().to_string(),
        };
        Ok(BuildContext { files, place, dockerfile, named: BTreeMap::new() })
    }

    /// Opens a named context, to go with this one.
    pub fn add(
        &mut self,
        name: &str,
        source: &NamedSource,
        reader: Reader<'_>,
    ) -> Result<(), ContextError> {
        let files = match source {
            NamedSource::Folder(path) => {
                let root = directory(path)?;
                let ignore = root_ignore(Path::new(path), &root)?;
                Files::of_directory(&root, ignore, reader.store.stat_cache(&root)?)?
            }
            NamedSource::Remote(address) => reader.named(address)?,
        };
        self.named.insert(name.to_owned(), files);
        Ok(())
    }

    /// The files of a context by its name in the graph.
    pub fn files(&self, name: &str) -> &Files {
        self.named.get(name).unwrap_or(&self.files)
    }
}

impl Reader<'_> {
    fn directory(
        &self,
        place: &str,
        file: Option<&str>,
        stdin: &mut dyn Read,
    ) -> Result<(Files, Dockerfile), ContextError> {
        let root = directory(place)?;
        let found = match file {
            Some("-") => Found { path: None, dockerfile: from_stdin(stdin)? },
            Some(file) if is_http(file) => {
                Found { path: None, dockerfile: self.dockerfile_from(file)? }
            }
            Some(file) => Found::named(file, Some(Path::new(place)))?,
            None => Found::inside(Path::new(place), &root)?,
        };
        let ignore = found.ignore(Path::new(place), &root)?;
        let files = Files::of_directory(&root, ignore, self.store.stat_cache(&root)?)?;
        Ok((files, found.dockerfile))
    }
}

/// `-f` for an archive: a path in it can be written as if the archive were the root.
fn member(file: &str) -> &str {
    if Path::new(file).exists() { file } else { file.trim_start_matches('/') }
}

fn is_http(file: &str) -> bool {
    file.starts_with("http://") || file.starts_with("https://")
}

/// What a name that is no directory stands for.
fn address(place: &str) -> Result<Option<Address>, ContextError> {
    if Path::new(place).is_dir() {
        return Ok(None);
    }
    let bad = |source| ContextError::Address { place: place.to_owned(), source };
    Address::parse_context(place).transpose().map_err(bad)
}

fn from_stdin(stdin: &mut dyn Read) -> Result<Dockerfile, ContextError> {
    let text = limited(stdin, "-")?;
    if is_archive(text.as_slice()) {
        let error = "it is an archive, and `-f -` is a Dockerfile";
        let source = io::Error::new(io::ErrorKind::InvalidData, error);
        return Err(ContextError::Read { name: "-".to_owned(), source });
    }
    Dockerfile { name: "-".to_owned(), text }.checked()
}

/// The absolute path of a context directory.
fn directory(place: &str) -> Result<PathBuf, ContextError> {
    let path = Path::new(place);
    let fail = |source| ContextError::Root { path: path.to_owned(), source };
    match path.canonicalize() {
        Ok(root) if root.is_dir() => Ok(root),
        Ok(_) => Err(fail(io::ErrorKind::NotADirectory.into())),
        Err(error) => Err(fail(error)),
    }
}

#[cfg(test)]
mod tests;
