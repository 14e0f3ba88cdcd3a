//! One HTTP request to a registry: the right client, the right credentials, the right error.
//!
//! What a request means is not known here. Connections are kept and shared by all requests; each
//! registry gets at most four downloads and four uploads at once, while small requests such as
//! those for manifests are not counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::Session;
use super::config::{Endpoint, Registries, Role, is_loopback};
use super::credential::Credentials;
use super::error::{Failing, RegistryError, from_request};
use super::retry::{Patience, Retry, retry_after};
use super::tls::{self, Trust};
use super::watch::Watch;

mod authorize;
mod call;

pub(super) use call::{Body, Call, Purpose};

const TRANSFERS_PER_REGISTRY: usize = 4;
const MAX_ERROR_BODY: usize = 64 * 1024;
/// A registry says nothing while it puts a large blob into its place.
const UPLOAD_PATIENCE: u32 = 5;

/// Told what the user should know although nothing failed.
pub type Notify = Arc<dyn Fn(&str) + Send + Sync>;

pub(super) struct Transport {
    pub(super) registries: Registries,
    pub(super) patience: Patience,
    credentials: Credentials,
    notify: Notify,
    clients: Mutex<HashMap<ClientKind, Client>>,
    sessions: Mutex<HashMap<Endpoint, Arc<Session>>>,
    permits: Mutex<HashMap<(String, Direction), Arc<Semaphore>>>,
    /// Mirrors that were passed over.
    failed: Mutex<HashMap<Endpoint, Health>>,
}

/// Clients differ in what they believe and in whether they may use a proxy.
#[derive(PartialEq, Eq, Hash)]
struct ClientKind {
    trust: Trust,
    direct: bool,
}

/// What was learnt about a mirror that was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// It did not have something.
    Incomplete,
    /// It is not asked again.
    Dead,
}

/// Which way the bytes of a blob go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Down,
    Up,
}

