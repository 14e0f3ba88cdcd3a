//! What can go wrong with a registry, told so that a user can act on it.
//!
//! One enum for the whole client: whoever asks a registry for anything gets one of these.
//! [`RegistryError::help`] is the line that says what to do.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rbuild_cache::Digest;

use super::credential::CredentialError;

/// Why a registry did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// 401, or a repository that only those who log in may see.
    #[error("{host} asks for a login to {action}{}", colon(message))]
    Unauthorized {
        /// The registry.
        host: String,
        /// What was tried: `pull a/b`.
        action: String,
        /// The credentials that were refused, if there were any.
        used: Option<CredentialOrigin>,
        /// What the registry said.
        message: String,
    },
    /// 403: known, but not allowed.
    #[error("{host} denies to {action}{}", colon(message))]
    Denied {
        /// The registry.
        host: String,
        /// What was tried.
        action: String,
        /// What the token had to allow: `repository:a/b:pull,push`.
        scopes: Vec<String>,
        /// What the registry said.
        message: String,
    },
    /// 404 for a tag or digest.
    #[error("`{reference}` does not exist{}", colon(message))]
    NotFound {
        /// The image, as the user writes it.
        reference: String,
        /// Tags of the same repository that look alike, the most alike first.
        near: Vec<String>,
        /// What the registry said.
        message: String,
    },
    /// 404 for a blob that a manifest names.
    #[error("{host} has no blob {digest} in `{repository}`, which the image's manifest names")]
    BlobNotFound {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// The blob.
        digest: Digest,
    },
    /// 429 for longer than there was patience.
    #[error("{host} limits the rate of requests{}", wait(.retry_after))]
    RateLimited {
        /// The registry.
        host: String,
        /// What the registry asked to wait.
        retry_after: Option<Duration>,
    },
    /// Any other status.
    #[error("{host} answered {status} when asked to {action}{}", colon(message))]
    Status {
        /// The registry.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What was tried.
        action: String,
        /// What the registry said.
        message: String,
        /// What the registry asked to wait.
        retry_after: Option<Duration>,
    },
    /// No TLS connection: the certificate, or no TLS at all on the other side.
    #[error("cannot make a secure connection to {host}: {reason}")]
    Tls {
        /// The registry.
        host: String,
        /// Which of the two.
        kind: TlsFailure,
        /// What the TLS library said.
        reason: String,
    },
    /// No connection.
    #[error("cannot reach {host}: {kind}")]
    Unreachable {
        /// The registry.
        host: String,
        /// What is in the way.
        kind: Unreachable,
    },
    /// Connected, and then nothing for too long.
    #[error("{host} sent nothing for {} s when asked to {action}", idle.as_secs())]
    Stalled {
        /// The registry.
        host: String,
        /// What was tried.
        action: String,
        /// For how long nothing came.
        idle: Duration,
    },
    /// The connection broke, more often than it makes sense to try again.
    #[error("the connection to {host} broke when asked to {action}: {reason}")]
    Interrupted {
        /// The registry.
        host: String,
        /// What was tried.
        action: String,
        /// What broke it.
        reason: String,
    },
    /// The bytes are not those that the digest names.
    #[error("{host} sent {what} with digest {actual}, not {expected}")]
    DigestMismatch {
        /// The registry.
        host: String,
        /// `a manifest`, `a blob`
        what: &'static str,
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// More or fewer bytes than the descriptor says.
    #[error("{host} sent {actual} bytes of the blob {digest}, not {expected}")]
    SizeMismatch {
        /// The registry.
        host: String,
        /// The blob.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// A document larger than it may be.
    #[error("{host} sent {what} larger than {limit} bytes")]
    TooLarge {
        /// The registry.
        host: String,
        /// `a manifest`, `an image config`
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// A document that cannot be used.
    #[error("{what} of `{reference}` cannot be used: {reason}")]
    BadDocument {
        /// The image.
        reference: String,
        /// `the manifest`, ..
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer that breaks the protocol.
    #[error("{host} broke the registry protocol when asked to {action}: {reason}")]
    Protocol {
        /// The registry.
        host: String,
        /// What was tried.
        action: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// An index without the platform.
    #[error("`{reference}` has no image for {wanted}: it has {}", list(available))]
    NoPlatform {
        /// The image.
        reference: String,
        /// `linux/arm64`
        wanted: String,
        /// The platforms that there are.
        available: Vec<String>,
    },
    /// The credentials cannot be read.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A file that is pushed, or a certificate, cannot be read.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// `open`, `read`
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Where refused credentials came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialOrigin {
    /// An auth file, or a helper that it names.
    File(PathBuf),
    /// Given on the command line of `rbuild login`.
    Given,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nobody listens.
    #[error("connection refused")]
    Refused,
    /// The name is unknown.
    #[error("its name is not known")]
    UnknownHost,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// Why there is no TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFailure {
    /// The certificate is not trusted.
    Certificate,
    /// The other side does not speak TLS: plain http, in all likelihood.
    NotTls,
    /// Something else.
    Other,
}

impl RegistryError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unauthorized { host, used: None, .. } => Some(format!(
                "the repository may not exist, or needs a login: `rbuild login {host}`"
            )),
            Self::Unauthorized { host, used: Some(CredentialOrigin::File(path)), .. } => {
                Some(format!(
                    "the credentials of `{}` were refused: renew them with `rbuild login {host}`",
                    path.display()
                ))
            }
            Self::Unauthorized { used: Some(CredentialOrigin::Given), .. } => {
                Some("check the user name and the password or token".to_owned())
            }
            Self::Denied { scopes, .. } if !scopes.is_empty() => {
                Some(format!("your account needs `{}`", scopes.join("`, `")))
            }
            Self::NotFound { near, .. } if !near.is_empty() => {
                Some(format!("tags that look alike: `{}`", near.join("`, `")))
            }
            Self::RateLimited { host, .. } => Some(format!(
                "try again later; a login (`rbuild login {host}`) or a mirror raises the limit"
            )),
            Self::Tls { host, kind, .. } => Some(tls_help(host, *kind)),
            Self::Unreachable { host, kind } => unreachable_help(host, kind),
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                Some("a proxy or a mirror on the way may be damaged".to_owned())
            }
            Self::Credential(error) => error.help(),
            _ => None,
        }
    }

    /// Whether the registry was not there at all, as opposed to having answered.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Interrupted { .. } => true,
            Self::RateLimited { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }
}

fn tls_help(host: &str, kind: TlsFailure) -> String {
    let table = format!("[registry.\"{host}\"]");
    match kind {
        TlsFailure::Certificate => format!(
            "name its certificate authority (`ca = \"/path/ca.pem\"`) under {table} in \
             registries.toml, or give up checking with `insecure = true`"
        ),
        TlsFailure::NotTls => {
            format!("if it speaks plain http, say `http = true` under {table} in registries.toml")
        }
        TlsFailure::Other => {
            format!("`insecure = true` or `http = true` go under {table} in registries.toml")
        }
    }
}

fn unreachable_help(host: &str, kind: &Unreachable) -> Option<String> {
    match kind {
        Unreachable::Refused => Some(format!("is a registry running at {host}?")),
        Unreachable::UnknownHost => {
            Some(format!("check the spelling of {host} and this machine's network"))
        }
        Unreachable::TimedOut | Unreachable::Other(_) => {
            Some("check this machine's network, and HTTPS_PROXY if it needs one".to_owned())
        }
    }
}

/// What a failed request was about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failing<'a> {
    pub(super) host: &'a str,
    pub(super) action: &'a str,
}

