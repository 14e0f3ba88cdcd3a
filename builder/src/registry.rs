//! The client of image registries (OCI distribution-spec).
//!
//! Resolving, fetching and pushing, with what a build needs on bad days: mirrors that may fail,
//! retries that end, logins that expire half-way. Nothing here knows the store: documents and
//! blobs come and go as bytes, and `source::image` joins the two. What a reference or a document
//! says is read by the frontend.
//!
//! | module | what |
//! |---|---|
//! | `config` | `registries.toml`: mirrors, plain http, certificates |
//! | `credential`, `login` | auth files and helpers: reading, writing |
//! | `auth` | challenges and tokens |
//! | `tls`, `transport`, `watch`, `retry` | one request: connection, login, errors, trying again |
//! | `resolve` | from a reference to a manifest and a config |
//! | `blob`, `push` | bytes in, bytes out |
//! | `error` | what can go wrong, and what to do about it |

pub mod blob;
pub mod config;
pub mod credential;
pub mod error;
pub mod login;
pub mod push;
pub mod resolve;
pub mod retry;
pub mod tls;
pub mod transport;

mod auth;
mod near;
mod watch;

use std::sync::Arc;

use config::Registries;
use credential::Credentials;
use retry::Patience;
use transport::{Notify, Transport};

/// Talks to registries. Clones share connections, tokens and limits; use one for a whole run.
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
}

impl Client {
    /// A client that tells `notify` what the user should know although nothing failed: a mirror
    /// that is passed over, a registry that asks to wait.
    ///
    /// Nothing is opened or read yet.
    pub fn new(
        registries: Registries,
        credentials: Credentials,
        patience: Patience,
        notify: Notify,
    ) -> Client {
        let transport = Transport::new(registries, credentials, patience, notify);
        Client { transport: Arc::new(transport) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
