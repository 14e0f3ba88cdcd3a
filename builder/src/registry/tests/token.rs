//! Logging in: challenges, tokens, and where credentials may go.

use super::server::{Reply, Request, Server};
use super::*;
use crate::registry::credential::{Credential, Secret};
use crate::registry::error::CredentialOrigin;

fn given(secret: Secret) -> Credentials {
    Credentials::given(Credential { secret, origin: CredentialOrigin::File("/auth.json".into()) })
}

fn password() -> Secret {
    Secret::Password { username: "ann".to_owned(), password: "secret".to_owned() }
}

const BASIC: &str = "Basic YW5uOnNlY3JldA==";

fn manifest_reply() -> Reply {
    Reply::ok(&manifest(b"{}", b"layer").bytes[..])
}

/// Hands out `t<n>`, and takes the tokens that `valid` says.
fn token_registry(valid: impl Fn(&str, usize) -> bool + Send + Sync + 'static) -> Server {
    let tokens = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |request: &Request| {
        if request.path == "/token" {
            let n = tokens.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return Reply::ok(format!(r#"{{"token":"t{n}","expires_in":300}}"#));
        }
        let token = request.header("authorization").trim_start_matches("Bearer ");
        if !token.is_empty() && valid(token, request.earlier) {
            return match request.path.contains("/manifests/") {
                true => manifest_reply(),
                false => Reply::ok("{}"),
            };
        }
        let realm = format!("http://{}/token", request.header("host"));
        let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
        Reply::new(401).header("WWW-Authenticate", challenge)
    })
}

#[test]
fn a_token_is_fetched_once_for_a_scope_and_kept() {
    let server = token_registry(|_, _| true);
    let told = client("", given(password()), impatient());
    for _ in 0..2 {
        resolve(&told.client, &reference(&server.host(), "a/b")).unwrap();
    }
    let asked: Vec<Request> =
        server.requests().into_iter().filter(|r| r.path == "/token").collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "GET");
    assert_eq!(asked[0].parameters("service"), ["s"]);
    assert_eq!(asked[0].parameters("scope"), ["repository:a/b:pull"]);
    assert_eq!(asked[0].header("authorization"), BASIC);
}

#[test]
fn anonymous_users_get_tokens_too() {
    let server = token_registry(|_, _| true);
    resolve(&anonymous(), &reference(&server.host(), "a/b")).unwrap();
    let requests = server.requests();
    let asked = requests.iter().find(|r| r.path == "/token").unwrap();
    assert_eq!(asked.header("authorization"), "");
}

#[test]
fn a_token_that_is_refused_is_replaced() {
    let server = token_registry(|token, _| token != "t0");
    let client = anonymous();
    // The first token is refused at once, and there is no second try with a fresh one.
    let error = resolve(&client, &reference(&server.host(), "x")).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    // The next request finds the token refused, and gets another one.
    resolve(&client, &reference(&server.host(), "x")).unwrap();
}

#[test]
fn an_identity_token_is_exchanged() {
    let server = token_registry(|_, _| true);
    let told = client("", given(Secret::IdentityToken("it".to_owned())), impatient());
    resolve(&told.client, &reference(&server.host(), "x")).unwrap();
    let requests = server.requests();
    let asked = requests.iter().find(|r| r.path == "/token").unwrap();
    let form = String::from_utf8(asked.body.clone()).unwrap();
    assert_eq!(asked.method, "POST");
    assert!(form.contains("grant_type=refresh_token"), "{form}");
    assert!(form.contains("&scope=repository%3Ax%3Apull&refresh_token=it"), "{form}");
}

#[test]
fn basic_is_answered_with_basic() {
    let server = Server::start(|request| match request.header("authorization") {
        BASIC if request.path.contains("/manifests/") => manifest_reply(),
        BASIC => Reply::ok("{}"),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let told = client("", given(password()), impatient());
    resolve(&told.client, &reference(&server.host(), "x")).unwrap();
    assert_eq!(
        server.requests().iter().filter(|r| r.header("authorization").is_empty()).count(),
        1
    );

    let error = resolve(&anonymous(), &reference(&server.host(), "x")).unwrap_err();
    let help = error.help().unwrap();
    assert!(help.contains(&format!("`rbuild login {}`", server.host())), "{help}");
}

#[test]
fn refused_credentials_are_named() {
    let server = Server::start(|_| Reply::new(401).header("WWW-Authenticate", "Basic realm=\"r\""));
    let told = client("", given(password()), impatient());
    let error = resolve(&told.client, &reference(&server.host(), "x")).unwrap_err();
    let help = error.help().unwrap();
    assert!(help.contains("`/auth.json`"), "{help}");
    assert!(!format!("{error} {error:?} {help}").contains("secret"));
}

#[test]
fn no_access_names_the_scope() {
    let server = Server::start(|_| {
        Reply::new(403).body(r#"{"errors":[{"code":"DENIED","message":"not for you"}]}"#)
    });
    let error = resolve(&anonymous(), &reference(&server.host(), "x")).unwrap_err();
    assert_eq!(error.to_string(), format!("{} denies to pull x: not for you", server.host()));
    assert_eq!(error.help().unwrap(), "your account needs `repository:x:pull`");
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let elsewhere = Server::start(|_| Reply::ok("0123456789abcdef"));
    let target = format!("http://localhost:{}/blob", elsewhere.host().rsplit_once(':').unwrap().1);
    let server = Server::start(move |request| match request.header("authorization") {
        BASIC => Reply::new(307).header("Location", target.clone()),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let told = client("", given(password()), impatient());
    let blob = told.client.blob(&repository(&server.host(), "x"), &layer(b"0123456789abcdef"));
    assert_eq!(read_all(blob).unwrap(), b"0123456789abcdef");
    assert_eq!(elsewhere.requests()[0].header("authorization"), "");
}

#[test]
fn credentials_do_not_go_to_an_unprotected_realm() {
    use crate::registry::auth::token_request;
    let registries = Registries::default();
    let credential = Credential { secret: password(), origin: CredentialOrigin::Given };
    let rows = [
        ("registry.example.com", "https://auth.example.com/t", true),
        ("registry.example.com", "http://auth.example.com/t", false),
        ("127.0.0.1:5000", "http://auth.example.com/t", true),
        ("registry.example.com", "http://127.0.0.1:1/t", true),
    ];
    for (registry, realm, taken) in rows {
        let endpoint = registries.endpoint(registry);
        let asked = token_request(&endpoint, (realm, None, None), &[], Some(&credential));
        assert_eq!(asked.is_ok(), taken, "{registry} {realm}");
        assert!(token_request(&endpoint, (realm, None, None), &[], None).is_ok());
    }
}
