//! One request as data: where to, what for, and what it carries.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use crate::registry::config::Endpoint;
use crate::registry::error::Failing;
use crate::registry::watch::Watch;

/// What requests are for.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Purpose {
    /// For errors: `pull a/b`.
    pub(in crate::registry) action: String,
    /// The path of the repository: which credentials to take.
    pub(in crate::registry) repository: String,
    /// What a token must allow.
    pub(in crate::registry) scopes: Vec<String>,
}

/// One request.
pub(in crate::registry) struct Call<'a> {
    pub(in crate::registry) endpoint: &'a Endpoint,
    pub(in crate::registry) purpose: &'a Purpose,
    pub(in crate::registry) method: Method,
    pub(in crate::registry) url: Url,
    pub(in crate::registry) headers: HeaderMap,
    pub(in crate::registry) body: Body<'a>,
}

/// What a request carries.
pub(in crate::registry) enum Body<'a> {
    Empty,
    Bytes(Bytes),
    /// Made anew for each try; the watch is told when a part is taken.
    Stream {
        size: u64,
        make: &'a (dyn Fn() -> reqwest::Body + Send + Sync),
        watch: &'a Watch,
    },
}

impl Purpose {
    /// Reading a repository, whose path is that at the endpoint.
    pub(in crate::registry) fn pull(path: &str) -> Purpose {
        Purpose {
            action: format!("pull {path}"),
            repository: path.to_owned(),
            scopes: vec![format!("repository:{path}:pull")],
        }
    }

    /// Writing a repository.
    pub(in crate::registry) fn push(path: &str) -> Purpose {
        Purpose {
            action: format!("push {path}"),
            repository: path.to_owned(),
            scopes: vec![format!("repository:{path}:pull,push")],
        }
    }

    /// Writing a repository with blobs of another one, which a token has to allow to be read.
    pub(in crate::registry) fn mount(path: &str, from: &str) -> Purpose {
        let mut purpose = Purpose::push(path);
        purpose.scopes.push(format!("repository:{from}:pull"));
        purpose
    }
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub(in crate::registry) fn new(
        endpoint: &'a Endpoint,
        purpose: &'a Purpose,
        method: Method,
        url: Url,
    ) -> Call<'a> {
        Call { endpoint, purpose, method, url, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// With a header.
    pub(in crate::registry) fn header(
        mut self,
        name: reqwest::header::HeaderName,
        value: &str,
    ) -> Call<'a> {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// With a body.
    pub(in crate::registry) fn body(mut self, body: Body<'a>) -> Call<'a> {
        self.body = body;
        self
    }

    pub(super) fn failing(&self) -> Failing<'a> {
        Failing { host: self.endpoint.name(), action: &self.purpose.action }
    }
}
