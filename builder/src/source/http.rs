//! Files behind `http://` and `https://`: asked for again only as far as the server says that they
//! changed, and never for ever.
//!
//! A request ends when the server is silent for too long, when everything takes too long, or when
//! more comes than anybody wants. What may pass by itself (a broken connection, 408, 429, 5xx) is
//! tried again a few times. Redirections are followed, ten at most.
//!
//! Validators are those of RFC 9110, section 8.8: a strong `ETag`, or else a `Last-Modified` that
//! is older than the answer. Names and passwords of the address are sent and never shown.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use rbuild_cache::Digest;
use rbuild_frontend::address::redacted;
use reqwest::header::{
    AUTHORIZATION, DATE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep, timeout_at};

use super::auth::{self, AuthError, Authorization, Proof};
use super::limits::{BYTES, IDLE, Limits, REDIRECTS, SECONDS};
use crate::given::Given;
use crate::registry::config::is_loopback;
use crate::registry::tls::{self, Trust};

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The digest of its bytes.
    pub digest: Digest,
    /// `Last-Modified`, seconds since 1970.
    pub modified: Option<i64>,
    /// What to ask with the next time.
    validator: Option<Validator>,
}

/// What the server names a version of the file by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Validator {
    Tag(String),
    Time(String),
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is none that can be asked.
    #[error("`{0}` is not an address")]
    Address(String),
    /// The server refused.
    #[error("`{url}` cannot be had: the server answers {status}")]
    Status {
        /// The address.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// The server wants to know who asks, or does not want this one.
    #[error("`{url}` cannot be had: the server answers {status}")]
    Refused {
        /// The address.
        url: String,
        /// 401 or 403.
        status: StatusCode,
        /// What it was told.
        proof: Proof,
    },
    /// A credential cannot be had.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// It leads elsewhere again and again.
    #[error("`{0}` cannot be had: it redirects too often")]
    Redirects(String),
    /// No connection, or one that broke.
    #[error("`{url}` cannot be had: {reason}")]
    Connection {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server was silent for too long.
    #[error("`{url}` cannot be had: the server sent nothing for {} seconds", waited.as_secs())]
    Silent {
        /// The address.
        url: String,
        /// How long.
        waited: Duration,
    },
    /// All of it took too long.
    #[error("`{url}` takes longer than {} seconds", limit.as_secs())]
    Slow {
        /// The address.
        url: String,
        /// How long it may take.
        limit: Duration,
    },
    /// There is more than anybody wants.
    #[error("`{url}` has more than {limit} bytes")]
    Large {
        /// The address.
        url: String,
        /// How much there may be.
        limit: u64,
    },
    /// The disk.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// Where to.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] crate::registry::error::RegistryError),
}

/// Tells how far a download is: bytes, and how many there are if the server says so.
pub type Tell<'a> = &'a (dyn Fn(u64, Option<u64>) + Sync);

/// Asks servers.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    /// Without a proxy: for addresses of this machine.
    direct: Client,
    limits: Limits,
    given: Given,
}

