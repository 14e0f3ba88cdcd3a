//! Credentials for what comes from elsewhere: which secret of the user goes to which host.
//!
//! | secret | is sent for | as `Authorization` |
//! |---|---|---|
//! | `HTTP_AUTH_HEADER_host` | files | what it holds |
//! | `HTTP_AUTH_TOKEN_host` | files | `Bearer`, as in RFC 6750 |
//! | `GIT_AUTH_HEADER.host`, `GIT_AUTH_HEADER` | repositories behind `http` | what it holds |
//! | `GIT_AUTH_TOKEN.host`, `GIT_AUTH_TOKEN` | repositories behind `http` | `Basic`, of the user `x-access-token` |
//!
//! The names are BuildKit's. `host` may carry a port, and a name with one goes first, as a header
//! goes before a token. A name and password in the address itself go before all of them. What is
//! sent reaches one host: it is dropped where a redirection leads elsewhere, and it is part of no
//! key, no message and no argument of a program.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rbuild_frontend::address::{Login, split_login};
use rbuild_solver::op::mount::{FileOwner, Need, SshMount};
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::given::Given;
use crate::given::agent::{AgentError, Forward};
use crate::given::secrets::SecretError;

/// The agent that git asks for keys, and for which `RUN --mount=type=ssh` asks where it names none.
const AGENT: &str = "default";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A repository.
    Repository,
}

/// What is sent beside what the address says, and by which right.
pub struct Authorization {
    /// The value of the header. It says of itself that it is not to be shown.
    pub header: Option<HeaderValue>,
    /// Where it comes from.
    pub proof: Proof,
}

/// What a request says of who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A secret of this name.
    Secret(String),
    /// What the address says.
    Address,
    /// Nothing: these secrets were looked for.
    Nothing(Vec<String>),
}

/// Why a credential cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It cannot be sent.
    #[error("the secret `{0}` cannot be sent: it has several lines or is not text")]
    NotAHeader(String),
    /// The agent cannot be reached.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// How git reaches a repository.
pub struct Access {
    /// The address without name and password, as git is told it.
    pub remote: String,
    /// What else git is told, by its environment: that is the user's own to see.
    pub environment: Vec<(String, String)>,
    /// By which right.
    pub proof: Proof,
    /// It passes on what git asks of it until this is dropped.
    _agent: Option<Forward>,
}

/// What goes to a server that asks for a file.
///
/// # Errors
/// A secret that cannot be read or sent.
pub fn of_file(given: &Given, url: &Url) -> Result<Authorization, AuthError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Ok(Authorization { header: None, proof: Proof::Address });
    }
    from_secrets(given, Kind::File, url)
}

/// How git gets to a repository, with what the user gives for it.
///
/// # Errors
/// A secret that cannot be read or sent, an agent that does not answer.
pub fn of_repository(given: &Given, remote: &str) -> Result<Access, AuthError> {
    let (bare, login) = split_login(remote);
    let Some(url) = Url::parse(&bare).ok().filter(|url| url.scheme().starts_with("http")) else {
        return of_ssh(given, bare);
    };
    let (value, proof) = match login {
        Some(login) => (Some(basic(&login)), Proof::Address),
        None => {
            let Authorization { header, proof } = from_secrets(given, Kind::Repository, &url)?;
            (header.and_then(|header| Some(header.to_str().ok()?.to_owned())), proof)
        }
    };
    let environment = value.map(|value| settings(&url, &value)).unwrap_or_default();
    Ok(Access { remote: bare, environment, proof, _agent: None })
}

impl Proof {
    /// What the user can do if that was not enough.
    pub fn help(&self) -> String {
        match self {
            Proof::Secret(id) => format!("the server does not accept what the secret `{id}` holds"),
            Proof::Address => {
                "the server does not accept the name and password in the address".to_owned()
            }
            Proof::Nothing(ids) => format!(
                "if it needs a token, give it with `--secret id={},src=FILE` (or `env=NAME`)",
                ids.first().map_or("", String::as_str)
            ),
        }
    }
}

