//! Secrets: bytes that the user gives to steps by name, read when a step needs them.
//!
//! They reach the memory of a step and nothing else: no key, no record, no layer.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rbuild_solver::op::mount::Need;

/// The largest secret, as in BuildKit.
const LARGEST: u64 = 500 * 1024;

/// The secrets that the user gives, by name.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<String, SecretSource>);

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In an environment variable; one that is not set is an empty secret.
    Variable(OsString),
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The user gives none of this name.
    #[error("the step needs the secret `{0}`, and none of that name is given")]
    Missing(String),
    /// Its file cannot be read.
    #[error("cannot read the secret `{id}` from `{}`", path.display())]
    Read {
        /// Its name.
        id: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no secret but a file.
    #[error("the secret `{0}` is larger than 500 KiB")]
    TooLarge(String),
}

impl SecretError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            SecretError::Missing(id) => Some(format!(
                "give it with `--secret id={id},src=FILE` or `--secret id={id},env=NAME`"
            )),
            SecretError::Read { .. } | SecretError::TooLarge(_) => None,
        }
    }
}

impl Secrets {
    /// Adds one; a later one takes the place of an earlier one.
    pub fn add(&mut self, id: String, source: SecretSource) {
        self.0.insert(id, source);
    }

    /// The bytes of a secret; none if there is none and it is not needed.
    pub fn read(&self, id: &str, need: Need) -> Result<Option<Vec<u8>>, SecretError> {
        let bytes = match (self.0.get(id), need) {
            (None, Need::Optional) => return Ok(None),
            (None, Need::Required) => return Err(SecretError::Missing(id.to_owned())),
            (Some(SecretSource::Variable(name)), _) => {
                std::env::var_os(name).unwrap_or_default().into_vec()
            }
            (Some(SecretSource::File(path)), _) => read(path).map_err(|source| {
                SecretError::Read { id: id.to_owned(), path: path.clone(), source }
            })?,
        };
        if bytes.len() as u64 > LARGEST {
            return Err(SecretError::TooLarge(id.to_owned()));
        }
        Ok(Some(bytes))
    }
}

/// The file, but not much more than a secret can have: it may be endless.
fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(source: SecretSource) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("s".to_owned(), source);
        secrets
    }

    #[test]
    fn a_secret_is_read_when_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let secrets = secrets(SecretSource::File(file.clone()));
        assert!(matches!(secrets.read("s", Need::Optional), Err(SecretError::Read { .. })));
        std::fs::write(&file, "one").unwrap();
        assert_eq!(secrets.read("s", Need::Optional).unwrap().unwrap(), b"one");
        std::fs::write(&file, "two").unwrap();
        assert_eq!(secrets.read("s", Need::Required).unwrap().unwrap(), b"two");
        std::fs::write(&file, vec![0; LARGEST as usize]).unwrap();
        assert!(secrets.read("s", Need::Optional).is_ok());
        std::fs::write(&file, vec![0; LARGEST as usize + 1]).unwrap();
        assert!(matches!(secrets.read("s", Need::Optional), Err(SecretError::TooLarge(_))));
    }

    #[test]
    fn a_missing_one_matters_only_if_it_is_needed() {
        let none = Secrets::default();
        assert_eq!(none.read("s", Need::Optional).unwrap(), None);
        assert!(matches!(none.read("s", Need::Required), Err(SecretError::Missing(_))));
        let unset = secrets(SecretSource::Variable("RBUILD_NO_SUCH_VARIABLE".into()));
        assert_eq!(unset.read("s", Need::Required).unwrap().unwrap(), b"");
    }
}
