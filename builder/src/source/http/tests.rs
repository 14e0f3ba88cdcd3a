//! Servers that behave, and servers that do not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::given::secrets::SecretSource;
use crate::registry::tests::server::{Reply, Server};

const OLD: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const LATER: &str = "Wed, 21 Oct 2015 08:00:00 GMT";

fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(5),
        total: Duration::from_secs(20),
        tries: 3,
        wait: Duration::from_millis(1),
        bytes: 1000,
        files: 10,
    }
}

fn get_with(
    limits: &Limits,
    url: &str,
    known: Option<&Answer>,
) -> Result<Option<(Answer, Vec<u8>)>, HttpError> {
    get_given(limits, &Given::default(), url, known)
}

fn get_given(
    limits: &Limits,
    given: &Given,
    url: &str,
    known: Option<&Answer>,
) -> Result<Option<(Answer, Vec<u8>)>, HttpError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = Http::new(limits, given).unwrap();
    let answer = runtime.block_on(http.get(url, known, &path, &|_, _| {}))?;
    Ok(answer.map(|answer| (answer, std::fs::read(&path).unwrap())))
}

fn get(url: &str, known: Option<&Answer>) -> Result<Option<(Answer, Vec<u8>)>, HttpError> {
    get_with(&limits(), url, known)
}

/// A server that knows nothing of versions, one that names them, and so on.
fn server(headers: &'static [(&'static str, &'static str)]) -> Server {
    Server::start(move |request| {
        let is = |name: &str, header: &str| {
            let known = headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            known.is_some_and(|known| known == request.header(header))
        };
        let same = is("ETag", "if-none-match") || is("Last-Modified", "if-modified-since");
        let reply = if same { Reply::new(304) } else { Reply::ok("text") };
        headers.iter().fold(reply, |reply, (name, value)| reply.header(name, *value))
    })
}

#[test]
fn a_file_is_asked_for_again_only_if_it_changed() {
    let rows: [(&'static [(&'static str, &'static str)], bool); 5] = [
        (&[("ETag", "\"a\"")], true),
        (&[("ETag", "W/\"a\"")], false),
        (&[("Last-Modified", OLD), ("Date", LATER)], true),
        (&[("Last-Modified", OLD), ("Date", OLD)], false),
        (&[], false),
    ];
    for (headers, revalidated) in rows {
        let server = server(headers);
        let url = format!("http://{}/x", server.host());
        let (answer, bytes) = get(&url, None).unwrap().unwrap();
        assert_eq!((answer.digest, bytes), (Digest::of(b"text"), b"text".to_vec()));
        let again = get(&url, Some(&answer)).unwrap();
        assert_eq!(again.is_none(), revalidated, "{headers:?}");
        assert_eq!(server.lines().len(), 2);
    }
}

#[test]
fn the_time_is_that_of_the_file() {
    let server = server(&[("Last-Modified", OLD)]);
    let (answer, _) = get(&format!("http://{}/x", server.host()), None).unwrap().unwrap();
    assert_eq!(answer.modified, Some(1_445_412_480));
}

#[test]
fn what_may_pass_is_tried_again_and_the_rest_is_not() {
    let rows = [(503, 3), (500, 3), (429, 3), (404, 1), (410, 1), (501, 1)];
    for (status, tries) in rows {
        let server = Server::start(move |_| Reply::new(status));
        let error = get(&format!("http://u:secret@{}/x", server.host()), None).unwrap_err();
        assert!(
            matches!(&error, HttpError::Status { status: found, .. } if found.as_u16() == status)
        );
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(server.lines().len(), tries, "{status}");
    }
    let server = Server::start(|request| match request.earlier {
        0 => Reply::ok("text").cut_after(2),
        1 => Reply::new(502),
        _ => Reply::ok("text"),
    });
    let (_, bytes) = get(&format!("http://{}/x", server.host()), None).unwrap().unwrap();
    assert_eq!(bytes, b"text");
}

/// A secret in a file.
fn token(host: &str) -> (Given, TempDir) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hush\n").unwrap();
    let mut given = Given::default();
    given.secrets.add(format!("HTTP_AUTH_TOKEN_{host}"), SecretSource::File(file));
    (given, folder)
}

