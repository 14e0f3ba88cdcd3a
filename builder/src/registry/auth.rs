//! Who the user is, said the way each registry wants it said.
//!
//! A registry that wants to know answers 401 with a challenge (RFC 9110, section 11). `Basic`
//! takes the credentials with each request. `Bearer` takes a token, which another server gives out
//! for a set of scopes and a short time (the distribution project's token authentication): tokens
//! are kept by scopes until they expire, and fetched once however many requests wait for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::config::{Endpoint, is_loopback};
use super::credential::{Credential, Secret};
use super::error::RegistryError;

/// A token without a life time lives for a minute (distribution, token specification).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// What is known about one registry: what it asks for, and the tokens at hand.
#[derive(Default)]
pub(super) struct Session {
    challenge: Mutex<Option<Challenge>>,
    tokens: Mutex<HashMap<Vec<String>, TokenSlot>>,
}

/// Locked while a token is fetched, so that all who need it wait for one request.
type TokenSlot = Arc<tokio::sync::Mutex<Option<Token>>>;

#[derive(Clone)]
pub(super) struct Token {
    pub(super) value: String,
    expires: Instant,
}

/// A request for a token.
pub(super) struct TokenRequest {
    pub(super) url: Url,
    pub(super) kind: TokenRequestKind,
}

pub(super) enum TokenRequestKind {
    /// GET, with credentials if there are any.
    Get { authorization: Option<HeaderValue> },
    /// POST of an OAuth 2 form.
    Post { form: String },
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Session {
    pub(super) fn challenge(&self) -> Option<Challenge> {
        self.challenge.lock().ok()?.clone()
    }

    pub(super) fn learn(&self, challenge: Challenge) {
        if let Ok(mut known) = self.challenge.lock() {
            *known = Some(challenge);
        }
    }

    pub(super) fn slot(&self, scopes: &[String]) -> TokenSlot {
        match self.tokens.lock() {
            Ok(mut tokens) => tokens.entry(scopes.to_vec()).or_default().clone(),
            Err(_) => TokenSlot::default(),
        }
    }

    /// Forgets a token that was refused, unless somebody replaced it meanwhile.
    pub(super) async fn forget(&self, scopes: &[String], refused: &HeaderValue) {
        let slot = self.slot(scopes);
        let mut token = slot.lock().await;
        if token.as_ref().and_then(Token::header).as_ref() == Some(refused) {
            *token = None;
        }
    }
}

impl Token {
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.expires
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        sensitive(&format!("Bearer {}", self.value))
    }

    /// A tenth of its life is left unused, for requests that are on the way when it ends.
    pub(super) fn parse(answer: &[u8], asked: Instant) -> Result<Token, String> {
        let answer: TokenAnswer = serde_json::from_slice(answer).map_err(|e| e.to_string())?;
        let tokens = [answer.token, answer.access_token];
        let value = tokens.into_iter().flatten().find(|token| !token.is_empty());
        let value = value.ok_or("it has neither `token` nor `access_token`")?;
        let life = answer.expires_in.filter(|s| *s > 0).map_or(DEFAULT_LIFE, Duration::from_secs);
        let life = life.min(Duration::from_secs(24 * 3600));
        Ok(Token { value, expires: asked + life * 9 / 10 })
    }
}