impl Transport {
    pub(super) fn new(
        registries: Registries,
        credentials: Credentials,
        patience: Patience,
        notify: Notify,
    ) -> Transport {
        Transport {
            registries,
            patience,
            credentials,
            notify,
            clients: Mutex::default(),
            sessions: Mutex::default(),
            permits: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Sends a request until it is answered with one of the statuses in `expected`.
    ///
    /// # Errors
    /// Whatever the last try ended with.
    pub(super) async fn call(
        &self,
        call: &Call<'_>,
        expected: &[StatusCode],
    ) -> Result<Response, RegistryError> {
        let mut retry = self.retry(call.endpoint);
        loop {
            match self.call_once(call, expected).await {
                Ok(response) => return Ok(response),
                Err(error) => self.wait(&mut retry, error).await?,
            }
        }
    }

    /// As [`Transport::call`], but tried once. A login in between does not count.
    pub(super) async fn call_once(
        &self,
        call: &Call<'_>,
        expected: &[StatusCode],
    ) -> Result<Response, RegistryError> {
        let response = self.authorized(call).await?;
        if expected.contains(&response.status()) {
            return Ok(response);
        }
        Err(self.refusal(call, response).await)
    }

    /// Waits before another try, or gives back the error.
    pub(super) async fn wait(
        &self,
        retry: &mut Retry,
        error: RegistryError,
    ) -> Result<(), RegistryError> {
        let told = error.to_string();
        let wait = retry.next(error)?;
        if wait >= Duration::from_secs(2) {
            (self.notify)(&format!("{told}; trying again in {} s", wait.as_secs()));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// How patient to be with an endpoint: behind a mirror, others wait.
    pub(super) fn retry(&self, endpoint: &Endpoint) -> Retry {
        match endpoint.role {
            Role::Registry => Retry::new(&self.patience),
            Role::Mirror => Retry::never(),
        }
    }

    /// Where to pull from, without mirrors that are known to be of no use.
    pub(super) fn pull_endpoints(&self, registry: &str) -> Vec<Endpoint> {
        let mut endpoints = self.registries.pull_endpoints(registry);
        if let Ok(failed) = self.failed.lock() {
            endpoints.retain(|endpoint| failed.get(endpoint) != Some(&Health::Dead));
        }
        endpoints
    }

    /// Passes over a mirror, and tells so the first time. An image that it does not have says
    /// nothing about the next one; everything else does.
    pub(super) fn pass_over(&self, mirror: &Endpoint, error: &RegistryError) {
        let missing =
            matches!(error, RegistryError::NotFound { .. } | RegistryError::BlobNotFound { .. });
        let Ok(mut failed) = self.failed.lock() else { return };
        let first = !failed.contains_key(mirror);
        let health = if missing { Health::Incomplete } else { Health::Dead };
        failed.insert(mirror.clone(), health);
        if first {
            let (host, registry) = (&mirror.host, &mirror.registry);
            (self.notify)(&format!("mirror {host} of {registry} passed over: {error}"));
        }
    }

    /// Waits for a turn to transfer a blob.
    pub(super) async fn turn(
        &self,
        host: &str,
        direction: Direction,
    ) -> Option<OwnedSemaphorePermit> {
        let semaphore = {
            let mut permits = self.permits.lock().ok()?;
            let fresh = || Arc::new(Semaphore::new(TRANSFERS_PER_REGISTRY));
            permits.entry((host.to_owned(), direction)).or_insert_with(fresh).clone()
        };
        semaphore.acquire_owned().await.ok()
    }

    async fn send(
        &self,
        call: &Call<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let client = self.client_for(call)?;
        let request = client.request(call.method.clone(), call.url.clone());
        let request = request.headers(call.headers.clone());
        let request = authorization.into_iter().fold(request, |r, v| r.header(AUTHORIZATION, v));
        let (idle, failing, fresh) = (self.patience.idle, call.failing(), Watch::new());
        match &call.body {
            Body::Empty if call.method == Method::POST => {
                let request = request.header(CONTENT_LENGTH, 0);
                in_time(request.send(), (&fresh, idle), failing).await
            }
            Body::Empty => in_time(request.send(), (&fresh, idle), failing).await,
            Body::Bytes(bytes) => {
                in_time(request.body(bytes.clone()).send(), (&fresh, idle), failing).await
            }
            Body::Stream { size, make, watch } => {
                watch.touch();
                let request = request.header(CONTENT_LENGTH, *size).body(make());
                in_time(request.send(), (watch, idle * UPLOAD_PATIENCE), failing).await
            }
        }
    }

    /// The next bytes of an answer; none at its end.
    pub(super) async fn chunk(
        &self,
        response: &mut Response,
        failing: Failing<'_>,
    ) -> Result<Option<Bytes>, RegistryError> {
        let idle = self.patience.idle;
        match tokio::time::timeout(idle, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| from_request(&error, failing)),
            Err(_) => Err(stalled(failing, idle)),
        }
    }

    /// All bytes of an answer that is `what` and has at most `limit` bytes.
    pub(super) async fn read(
        &self,
        mut response: Response,
        (what, limit): (&'static str, u64),
        failing: Failing<'_>,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(&mut response, failing).await? {
            if bytes.len() as u64 + chunk.len() as u64 > limit {
                return Err(RegistryError::TooLarge { host: failing.host.to_owned(), what, limit });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// What a status that was not hoped for means.
    pub(super) async fn refusal(&self, call: &Call<'_>, response: Response) -> RegistryError {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let message = self.error_message(response, call.failing()).await;
        let (host, action) = (call.endpoint.name().to_owned(), call.purpose.action.clone());
        match status {
            StatusCode::UNAUTHORIZED => {
                let used = self.credential(call).await.ok().flatten().map(|c| c.origin);
                RegistryError::Unauthorized { host, action, used, message }
            }
            StatusCode::FORBIDDEN => {
                RegistryError::Denied { host, action, scopes: call.purpose.scopes.clone(), message }
            }
            StatusCode::TOO_MANY_REQUESTS => RegistryError::RateLimited { host, retry_after },
            status => {
                let status = status.as_u16();
                RegistryError::Status { host, status, action, message, retry_after }
            }
        }
    }

    async fn error_message(&self, mut response: Response, failing: Failing<'_>) -> String {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = self.chunk(&mut response, failing).await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ERROR_BODY {
                break;
            }
        }
        error_message(&bytes)
    }

    /// What was agreed for a registry holds for its own host only.
    fn client_for(&self, call: &Call<'_>) -> Result<Client, RegistryError> {
        if call.endpoint.is_origin_of(&call.url) {
            return self.client(call.endpoint.trust.clone(), call.endpoint.is_loopback());
        }
        self.client(Trust::System, is_loopback(call.url.authority()))
    }

    fn client(&self, trust: Trust, direct: bool) -> Result<Client, RegistryError> {
        let kind = ClientKind { trust, direct };
        let known = self.clients.lock().ok().and_then(|clients| clients.get(&kind).cloned());
        if let Some(client) = known {
            return Ok(client);
        }
        let client = self.new_client(&kind)?;
        if let Ok(mut clients) = self.clients.lock() {
            clients.insert(kind, client.clone());
        }
        Ok(client)
    }

    /// A loopback address is never asked for through a proxy, which would have another one.
    fn new_client(&self, kind: &ClientKind) -> Result<Client, RegistryError> {
        let builder = Client::builder()
            .user_agent(concat!("rbuild/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls::client_config(&kind.trust)?)
            .connect_timeout(self.patience.connect)
            .http2_adaptive_window(true);
        let builder = if kind.direct { builder.no_proxy() } else { builder };
        let failing = Failing { host: "any registry", action: "set up http" };
        builder.build().map_err(|error| from_request(&error, failing))
    }
}

async fn in_time(
    sending: impl Future<Output = reqwest::Result<Response>>,
    (watch, idle): (&Watch, Duration),
    failing: Failing<'_>,
) -> Result<Response, RegistryError> {
    tokio::select! {
        response = sending => response.map_err(|error| from_request(&error, failing)),
        () = watch.stalled(idle) => Err(stalled(failing, idle)),
    }
}

fn stalled(failing: Failing<'_>, idle: Duration) -> RegistryError {
    let (host, action) = (failing.host.to_owned(), failing.action.to_owned());
    RegistryError::Stalled { host, action, idle }
}

/// The messages of an error document (OCI distribution-spec, error codes), or nothing.
fn error_message(body: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().map(str::trim).map(str::to_owned);
    let errors = document["errors"].as_array().into_iter().flatten();
    let messages: Vec<String> = errors
        .filter_map(|error| text(&error["message"]).or_else(|| text(&error["code"])))
        .chain(text(&document["details"]))
        .filter(|message| !message.is_empty())
        .collect();
    let one_line = messages.join("; ").replace(['\n', '\r'], " ");
    one_line.chars().filter(|c| !c.is_control()).take(300).collect()
}
