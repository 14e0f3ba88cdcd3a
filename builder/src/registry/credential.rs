//! Credentials from the files that docker and podman keep, and from the helpers these name.
//!
//! Read only; `login` writes. Looked up in this order, and the first file that has something for
//! the host decides: `$REGISTRY_AUTH_FILE`, docker's `config.json` (`$DOCKER_CONFIG`, else
//! `~/.docker`), `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`. As in
//! podman, a key may name a repository or a part of its path (`quay.io/team`), and the longest one
//! that fits is taken. A helper is asked once for each key and run.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use rbuild_frontend::reference::DOCKER_HUB;
use serde_json::Value;
use tokio::sync::{Mutex, oneshot};

use super::error::CredentialOrigin;

/// Docker Hub's key in auth files: the address of an interface that is long gone.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// How long a helper may take: it may ask the user to unlock a key ring.
const HELPER_PATIENCE: Duration = Duration::from_secs(60);

/// Credentials for one registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// What proves who the user is.
    pub secret: Secret,
    /// Where it came from.
    pub origin: CredentialOrigin,
}

/// What proves who the user is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A name and a password or personal token.
    Password {
        /// The user's name.
        username: String,
        /// The password.
        password: String,
    },
    /// An OAuth 2 refresh token.
    IdentityToken(String),
}

/// Finds credentials and remembers what it found.
#[derive(Default)]
pub struct Credentials {
    given: Option<Credential>,
    files: Vec<PathBuf>,
    found: Mutex<HashMap<String, Option<Credential>>>,
}

/// Why credentials cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// An auth file that cannot be read or written.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// `read`, `write`, ..
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An auth file that is not JSON of the known shape.
    #[error("cannot parse the auth file `{}`: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The helper that an auth file names does not work.
    #[error("the credential helper of `{key}` in `{}` failed: {reason}", path.display())]
    Helper {
        /// The file.
        path: PathBuf,
        /// The registry's key in it.
        key: String,
        /// What it said.
        reason: String,
    },
    /// There is no home directory to keep a file in.
    #[error("no place to keep credentials: neither DOCKER_CONFIG nor HOME is set")]
    NoHome,
}

impl CredentialError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Parse { path, .. } => Some(format!("repair or remove `{}`", path.display())),
            Self::Helper { .. } => Some(
                "is `docker-credential-*` installed and unlocked? `credsStore` and \
                      `credHelpers` name it"
                    .to_owned(),
            ),
            Self::Io { .. } | Self::NoHome => None,
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those of the user who runs this.
    pub fn from_environment() -> Credentials {
        Credentials::from_files(auth_files())
    }

    /// Those in these files, the first before the next. A file that does not exist is skipped.
    pub fn from_files(files: Vec<PathBuf>) -> Credentials {
        Credentials { files, ..Credentials::default() }
    }

    /// These, for whatever registry asks.
    pub fn given(credential: Credential) -> Credentials {
        Credentials { given: Some(credential), ..Credentials::default() }
    }

    /// Credentials for `repository` on `registry`; none for an anonymous user.
    ///
    /// # Errors
    /// A file that cannot be understood, or a helper that fails or never ends.
    pub async fn find(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credential>, CredentialError> {
        if let Some(given) = &self.given {
            return Ok(Some(given.clone()));
        }
        let keys = keys(registry, repository);
        let mut found = self.found.lock().await;
        if let Some(credential) = found.get(&keys[0]) {
            return Ok(credential.clone());
        }
        let credential = self.look_up(&keys).await?;
        found.insert(keys[0].clone(), credential.clone());
        Ok(credential)
    }

    async fn look_up(&self, keys: &[String]) -> Result<Option<Credential>, CredentialError> {
        for path in &self.files {
            let Some(file) = AuthFile::read(path)? else { continue };
            if let Some(secret) = file.find(keys).await? {
                let origin = CredentialOrigin::File(path.clone());
                return Ok(Some(Credential { secret, origin }));
            }
        }
        Ok(None)
    }
}

/// The key under which a registry's credentials are kept.
pub(super) fn registry_key(registry: &str) -> &str {
    if registry == DOCKER_HUB { DOCKER_HUB_KEY } else { registry }
}

/// Docker's configuration file, where `login` keeps what it is given.
pub(super) fn docker_config() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".docker"));
    let set = env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty());
    set.map(PathBuf::from).or_else(home).map(|dir| dir.join("config.json"))
}

