//! Servers that keep git waiting, and servers that let nobody in.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::given::secrets::SecretSource;
use crate::registry::tests::server::{Reply, Server};

fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(1),
        idle: Duration::from_secs(20),
        total: Duration::from_secs(20),
        ..Limits::default()
    }
}

/// What becomes of asking a server for its refs.
fn ask(limits: &Limits, given: &Given, remote: &str) -> GitError {
    let access = auth::of_repository(given, remote).unwrap();
    let folder = TempDir::new().unwrap();
    let runner = Runner::new(limits, &Cancel::default());
    let args = ["ls-remote", "--", &access.remote];
    let asked = runner.run(folder.path(), From::Network(&access), &args);
    asked.expect_err("no server here has a repository")
}

/// A server that does the same with each that comes, until the other one goes away.
fn server(serve: fn(&mut TcpStream) -> std::io::Result<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = serve(&mut stream.unwrap());
        }
    });
    address
}

/// Waits until the other side has gone.
fn listen(stream: &mut TcpStream) -> std::io::Result<()> {
    std::io::copy(stream, &mut std::io::sink()).map(drop)
}

/// A line of git's protocol, with its length before it.
fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = server(listen);
    let limits = Limits { idle: Duration::from_millis(300), ..limits() };
    for scheme in ["git", "http"] {
        let error = ask(&limits, &Given::default(), &format!("{scheme}://{silent}/r.git"));
        assert!(matches!(error, GitError::Silent(_)), "{scheme}: {error}");
        assert!(error.help().unwrap().contains(IDLE));
    }
}

#[test]
fn a_server_that_stops_in_the_middle_is_given_up() {
    let half = server(|stream| {
        let _ = stream.read(&mut [0; 1024])?;
        stream.write_all(packet("version 2\n").as_bytes())?;
        listen(stream)
    });
    let limits = Limits { idle: Duration::from_millis(300), ..limits() };
    let error = ask(&limits, &Given::default(), &format!("git://{half}/r.git"));
    assert!(matches!(error, GitError::Silent(_)), "{error}");
}

/// A line that never ends, a byte at a time.
fn trickle(stream: &mut TcpStream) -> std::io::Result<()> {
    let request = stream.read(&mut [0; 1024])?;
    assert!(request > 0);
    stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
    loop {
        stream.write_all(b"x")?;
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_trickle_ends() {
    let limits = Limits { total: Duration::from_millis(400), ..limits() };
    let remote = format!("http://{}/r.git", server(trickle));
    let error = ask(&limits, &Given::default(), &remote);
    assert!(matches!(error, GitError::Slow(_)), "{error}");
    assert!(error.help().unwrap().contains(SECONDS));
    let slow = server(|stream| {
        stream.write_all(b"fff0")?;
        loop {
            stream.write_all(b"x")?;
            thread::sleep(Duration::from_millis(10));
        }
    });
    let error = ask(&limits, &Given::default(), &format!("git://{slow}/r.git"));
    assert!(matches!(error, GitError::Slow(_)), "{error}");
}

#[test]
fn redirections_end() {
    let server = Server::start(|_| Reply::new(302).header("Location", "/again.git/info/refs"));
    let error = ask(&limits(), &Given::default(), &format!("http://{}/r.git", server.host()));
    assert!(matches!(error, GitError::Failed { .. }), "{error}");
    assert!(server.lines().len() < 30);
}

/// Git itself would send the header on to the other server.
#[test]
fn a_token_goes_to_its_host_alone() {
    let other = Server::start(|_| Reply::new(404));
    let to = format!("http://{}/r.git/info/refs?service=git-upload-pack", other.host());
    let server = Server::start(move |request| match request.header("authorization") {
        "" => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
        _ => Reply::new(302).header("Location", &*to),
    });
    let remote = format!("http://{}/r.git", server.host());
    let error = ask(&limits(), &Given::default(), &remote);
    let id = format!("GIT_AUTH_TOKEN.{}", server.host());
    assert!(error.help().unwrap().contains(&format!("--secret id={id},src=FILE")), "{error}");

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hush").unwrap();
    let mut given = Given::default();
    given.secrets.add(id, SecretSource::File(file));
    let error = ask(&limits(), &given, &remote);
    assert!(error.help().unwrap().contains("write the address that it leads to"), "{error:?}");
    assert_eq!(other.lines(), [""; 0]);
}

#[test]
fn whoever_is_refused_is_told_what_was_sent() {
    for status in [401, 403] {
        let server =
            Server::start(move |_| Reply::new(status).header("WWW-Authenticate", "Basic realm=x"));
        let remote = format!("http://u:hush@{}/r.git", server.host());
        let error = ask(&limits(), &Given::default(), &remote);
        let told = format!("{error} {}", error.help().unwrap());
        assert!(told.contains("the name and password in the address"), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}