impl AuthError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            AuthError::Secret(error) => error.help(),
            AuthError::Agent(error) => error.help(),
            AuthError::NotAHeader(_) => None,
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Access").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// The first of the secrets that the user gives.
fn from_secrets(given: &Given, kind: Kind, url: &Url) -> Result<Authorization, AuthError> {
    let names = names(kind, url);
    for (id, form) in &names {
        let Some(bytes) = given.secrets.read(id, Need::Optional)? else { continue };
        let secret = String::from_utf8(bytes).ok();
        let secret = secret.as_deref().map(str::trim).filter(|secret| !secret.is_empty());
        // A variable that is not set is an empty secret: none.
        let Some(secret) = secret else { continue };
        let header = HeaderValue::from_str(&form.value(secret));
        let mut header = header.map_err(|_| AuthError::NotAHeader(id.clone()))?;
        header.set_sensitive(true);
        return Ok(Authorization { header: Some(header), proof: Proof::Secret(id.clone()) });
    }
    let tokens = names.into_iter().filter(|(_, form)| *form != Form::Header).map(|(id, _)| id);
    Ok(Authorization { header: None, proof: Proof::Nothing(tokens.collect()) })
}

/// How a secret is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Header,
    Bearer,
    Basic,
}

impl Form {
    fn value(self, secret: &str) -> String {
        match self {
            Form::Header => secret.to_owned(),
            Form::Bearer => format!("Bearer {secret}"),
            Form::Basic => {
                let (user, password) = ("x-access-token".to_owned(), secret.to_owned());
                basic(&Login { user, password })
            }
        }
    }
}

/// The names of secrets for a host, the first that counts first.
fn names(kind: Kind, url: &Url) -> Vec<(String, Form)> {
    let host = url.host_str().unwrap_or_default();
    let with_port = url.port().map(|port| format!("{host}:{port}"));
    let hosts = with_port.into_iter().chain([host.to_owned()]);
    match kind {
        Kind::File => hosts
            .flat_map(|host| {
                let token = (format!("HTTP_AUTH_TOKEN_{host}"), Form::Bearer);
                [(format!("HTTP_AUTH_HEADER_{host}"), Form::Header), token]
            })
            .collect(),
        Kind::Repository => hosts
            .map(|host| format!(".{host}"))
            .chain([String::new()])
            .flat_map(|host| {
                let token = (format!("GIT_AUTH_TOKEN{host}"), Form::Basic);
                [(format!("GIT_AUTH_HEADER{host}"), Form::Header), token]
            })
            .collect(),
    }
}

fn basic(login: &Login) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", login.user, login.password)))
}

/// Settings of git for one host. Git would send a header of its settings on to where a redirection
/// leads, so it follows none there.
fn settings(url: &Url, value: &str) -> Vec<(String, String)> {
    let scope = format!("http.{}/", url.origin().ascii_serialization());
    let value = format!("Authorization: {value}");
    let settings = [
        (format!("{scope}.extraHeader"), value),
        (format!("{scope}.followRedirects"), "false".to_owned()),
    ];
    let mut environment = vec![("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string())];
    for (number, (key, value)) in settings.into_iter().enumerate() {
        environment.push((format!("GIT_CONFIG_KEY_{number}"), key));
        environment.push((format!("GIT_CONFIG_VALUE_{number}"), value));
    }
    environment
}

/// With the agent that the user names, or else the user's own one if ssh finds it.
fn of_ssh(given: &Given, remote: String) -> Result<Access, AuthError> {
    let owner = FileOwner { uid: 0, gid: 0, mode: 0o600 };
    let mount = SshMount { id: AGENT.to_owned(), owner, need: Need::Optional };
    let agent = given.agents.forward(&mount)?;
    let socket = agent.as_ref().map(|agent| agent.socket().display().to_string());
    let environment =
        socket.map(|socket| ("SSH_AUTH_SOCK".to_owned(), socket)).into_iter().collect();
    Ok(Access { remote, environment, proof: Proof::Nothing(Vec::new()), _agent: agent })
}

#[cfg(test)]
mod tests;
