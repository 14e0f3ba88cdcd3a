//! Which Dockerfile and which ignore file belong to a directory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ignore::Ignore;
use super::{ContextError, Dockerfile};

/// More than anybody wrote by hand; less than an endless file.
pub(super) const MAX_FILE: u64 = 16 << 20;

/// A Dockerfile and where it is, if it is a file.
pub(super) struct Found {
    pub(super) path: Option<PathBuf>,
    pub(super) dockerfile: Dockerfile,
}

impl Found {
    /// What the user named, beside the context at `place`.
    pub(super) fn named(file: &str, place: Option<&Path>) -> Result<Found, ContextError> {
        if rbuild_frontend::address::is_address(file) {
            return Err(ContextError::RemoteDockerfile(file.to_owned()));
        }
        let path = PathBuf::from(file);
        let inside = place.map(|place| place.join(file)).filter(|inside| inside.exists());
        if let Some(inside) = inside.filter(|_| !path.exists()) {
            return Err(ContextError::Misplaced { path, inside });
        }
        let text = read(&path)?;
        Found::new(path, text)
    }

    /// What is found in the context.
    pub(super) fn inside(place: &Path, root: &Path) -> Result<Found, ContextError> {
        for name in ["Dockerfile", "dockerfile"] {
            let path = place.join(name);
            if let Some(text) = read_inside(&path, root)? {
                return Found::new(path, text);
            }
        }
        Err(ContextError::NoDockerfile { context: place.to_owned() })
    }

    /// What is found in files that were fetched from `place`: by its path there, or else, if the
    /// user named one, by its path here.
    pub(super) fn fetched(
        place: &str,
        root: &Path,
        file: Option<&str>,
    ) -> Result<Dockerfile, ContextError> {
        let names: &[&str] = file.as_slice();
        let names = if file.is_some() { names } else { &["Dockerfile", "dockerfile"] };
        for name in names.iter().filter(|name| !name.starts_with('/')) {
            if let Some(text) = read_inside(&root.join(name), root)? {
                return Dockerfile { name: (*name).to_owned(), text }.checked();
            }
        }
        match file {
            Some(file) if Path::new(file).exists() => Ok(Found::named(file, None)?.dockerfile),
            Some(file) => Err(ContextError::NoSuchDockerfile {
                context: place.to_owned(),
                file: file.to_owned(),
            }),
            None => Err(ContextError::NoDockerfile { context: PathBuf::from(place) }),
        }
    }

    fn new(path: PathBuf, text: Vec<u8>) -> Result<Found, ContextError> {
        let name = path.strip_prefix(".").unwrap_or(&path).display().to_string();
        let dockerfile = Dockerfile { name, text }.checked()?;
        Ok(Found { path: Some(path), dockerfile })
    }

    /// The ignore rules that go with it.
    pub(super) fn ignore(&self, place: &Path, root: &Path) -> Result<Option<Ignore>, ContextError> {
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
        match own {
            Some((path, text)) => Ignore::parse(path, &text).map(Some),
            None => root_ignore(place, root),
        }
    }

    fn is_inside(&self, root: &Path) -> bool {
        let directory = self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        directory.canonicalize().is_ok_and(|directory| directory.starts_with(root))
    }
}

/// The `.dockerignore` of a directory.
pub(super) fn root_ignore(place: &Path, root: &Path) -> Result<Option<Ignore>, ContextError> {
    let path = place.join(".dockerignore");
    read_inside(&path, root)?.map(|text| Ignore::parse(&path, &text)).transpose()
}

impl Dockerfile {
    pub(super) fn checked(self) -> Result<Dockerfile, ContextError> {
        if self.text.trim_ascii().is_empty() {
            return Err(ContextError::EmptyDockerfile(self.name));
        }
        Ok(self)
    }
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

/// All bytes, if they are not too many for a file that somebody wrote.
pub(super) fn limited(from: &mut dyn Read, name: &str) -> Result<Vec<u8>, ContextError> {
    let mut text = Vec::new();
    let read = from.take(MAX_FILE + 1).read_to_end(&mut text);
    read.map_err(|source| ContextError::Read { name: name.to_owned(), source })?;
    if text.len() as u64 > MAX_FILE {
        return Err(ContextError::TooLarge(name.to_owned()));
    }
    Ok(text)
}