/// Tells apart what reqwest puts into one type, by what caused it.
pub(super) fn from_request(error: &reqwest::Error, failing: Failing<'_>) -> RegistryError {
    let (host, action) = (failing.host.to_owned(), failing.action.to_owned());
    if let Some(tls) = cause::<rustls::Error>(error) {
        return RegistryError::Tls { host, kind: tls_failure(tls), reason: tls.to_string() };
    }
    let hung_up = |io: &io::Error| io.kind() == io::ErrorKind::UnexpectedEof;
    if error.is_connect() && cause::<io::Error>(error).is_some_and(hung_up) {
        let reason = root(error).to_string();
        return RegistryError::Tls { host, kind: TlsFailure::Other, reason };
    }
    if error.is_connect() {
        return RegistryError::Unreachable { host, kind: unreachable(error) };
    }
    RegistryError::Interrupted { host, action, reason: root(error).to_string() }
}

fn tls_failure(error: &rustls::Error) -> TlsFailure {
    match error {
        rustls::Error::InvalidCertificate(_) => TlsFailure::Certificate,
        rustls::Error::InvalidMessage(_) => TlsFailure::NotTls,
        _ => TlsFailure::Other,
    }
}

fn unreachable(error: &reqwest::Error) -> Unreachable {
    if let Some(io) = cause::<io::Error>(error) {
        match io.kind() {
            io::ErrorKind::ConnectionRefused => return Unreachable::Refused,
            io::ErrorKind::TimedOut => return Unreachable::TimedOut,
            _ => {}
        }
    }
    let told = root(error).to_string();
    if causes(error).any(|cause| cause.to_string().starts_with("dns error")) {
        return Unreachable::UnknownHost;
    }
    if error.is_timeout() { Unreachable::TimedOut } else { Unreachable::Other(told) }
}

/// The first cause of type `E`.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref::<E>())
}

/// An error and what caused it. An I/O error leaves out what it wraps, so it is opened.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current: &'a (dyn StdError + 'static) = next?;
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => current.source(),
        };
        Some(current)
    })
}

fn root<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    causes(error).last().unwrap_or(error)
}

fn colon(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn wait(retry_after: &Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!(": it asks to wait {} s", wait.as_secs()),
        None => String::new(),
    }
}

fn list(platforms: &[String]) -> String {
    if platforms.is_empty() { "none".to_owned() } else { platforms.join(", ") }
}