fn auth_files() -> Vec<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let runtime = variable("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
    let home = variable("HOME").map(|dir| dir.join(".config/containers/auth.json"));
    [variable("REGISTRY_AUTH_FILE"), docker_config(), runtime, home].into_iter().flatten().collect()
}

/// What a repository's credentials may be kept under, the most specific first; the registry's own
/// key and its other spellings last.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let full = format!("{registry}/{repository}");
    let mut keys: Vec<String> = full
        .rmatch_indices('/')
        .map(|(end, _)| end)
        .chain([full.len()])
        .map(|end| full[..end].to_owned())
        .filter(|key| key != registry)
        .collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    keys.push(registry_key(registry).to_owned());
    if registry == DOCKER_HUB {
        keys.extend([DOCKER_HUB.to_owned(), "index.docker.io".to_owned()]);
    }
    keys
}

struct AuthFile {
    path: PathBuf,
    document: Value,
}

impl AuthFile {
    fn read(path: &Path) -> Result<Option<AuthFile>, CredentialError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(CredentialError::Io { verb: "read", path: path.to_owned(), source });
            }
        };
        let mut document: Value = serde_json::from_slice(&bytes).map_err(|error| {
            CredentialError::Parse { path: path.to_owned(), reason: error.to_string() }
        })?;
        drop_empty_fields(&mut document);
        Ok(Some(AuthFile { path: path.to_owned(), document }))
    }

    async fn find(&self, keys: &[String]) -> Result<Option<Secret>, CredentialError> {
        for key in keys.iter().filter(|key| self.may_have(key)) {
            if let Some(secret) = self.ask(key).await? {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    /// A helper for everything is asked for the registry only, not once for each spelling.
    fn may_have(&self, key: &str) -> bool {
        let named = |table: &str| self.document.get(table).is_some_and(|t| t.get(key).is_some());
        let is_registry = key == DOCKER_HUB_KEY || !key.contains('/');
        let alias = key == DOCKER_HUB || key == "index.docker.io";
        named("auths") || named("credHelpers") || (is_registry && !alias)
    }

    /// In a thread of its own, so that a helper that never ends keeps nothing from ending.
    async fn ask(&self, key: &str) -> Result<Option<Secret>, CredentialError> {
        let (sender, receiver) = oneshot::channel();
        let (text, asked) = (self.document.to_string(), key.to_owned());
        std::thread::spawn(move || {
            let answer = docker_credential::get_credential_from_reader(text.as_bytes(), &asked);
            // Nobody listens any more once the patience is over.
            let _ = sender.send(answer);
        });
        let helper = |reason: String| CredentialError::Helper {
            path: self.path.clone(),
            key: key.to_owned(),
            reason,
        };
        match tokio::time::timeout(HELPER_PATIENCE, receiver).await {
            Ok(Ok(answer)) => self.judge(answer, helper),
            Ok(Err(_)) => Err(helper("it crashed".to_owned())),
            Err(_) => Err(helper(format!("no answer in {} s", HELPER_PATIENCE.as_secs()))),
        }
    }

    fn judge(
        &self,
        answer: Result<DockerCredential, CredentialRetrievalError>,
        helper: impl Fn(String) -> CredentialError,
    ) -> Result<Option<Secret>, CredentialError> {
        match answer {
            Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Secret::IdentityToken(token))),
            Ok(DockerCredential::UsernamePassword(username, password)) => {
                Ok(Some(Secret::Password { username, password }))
            }
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
            Err(CredentialRetrievalError::HelperFailure { stdout, .. })
                if stdout.contains("credentials not found") =>
            {
                Ok(None)
            }
            Err(CredentialRetrievalError::HelperFailure { helper: name, stdout, stderr }) => {
                let said = if stderr.trim().is_empty() { stdout } else { stderr };
                Err(helper(format!("{name}: {}", said.trim())))
            }
            Err(
                error @ (CredentialRetrievalError::HelperCommunicationError
                | CredentialRetrievalError::MalformedHelperResponse),
            ) => Err(helper(error.to_string())),
            Err(error) => {
                Err(CredentialError::Parse { path: self.path.clone(), reason: error.to_string() })
            }
        }
    }
}

/// Docker leaves empty fields behind, which mean nothing.
fn drop_empty_fields(document: &mut Value) {
    let entries = document.get_mut("auths").and_then(Value::as_object_mut);
    for entry in entries.into_iter().flat_map(|auths| auths.values_mut()) {
        if let Some(fields) = entry.as_object_mut() {
            fields.retain(|_, value| value.as_str() != Some(""));
        }
    }
}

#[cfg(test)]
mod tests;
