//! Fetching a blob: one pass over its bytes, checked as they come.
//!
//! A connection that breaks is made again and goes on where it stopped (`Range`, RFC 9110, section
//! 14), from the next mirror or from the registry, whoever had it first. Size and digest are
//! checked by the time the last bytes are handed out: before that, they prove nothing.

use std::sync::Arc;

use bytes::Bytes;
use rbuild_cache::{Descriptor, Digest};
use rbuild_frontend::reference::Repository;
use reqwest::header::{CONTENT_RANGE, HeaderMap, RANGE};
use reqwest::{Method, Response, StatusCode};
use sha2::Digest as _;
use tokio::sync::OwnedSemaphorePermit;

use super::Client;
use super::config::{Endpoint, Role};
use super::error::{Failing, RegistryError};
use super::retry::Retry;
use super::transport::{Call, Direction, Purpose};

/// Told how far a blob is: its digest, bytes done, bytes in all.
pub type Progress = Arc<dyn Fn(&Digest, u64, u64) + Send + Sync>;

/// A blob on its way.
pub struct BlobReader {
    client: Client,
    repository: Repository,
    descriptor: Descriptor,
    /// Those still to be asked; the first is the one asked now.
    endpoints: Vec<Endpoint>,
    retry: Option<Retry>,
    connection: Option<Connection>,
    offset: u64,
    hasher: sha2::Sha256,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
}

struct Connection {
    response: Response,
    /// Bytes that were had before and come again, from a registry that cannot go on in the middle.
    skip: u64,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Client {
    /// Starts to fetch a blob of `repository`. Nothing is asked for before the first
    /// [`BlobReader::chunk`].
    pub fn blob(&self, repository: &Repository, descriptor: &Descriptor) -> BlobReader {
        BlobReader {
            client: self.clone(),
            repository: repository.clone(),
            descriptor: descriptor.clone(),
            endpoints: self.transport.pull_endpoints(&repository.registry),
            retry: None,
            connection: None,
            offset: 0,
            hasher: sha2::Sha256::default(),
            state: State::Open,
        }
    }
}

impl BlobReader {
    /// The next bytes, in order; none at the end, when all of them were right.
    ///
    /// # Errors
    /// Bytes that are not the blob's, or no way to get at them. All that came before is void.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        while self.state == State::Open {
            match self.step().await {
                Ok(Some(bytes)) => return Ok(Some(bytes)),
                Ok(None) if self.offset == self.descriptor.size => self.finish()?,
                Ok(None) => {
                    let error = self.cut_short();
                    self.recover(error).await?;
                }
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(None)
    }

    async fn step(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let endpoint = self.endpoint();
        let purpose = Purpose::pull(&endpoint.path(&self.repository));
        let failing = Failing { host: endpoint.name(), action: &purpose.action };
        loop {
            let transport = &self.client.transport;
            let Some(mut bytes) = transport.chunk(&mut connection.response, failing).await? else {
                return Ok(None);
            };
            let again = connection.skip.min(bytes.len() as u64);
            connection.skip -= again;
            let bytes = bytes.split_off(usize::try_from(again).unwrap_or(usize::MAX));
            if !bytes.is_empty() {
                self.connection = Some(connection);
                return self.take(bytes).map(Some);
            }
        }
    }

    fn take(&mut self, bytes: Bytes) -> Result<Bytes, RegistryError> {
        self.offset += bytes.len() as u64;
        if self.offset > self.descriptor.size {
            return Err(self.wrong_size());
        }
        self.hasher.update(&bytes);
        if let Some(retry) = &mut self.retry {
            retry.progressed(&self.client.transport.patience);
        }
        Ok(bytes)
    }

    fn finish(&mut self) -> Result<(), RegistryError> {
        self.state = State::Done;
        let actual = Digest::from_hasher(std::mem::take(&mut self.hasher));
        if actual == self.descriptor.digest {
            return Ok(());
        }
        let (host, expected) = (self.endpoint().name().to_owned(), self.descriptor.digest);
        let error = RegistryError::DigestMismatch { host, what: "a blob", expected, actual };
        if self.endpoint().role == Role::Mirror {
            self.client.transport.pass_over(self.endpoint(), &error);
        }
        Err(error)
    }

    async fn connect(&mut self) -> Result<Connection, RegistryError> {
        let endpoint = self.endpoint().clone();
        let transport = &self.client.transport;
        let turn = transport.turn(&endpoint.host, Direction::Down).await;
        let purpose = Purpose::pull(&endpoint.path(&self.repository));
        let digest = self.descriptor.digest;
        let url = endpoint.url(&format!("/v2/{}/blobs/{digest}", purpose.repository))?;
        let mut call = Call::new(&endpoint, &purpose, Method::GET, url);
        if self.offset > 0 {
            call = call.header(RANGE, &format!("bytes={}-", self.offset));
        }
        let expected = [StatusCode::OK, StatusCode::PARTIAL_CONTENT];
        let response = match transport.call_once(&call, &expected).await {
            Err(RegistryError::Status { status: 404, .. }) => {
                let (host, repository) = (endpoint.name().to_owned(), purpose.repository.clone());
                return Err(RegistryError::BlobNotFound { host, repository, digest });
            }
            result => result?,
        };
        let skip = match response.status() {
            StatusCode::PARTIAL_CONTENT => self.check_range(response.headers())?,
            _ => self.offset,
        };
        Ok(Connection { response, skip, _turn: turn })
    }

    /// A part must start where the last one ended.
    fn check_range(&self, headers: &HeaderMap) -> Result<u64, RegistryError> {
        let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let start = range
            .and_then(|range| range.strip_prefix("bytes "))
            .and_then(|range| range.split('-').next())
            .and_then(|start| start.parse().ok());
        if start == Some(self.offset) {
            return Ok(0);
        }
        Err(RegistryError::Protocol {
            host: self.endpoint().name().to_owned(),
            action: format!("send a blob from byte {}", self.offset),
            reason: format!("it sent the range `{}`", range.unwrap_or_default()),
        })
    }

    /// Goes on with the next endpoint after a mirror, with the same one after a wait.
    async fn recover(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.connection = None;
        if self.offset > self.descriptor.size {
            return Err(error);
        }
        let endpoint = self.endpoint().clone();
        if endpoint.role == Role::Mirror {
            self.client.transport.pass_over(&endpoint, &error);
            self.endpoints.remove(0);
            return Ok(());
        }
        let transport = self.client.transport.clone();
        let retry = self.retry.get_or_insert_with(|| transport.retry(&endpoint));
        transport.wait(retry, error).await
    }

    /// The registry itself is the last one, and never removed.
    fn endpoint(&self) -> &Endpoint {
        &self.endpoints[0]
    }

    fn cut_short(&self) -> RegistryError {
        RegistryError::Interrupted {
            host: self.endpoint().name().to_owned(),
            action: format!("pull {}", self.repository.path),
            reason: format!("after {} of {} bytes", self.offset, self.descriptor.size),
        }
    }

    fn wrong_size(&self) -> RegistryError {
        RegistryError::SizeMismatch {
            host: self.endpoint().name().to_owned(),
            digest: self.descriptor.digest,
            expected: self.descriptor.size,
            actual: self.offset,
        }
    }
}