#[test]
fn a_token_is_sent_to_its_host_and_not_where_that_leads() {
    let other =
        Server::start(|request| Reply::ok(format!("<{}>", request.header("authorization"))));
    let elsewhere = format!("http://{}/there", other.host());
    let server = Server::start(move |request| match request.path.as_str() {
        "/away" => Reply::new(302).header("Location", &*elsewhere),
        "/near" => Reply::new(302).header("Location", "/here"),
        _ => Reply::ok(format!("<{}>", request.header("authorization"))),
    });
    let (given, _folder) = token(&server.host());
    let rows = [("here", "<Bearer hush>"), ("near", "<Bearer hush>"), ("away", "<>")];
    for (path, expected) in rows {
        let url = format!("http://{}/{path}", server.host());
        let (_, bytes) = get_given(&limits(), &given, &url, None).unwrap().unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{path}");
        let url = format!("http://u:p@{}/{path}", server.host());
        let (_, bytes) = get_given(&limits(), &given, &url, None).unwrap().unwrap();
        let expected = if path == "away" { "<>" } else { "<Basic dTpw>" };
        assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{path}");
    }
}

#[test]
fn whoever_is_refused_is_told_which_secret_would_be_sent() {
    for status in [401, 403] {
        let server = Server::start(move |_| Reply::new(status));
        let url = format!("http://{}/x", server.host());
        let refused = |given: &Given, url: &str| {
            let error = get_given(&limits(), given, url, None).unwrap_err();
            assert!(matches!(error, HttpError::Refused { .. }), "{error}");
            let told = format!("{error} {}", error.help().unwrap());
            assert!(!told.contains("hush"), "{told}");
            told
        };
        let none = refused(&Given::default(), &url);
        let id = format!("HTTP_AUTH_TOKEN_{}", server.host());
        assert!(none.contains(&format!("--secret id={id},src=FILE")), "{none}");
        let (given, _folder) = token(&server.host());
        let wrong = refused(&given, &url);
        assert!(wrong.contains(&format!("what the secret `{id}` holds")), "{wrong}");
        let address = refused(&Given::default(), &url.replace("//", "//u:hush@"));
        assert!(address.contains("in the address"), "{address}");
        assert_eq!(server.lines().len(), 3, "asking again is of no use");
    }
}

#[test]
fn redirections_end() {
    let server = Server::start(|request| match request.path.as_str() {
        "/once" => Reply::new(302).header("Location", "/there"),
        "/there" => Reply::ok("text"),
        _ => Reply::new(302).header("Location", "/again"),
    });
    let at = |path: &str| format!("http://{}{path}", server.host());
    assert_eq!(get(&at("/once"), None).unwrap().unwrap().1, b"text");
    assert!(matches!(get(&at("/again"), None), Err(HttpError::Redirects(_))));
}

#[test]
fn a_silent_server_is_given_up() {
    let server = Server::start(|_| Reply::ok("text").stall_after(1));
    let limits = Limits { idle: Duration::from_millis(100), ..limits() };
    let error = get_with(&limits, &format!("http://{}/x", server.host()), None).unwrap_err();
    assert!(matches!(error, HttpError::Silent { .. }), "{error}");
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let limits = Limits { idle: Duration::from_millis(100), ..limits() };
    let error = get_with(&limits, &url, None).unwrap_err();
    assert!(matches!(error, HttpError::Silent { .. }), "{error}");
    assert!(error.help().unwrap().contains(IDLE));
}

#[test]
fn too_much_is_refused() {
    let server = Server::start(|_| Reply::ok(vec![0; 1001]));
    let error = get(&format!("http://{}/x", server.host()), None).unwrap_err();
    assert!(matches!(error, HttpError::Large { limit: 1000, .. }), "{error}");
}

/// Sends a header without a length, and then the same bytes until nobody listens.
fn endless(part: &'static [u8], pause: Duration) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n");
        while stream.write_all(part).is_ok() {
            thread::sleep(pause);
        }
    });
    (url, thread)
}

#[test]
fn an_endless_answer_ends() {
    let (url, thread) = endless(&[b'x'; 300], Duration::ZERO);
    assert!(matches!(get(&url, None), Err(HttpError::Large { .. })));
    thread.join().unwrap();
}

#[test]
fn a_trickle_ends() {
    let (url, thread) = endless(b"x", Duration::from_millis(10));
    let limits = Limits { total: Duration::from_millis(300), ..limits() };
    assert!(matches!(get_with(&limits, &url, None), Err(HttpError::Slow { .. })));
    thread.join().unwrap();
}