impl Http {
    /// With the proxies of the environment and the system's certificate authorities.
    pub fn new(limits: &Limits, given: &Given) -> Result<Http, HttpError> {
        let tls = tls::client_config(&Trust::System)?;
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(concat!("rbuild/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(limits.connect)
                .redirect(Policy::limited(REDIRECTS))
        };
        let failed = |error| connection("any address", &error);
        let client = builder().build().map_err(failed)?;
        let direct = builder().no_proxy().build().map_err(failed)?;
        Ok(Http { client, direct, limits: limits.clone(), given: given.clone() })
    }

    /// Downloads a file to `path`; none if it is still the one of `known`.
    ///
    /// # Errors
    /// Whatever the last try ended with.
    pub async fn get(
        &self,
        url: &str,
        known: Option<&Answer>,
        path: &Path,
        tell: Tell<'_>,
    ) -> Result<Option<Answer>, HttpError> {
        let end = Instant::now() + self.limits.total;
        let slow = || HttpError::Slow { url: redacted(url), limit: self.limits.total };
        let tries = self.tries(url, known, path, tell);
        timeout_at(end, tries).await.map_err(|_| slow())?
    }

    async fn tries(
        &self,
        url: &str,
        known: Option<&Answer>,
        path: &Path,
        tell: Tell<'_>,
    ) -> Result<Option<Answer>, HttpError> {
        let mut wait = self.limits.wait;
        for _ in 1..self.limits.tries {
            match self.once(url, known, path, tell).await {
                Err(error) if error.may_pass() => sleep(wait).await,
                done => return done,
            }
            wait *= 2;
        }
        self.once(url, known, path, tell).await
    }

    async fn once(
        &self,
        url: &str,
        known: Option<&Answer>,
        path: &Path,
        tell: Tell<'_>,
    ) -> Result<Option<Answer>, HttpError> {
        let address = url.parse::<reqwest::Url>();
        let address = address.map_err(|_| HttpError::Address(redacted(url)))?;
        let near = address.host_str().is_some_and(is_loopback);
        let client = if near { &self.direct } else { &self.client };
        let Authorization { header, proof } = auth::of_file(&self.given, &address)?;
        // Sent to this host alone: a redirection to another one, or to another port, drops it.
        let mut request = client.get(address);
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        match known.and_then(|known| known.validator.as_ref()) {
            Some(Validator::Tag(tag)) => request = request.header(IF_NONE_MATCH, tag),
            Some(Validator::Time(time)) => request = request.header(IF_MODIFIED_SINCE, time),
            None => {}
        }
        let response = self.in_time(url, request.send()).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED if known.is_some() => Ok(None),
            status if status.is_success() => self.body(url, response, path, tell).await.map(Some),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(HttpError::Refused { url: redacted(url), status, proof })
            }
            status => Err(HttpError::Status { url: redacted(url), status }),
        }
    }

    async fn body(
        &self,
        url: &str,
        mut response: Response,
        path: &Path,
        tell: Tell<'_>,
    ) -> Result<Answer, HttpError> {
        let failed = |source| HttpError::Write { path: path.display().to_string(), source };
        let large = || HttpError::Large { url: redacted(url), limit: self.limits.bytes };
        let total = response.content_length();
        if total.is_some_and(|total| total > self.limits.bytes) {
            return Err(large());
        }
        let mut file = File::create(path).map_err(failed)?;
        let (mut hasher, mut done) = (Sha256::new(), 0);
        while let Some(chunk) = self.in_time(url, response.chunk()).await? {
            done += chunk.len() as u64;
            if done > self.limits.bytes {
                return Err(large());
            }
            hasher.update(&chunk);
            file.write_all(&chunk).map_err(failed)?;
            tell(done, total);
        }
        let headers = response.headers();
        let modified = date(headers, LAST_MODIFIED).map(|(_, time)| time);
        let digest = Digest::from_hasher(hasher);
        Ok(Answer { digest, modified, validator: validator(headers) })
    }

    /// Waits for a part of an answer, not for ever.
    async fn in_time<T>(
        &self,
        url: &str,
        part: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, HttpError> {
        let silent = || HttpError::Silent { url: redacted(url), waited: self.limits.idle };
        let part = timeout_at(Instant::now() + self.limits.idle, part).await;
        part.map_err(|_| silent())?.map_err(|error| connection(url, &error))
    }
}

impl HttpError {
    /// Whether another try may have another end.
    fn may_pass(&self) -> bool {
        match self {
            HttpError::Status { status, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
            }
            HttpError::Connection { .. } => true,
            _ => false,
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            HttpError::Large { .. } => Some(format!("{BYTES} sets the limit, in bytes")),
            HttpError::Silent { .. } => Some(format!("{IDLE} sets the limit, in seconds")),
            HttpError::Refused { proof, .. } => Some(proof.help()),
            HttpError::Auth(error) => error.help(),
            HttpError::Slow { .. } => Some(format!("{SECONDS} sets the limit, in seconds")),
            _ => None,
        }
    }
}

/// The innermost reason is the one that says something; addresses with passwords are left out.
fn connection(url: &str, error: &reqwest::Error) -> HttpError {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if error.is_redirect() {
        return HttpError::Redirects(redacted(url));
    }
    let reason = match error.is_timeout() {
        true => "no connection in time".to_owned(),
        false => innermost.to_string(),
    };
    HttpError::Connection { url: redacted(url), reason }
}

/// A time of whole seconds only tells versions apart if the file was old when it was sent.
fn validator(headers: &HeaderMap) -> Option<Validator> {
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok());
    if let Some(tag) = tag.filter(|tag| !tag.starts_with("W/")) {
        return Some(Validator::Tag(tag.to_owned()));
    }
    let (text, modified) = date(headers, LAST_MODIFIED)?;
    let (_, sent) = date(headers, DATE)?;
    (sent > modified + 1).then_some(Validator::Time(text))
}

fn date(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<(String, i64)> {
    let text = headers.get(name)?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some((text.to_owned(), time.timestamp().as_second()))
}

#[cfg(test)]
mod tests;