/// The `Authorization` of HTTP's basic scheme, which an identity token is no use for.
pub(super) fn basic(credential: &Credential) -> Option<HeaderValue> {
    match &credential.secret {
        Secret::Password { username, password } => {
            sensitive(&format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
        }
        Secret::IdentityToken(_) => None,
    }
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(value).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// How to ask for a token for `scopes`, the challenge's own scope among them.
///
/// # Errors
/// A realm that is no address, or that would make credentials travel unprotected.
pub(super) fn token_request(
    endpoint: &Endpoint,
    challenge: (&str, Option<&str>, Option<&str>),
    scopes: &[String],
    credential: Option<&Credential>,
) -> Result<TokenRequest, RegistryError> {
    let (realm, service, _) = challenge;
    let mut url = Url::parse(realm)
        .map_err(|_| protocol(endpoint, format!("its token realm `{realm}` is no address")))?;
    if credential.is_some() && !may_carry_credentials(&url, endpoint) {
        let reason = format!("its token realm `{realm}` is unprotected; no credentials go there");
        return Err(protocol(endpoint, reason));
    }
    let scopes = with_challenge_scope(scopes, challenge.2);
    if let Some(Credential { secret: Secret::IdentityToken(token), .. }) = credential {
        let form = refresh_form(service, &scopes, token);
        return Ok(TokenRequest { url, kind: TokenRequestKind::Post { form } });
    }
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        for scope in &scopes {
            query.append_pair("scope", scope);
        }
        if let Some(Secret::Password { username, .. }) = credential.map(|c| &c.secret) {
            query.append_pair("account", username);
        }
    }
    let authorization = credential.and_then(basic);
    Ok(TokenRequest { url, kind: TokenRequestKind::Get { authorization } })
}

fn may_carry_credentials(realm: &Url, endpoint: &Endpoint) -> bool {
    let host = realm.host_str().unwrap_or_default();
    realm.scheme() == "https" || is_loopback(host) || endpoint.scheme == super::config::Scheme::Http
}

fn with_challenge_scope(scopes: &[String], challenge: Option<&str>) -> Vec<String> {
    let mut all = scopes.to_vec();
    for scope in challenge.into_iter().flat_map(str::split_whitespace) {
        let covered = |held: &String| {
            let (resource, actions) = held.rsplit_once(':').unwrap_or((held, ""));
            scope.rsplit_once(':').is_some_and(|(r, a)| {
                r == resource && a.split(',').all(|a| actions.split(',').any(|have| have == a))
            })
        };
        if !all.iter().any(covered) {
            all.push(scope.to_owned());
        }
    }
    all
}

fn refresh_form(service: Option<&str>, scopes: &[String], token: &str) -> String {
    let mut pairs = vec![("grant_type", "refresh_token"), ("client_id", "rbuild")];
    let scope = scopes.join(" ");
    pairs.extend(service.map(|service| ("service", service)));
    pairs.extend([("scope", scope.as_str()), ("refresh_token", token)]);
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", percent(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encodes everything but what RFC 3986 calls unreserved.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn protocol(endpoint: &Endpoint, reason: String) -> RegistryError {
    RegistryError::Protocol { host: endpoint.host.clone(), action: "log in".to_owned(), reason }
}

/// The first challenge that can be answered; `Bearer` before `Basic`.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let challenges: Vec<Challenge> = values.filter_map(parse_challenge).collect();
    let bearer = challenges.iter().find(|c| matches!(c, Challenge::Bearer { .. }));
    bearer.or(challenges.first()).cloned()
}

fn parse_challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = parameters(rest);
    Some(Challenge::Bearer {
        realm: parameters.remove("realm")?,
        service: parameters.remove("service"),
        scope: parameters.remove("scope"),
    })
}

/// `name="value", name=value`: a quoted value may hold commas and escaped quotes.
fn parameters(text: &str) -> HashMap<String, String> {
    let mut out = HashMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ', '\t']).to_ascii_lowercase();
        let (value, after) = parameter_value(after.trim_start());
        out.insert(name, value);
        rest = after;
    }
    out
}

fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.to_owned(), service: owned(service), scope: owned(scope) }
    }

    #[test]
    fn challenges_are_read_in_all_their_spellings() {
        let rows: [(&[&str], Option<Challenge>); 8] = [
            (&["Basic realm=\"x\""], Some(Challenge::Basic)),
            (&["basic"], Some(Challenge::Basic)),
            (&["Negotiate", "BASIC realm=x"], Some(Challenge::Basic)),
            (
                &["Basic realm=x", "Bearer realm=\"http://a/t\""],
                Some(bearer("http://a/t", None, None)),
            ),
            (
                &["Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull,push\""],
                Some(bearer("https://a/t", Some("s"), Some("repository:x:pull,push"))),
            ),
            (
                &["bearer service=s, realm=\"https://a/t?q=\\\"1\\\"\" , error=\"invalid_token\""],
                Some(bearer("https://a/t?q=\"1\"", Some("s"), None)),
            ),
            (&["Bearer service=s"], None),
            (&[], None),
        ];
        for (values, expected) in rows {
            assert_eq!(challenge(&headers(values)), expected, "{values:?}");
        }
    }

    #[test]
    fn the_scope_of_a_challenge_is_added_unless_it_is_covered() {
        let held = ["repository:a:pull,push".to_owned()];
        let rows = [
            (None, 1),
            (Some("repository:a:pull"), 1),
            (Some("repository:a:push,pull"), 1),
            (Some("repository:a:delete"), 2),
            (Some("repository:b:pull repository:a:pull"), 2),
        ];
        for (challenge, count) in rows {
            assert_eq!(with_challenge_scope(&held, challenge).len(), count, "{challenge:?}");
        }
    }

    #[test]
    fn a_token_comes_under_either_name_and_is_never_empty() {
        let rows = [
            (r#"{"token":"a"}"#, Some("a")),
            (r#"{"access_token":"b","expires_in":300}"#, Some("b")),
            (r#"{"token":"","access_token":"c"}"#, Some("c")),
            (r#"{"token":""}"#, None),
            ("<html>", None),
        ];
        for (answer, expected) in rows {
            let token = Token::parse(answer.as_bytes(), Instant::now());
            assert_eq!(token.ok().map(|t| t.value).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn a_form_is_encoded() {
        let form = refresh_form(Some("a b"), &["repository:x:pull".to_owned()], "t+/=");
        let expected = "grant_type=refresh_token&client_id=rbuild&service=a%20b\
                        &scope=repository%3Ax%3Apull&refresh_token=t%2B%2F%3D";
        assert_eq!(form, expected);
    }
}
