//! `rbuild login` and `rbuild logout`: credentials tried out, and then kept where docker and
//! podman find them too.
//!
//! They go into docker's `config.json`, or to the helper that it names. The file is written
//! whole, readable by its owner only, and keeps all fields that are not known here.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rbuild_frontend::reference::DOCKER_HUB;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::Client;
use super::config::Registries;
use super::credential::{
    Credential, CredentialError, Credentials, Secret, docker_config, registry_key,
};
use super::error::{CredentialOrigin, RegistryError};
use super::retry::Patience;
use super::transport::{Call, Purpose};

/// Where a login was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In a file, where anybody who reads it can decode it.
    File(PathBuf),
    /// By a helper program.
    Helper(String),
}

/// What a logout removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedOut {
    /// Credentials that were kept.
    Removed(Kept),
    /// There were none.
    NotLoggedIn,
}

/// Tries the credentials at the registry, and keeps them if it takes them.
///
/// # Errors
/// A registry that refuses them or cannot be asked, or a file that cannot be written.
pub async fn login(
    registries: Registries,
    registry: &str,
    username: &str,
    password: &str,
) -> Result<Kept, RegistryError> {
    let secret = Secret::Password { username: username.to_owned(), password: password.to_owned() };
    let given = Credentials::given(Credential { secret, origin: CredentialOrigin::Given });
    let client = Client::new(registries, given, Patience::default(), Arc::new(|_| {}));
    client.check(registry).await?;
    let file = docker_config().ok_or(CredentialError::NoHome)?;
    Ok(keep(&file, registry, username, password)?)
}

/// Forgets the credentials for a registry.
///
/// # Errors
/// A file that cannot be read or written, or a helper that fails.
pub fn logout(registry: &str) -> Result<LoggedOut, CredentialError> {
    forget(&docker_config().ok_or(CredentialError::NoHome)?, registry)
}

impl Client {
    /// Asks the registry whether it is one, and whether it takes the credentials at hand.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self, registry: &str) -> Result<(), RegistryError> {
        let endpoint = self.transport.registries.endpoint(registry);
        let (action, repository) = ("log in".to_owned(), String::new());
        let purpose = Purpose { action, repository, scopes: Vec::new() };
        let call = Call::new(&endpoint, &purpose, Method::GET, endpoint.url("/v2/")?);
        self.transport.call(&call, &[StatusCode::OK]).await.map(drop)
    }
}

fn keep(
    file: &Path,
    registry: &str,
    username: &str,
    password: &str,
) -> Result<Kept, CredentialError> {
    let mut config = read(file)?;
    let key = registry_key(registry);
    let (entry, kept) = match helper(&config, key) {
        Some(name) => {
            let secret = json!({"ServerURL": key, "Username": username, "Secret": password});
            run_helper(file, &name, "store", key, &secret.to_string())?;
            (json!({}), Kept::Helper(name))
        }
        None => {
            let auth = STANDARD.encode(format!("{username}:{password}"));
            (json!({ "auth": auth }), Kept::File(file.to_owned()))
        }
    };
    object(&mut config, "auths").insert(key.to_owned(), entry);
    write(file, &config)?;
    Ok(kept)
}

fn forget(file: &Path, registry: &str) -> Result<LoggedOut, CredentialError> {
    let mut config = read(file)?;
    let key = registry_key(registry);
    let spellings: &[&str] = match registry {
        DOCKER_HUB => &[key, DOCKER_HUB, "index.docker.io"],
        registry => &[registry],
    };
    let auths = object(&mut config, "auths");
    let removed = spellings.iter().filter(|key| auths.remove(**key).is_some()).count();
    if removed == 0 {
        return Ok(LoggedOut::NotLoggedIn);
    }
    let kept = match helper(&config, key) {
        Some(name) => {
            run_helper(file, &name, "erase", key, key)?;
            Kept::Helper(name)
        }
        None => Kept::File(file.to_owned()),
    };
    write(file, &config)?;
    Ok(LoggedOut::Removed(kept))
}

fn helper(config: &Map<String, Value>, key: &str) -> Option<String> {
    let own = config.get("credHelpers").and_then(|helpers| helpers.get(key));
    let name = own.or_else(|| config.get("credsStore"))?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn run_helper(
    file: &Path,
    name: &str,
    verb: &str,
    key: &str,
    input: &str,
) -> Result<(), CredentialError> {
    let program = format!("docker-credential-{name}");
    let failed = |reason: String| CredentialError::Helper {
        path: file.to_owned(),
        key: key.to_owned(),
        reason: format!("{program}: {reason}"),
    };
    let io_failed = |error: io::Error| failed(error.to_string());
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io_failed)?;
    let written = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(io_failed)?;
    if output.status.success() {
        return written.map_err(io_failed);
    }
    // What it says is why it did not read either.
    let said = [output.stderr, output.stdout].concat();
    Err(failed(String::from_utf8_lossy(&said).trim().to_owned()))
}

fn object<'a>(config: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = config.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

fn read(file: &Path) -> Result<Map<String, Value>, CredentialError> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => {
            return Err(CredentialError::Io { verb: "read", path: file.to_owned(), source });
        }
    };
    serde_json::from_slice(&bytes).map_err(|error| CredentialError::Parse {
        path: file.to_owned(),
        reason: error.to_string(),
    })
}

/// Another file takes its place, so that nobody ever sees half of it. A symlink stays one.
fn write(file: &Path, config: &Map<String, Value>) -> Result<(), CredentialError> {
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let failed = |verb| {
        let path = target.clone();
        move |source| CredentialError::Io { verb, path, source }
    };
    let dir = target.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(dir).map_err(failed("make the directory of"))?;
    let mut text =
        serde_json::to_vec_pretty(config).map_err(|error| failed("write")(error.into()))?;
    text.push(b'\n');
    // A temporary file is made with mode 0600.
    let mut fresh = tempfile::NamedTempFile::new_in(dir).map_err(failed("write"))?;
    fresh.write_all(&text).map_err(failed("write"))?;
    fresh.as_file().sync_all().map_err(failed("sync"))?;
    fresh.persist(&target).map_err(|error| failed("replace")(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests;
