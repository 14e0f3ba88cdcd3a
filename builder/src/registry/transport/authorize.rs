//! Logging in on the way: what a request does when the registry answers 401.

use std::sync::Arc;
use std::time::Instant;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, StatusCode};

use super::{Call, Transport, in_time};
use crate::registry::auth::{self, Challenge, Session, Token, TokenRequest, TokenRequestKind};
use crate::registry::config::{Endpoint, is_loopback};
use crate::registry::credential::Credential;
use crate::registry::error::{Failing, RegistryError};
use crate::registry::watch::Watch;

const MAX_TOKEN_ANSWER: u64 = 1024 * 1024;

impl Transport {
    /// Logs in where the registry asks for it. A token that was refused is replaced once.
    pub(super) async fn authorized(&self, call: &Call<'_>) -> Result<Response, RegistryError> {
        if !call.endpoint.is_origin_of(&call.url) {
            // The registry sent us elsewhere; what proves who we are is not for there.
            return self.send(call, None).await;
        }
        let session = self.session(call.endpoint);
        let first = self.authorization(&session, call).await?;
        let response = self.send(call, first.clone()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Some(challenge) = auth::challenge(response.headers()) else {
            return Err(self.refusal(call, response).await);
        };
        session.learn(challenge);
        if let Some(refused) = &first {
            session.forget(&call.purpose.scopes, refused).await;
        }
        let second = self.authorization(&session, call).await?;
        if second.is_none() || second == first {
            return Err(self.refusal(call, response).await);
        }
        drop(response);
        self.send(call, second).await
    }

    async fn authorization(
        &self,
        session: &Session,
        call: &Call<'_>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        match session.challenge() {
            None => Ok(None),
            Some(Challenge::Basic) => {
                Ok(self.credential(call).await?.as_ref().and_then(auth::basic))
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                let slot = session.slot(&call.purpose.scopes);
                let mut token = slot.lock().await;
                if !token.as_ref().is_some_and(Token::is_fresh) {
                    let challenge = (realm.as_str(), service.as_deref(), scope.as_deref());
                    *token = Some(self.fetch_token(call, challenge).await?);
                }
                Ok(token.as_ref().and_then(Token::header))
            }
        }
    }

    async fn fetch_token(
        &self,
        call: &Call<'_>,
        challenge: (&str, Option<&str>, Option<&str>),
    ) -> Result<Token, RegistryError> {
        let credential = self.credential(call).await?;
        let asked = auth::token_request(
            call.endpoint,
            challenge,
            &call.purpose.scopes,
            credential.as_ref(),
        )?;
        let mut retry = self.retry(call.endpoint);
        loop {
            match self.ask_for_token(call, &asked).await {
                Ok(token) => return Ok(token),
                Err(error) => self.wait(&mut retry, error).await?,
            }
        }
    }

    async fn ask_for_token(
        &self,
        call: &Call<'_>,
        asked: &TokenRequest,
    ) -> Result<Token, RegistryError> {
        let started = Instant::now();
        let host = asked.url.authority().to_owned();
        let failing = Failing { host: &host, action: &call.purpose.action };
        let trust = self.registries.endpoint(&host).trust;
        let client = self.client(trust, is_loopback(&host))?;
        let request = match &asked.kind {
            TokenRequestKind::Get { authorization } => {
                let request = client.get(asked.url.clone());
                authorization.iter().fold(request, |r, value| r.header(AUTHORIZATION, value))
            }
            TokenRequestKind::Post { form } => client
                .post(asked.url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.clone()),
        };
        let response =
            in_time(request.send(), (&Watch::new(), self.patience.idle), failing).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(call, response).await);
        }
        let answer = self.read(response, ("a token", MAX_TOKEN_ANSWER), failing).await?;
        Token::parse(&answer, started).map_err(|reason| RegistryError::Protocol {
            host: host.clone(),
            action: "log in".to_owned(),
            reason: format!("its answer is no token: {reason}"),
        })
    }

    pub(super) async fn credential(
        &self,
        call: &Call<'_>,
    ) -> Result<Option<Credential>, RegistryError> {
        Ok(self.credentials.find(call.endpoint.name(), &call.purpose.repository).await?)
    }

    fn session(&self, endpoint: &Endpoint) -> Arc<Session> {
        match self.sessions.lock() {
            Ok(mut sessions) => sessions.entry(endpoint.clone()).or_default().clone(),
            Err(_) => Arc::default(),
        }
    }
}
