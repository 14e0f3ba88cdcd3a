//! Pushing: what is sent, what is not, and what happens when it does not arrive.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Reply, Request, Server};
use super::*;
use crate::registry::credential::{Credential, Secret};
use crate::registry::error::CredentialOrigin;

const CONFIG: &[u8] = b"{}";
const CONTENT: &[u8] = b"some layer";

fn image() -> Built {
    Built::new(CONFIG, CONTENT)
}

/// One layer, so that the order of requests is certain.
fn one_layer(seen_in: Vec<Repository>) -> Built {
    let mut built = image();
    built.image.blobs.remove(0);
    built.image.blobs[0].seen_in = seen_in;
    built
}

/// Takes everything and has nothing, except what a test changes.
fn empty_registry(request: &Request) -> Reply {
    match request.method.as_str() {
        "HEAD" => Reply::new(404),
        "POST" => Reply::new(202).header("Location", format!("/upload/{}", request.earlier)),
        _ => Reply::new(201),
    }
}

fn push(client: &Client, server: &Server, built: &Built) -> Result<Digest, RegistryError> {
    let to = repository(&server.host(), "a/b");
    run(client.push(&to, &["1".to_owned(), "2".to_owned()], &built.image, &silent()))
}

fn steps(server: &Server) -> Vec<String> {
    let layer = Digest::of(CONTENT).to_string();
    server.lines().iter().map(|line| line.replace(&layer, "LAYER")).collect()
}

#[test]
fn blobs_go_before_manifests() {
    let server = Server::start(empty_registry);
    let digest = push(&anonymous(), &server, &one_layer(Vec::new())).unwrap();
    assert_eq!(digest, manifest(CONFIG, CONTENT).descriptor.digest);
    let expected = [
        "HEAD /v2/a/b/blobs/LAYER",
        "POST /v2/a/b/blobs/uploads/",
        "PUT /upload/0",
        "PUT /v2/a/b/manifests/1",
        "PUT /v2/a/b/manifests/2",
    ];
    assert_eq!(steps(&server), expected);
    let requests = server.requests();
    assert_eq!(requests[2].body, CONTENT);
    assert_eq!(requests[2].parameters("digest"), [Digest::of(CONTENT).to_string()]);
    assert_eq!(requests[3].body, manifest(CONFIG, CONTENT).bytes);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    assert_eq!(requests[3].header("content-type"), media_type);
}

#[test]
fn without_tags_it_is_there_by_digest() {
    let server = Server::start(empty_registry);
    let to = repository(&server.host(), "a/b");
    let digest = run(anonymous().push(&to, &[], &one_layer(Vec::new()).image, &silent())).unwrap();
    assert_eq!(*server.lines().last().unwrap(), format!("PUT /v2/a/b/manifests/{digest}"));
}

#[test]
fn what_is_there_is_not_sent() {
    let server = Server::start(|request| match request.method.as_str() {
        "HEAD" => Reply::new(200),
        _ => empty_registry(request),
    });
    let mut twice = image();
    twice.image.blobs.extend(image().image.blobs);
    push(&anonymous(), &server, &twice).unwrap();
    let lines = server.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("HEAD")).count(), 2, "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("POST")), "{lines:?}");
}

#[test]
fn foreign_layers_are_left_out() {
    let server = Server::start(empty_registry);
    let mut built = one_layer(Vec::new());
    built.image.blobs[0].descriptor.media_type =
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".to_owned();
    push(&anonymous(), &server, &built).unwrap();
    assert_eq!(steps(&server), ["PUT /v2/a/b/manifests/1", "PUT /v2/a/b/manifests/2"]);
}

#[test]
fn a_blob_of_another_repository_is_mounted() {
    let rows: [(u16, &[&str]); 3] = [
        (201, &["HEAD", "POST"]),
        // Declined: the upload that was opened is used.
        (202, &["HEAD", "POST", "PUT"]),
        // Not allowed to read the other repository.
        (403, &["HEAD", "POST", "POST", "PUT"]),
    ];
    for (status, expected) in rows {
        let server = Server::start(move |request| match request.parameters("mount").is_empty() {
            false => Reply::new(status).header("Location", "/upload/mount?state=1"),
            true => empty_registry(request),
        });
        let elsewhere = repository("other.example.com", "x");
        let here = repository(&server.host(), "base/img");
        push(&anonymous(), &server, &one_layer(vec![elsewhere, here])).unwrap();
        let requests = server.requests();
        assert_eq!(requests[1].parameters("from"), ["base/img"], "{status}");
        assert_eq!(requests[1].parameters("mount"), [Digest::of(CONTENT).to_string()]);
        let methods: Vec<_> = requests.iter().map(|r| r.method.as_str()).collect();
        assert_eq!(methods[..methods.len() - 2], *expected, "{status}");
        if status == 202 {
            assert_eq!(requests[2].path, "/upload/mount");
            assert_eq!(requests[2].parameters("state"), ["1"]);
        }
    }
}

#[test]
fn a_mount_asks_for_both_repositories() {
    let server = Server::start(|request| match request.path.as_str() {
        "/token" => Reply::ok(r#"{"token":"t"}"#),
        _ if request.header("authorization").is_empty() => {
            let realm = format!("http://{}/token", request.header("host"));
            Reply::new(401).header("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))
        }
        _ if request.method == "POST" => Reply::new(201),
        _ => empty_registry(request),
    });
    let here = repository(&server.host(), "base/img");
    push(&anonymous(), &server, &one_layer(vec![here])).unwrap();
    let scopes: Vec<_> = server
        .requests()
        .iter()
        .filter(|r| r.path == "/token")
        .map(|r| r.parameters("scope").join(" "))
        .collect();
    let expected =
        ["repository:a/b:pull,push", "repository:a/b:pull,push repository:base/img:pull"];
    assert_eq!(scopes, expected);
}

#[test]
fn an_upload_that_fails_starts_anew() {
    let puts = AtomicUsize::new(0);
    let server = Server::start(move |request| match request.path.starts_with("/upload/") {
        true => match puts.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::new(502),
            1 => Reply::new(404),
            _ => Reply::new(201),
        },
        false => empty_registry(request),
    });
    push(&anonymous(), &server, &one_layer(Vec::new())).unwrap();
    let round = |n: usize| {
        let put = format!("PUT /upload/{n}");
        ["HEAD /v2/a/b/blobs/LAYER".to_owned(), "POST /v2/a/b/blobs/uploads/".to_owned(), put]
    };
    assert_eq!(steps(&server)[..9], [round(0), round(1), round(2)].concat());
}

#[test]
fn a_blob_that_arrived_after_all_is_not_sent_again() {
    let server = Server::start(|request| match request.method.as_str() {
        "HEAD" if request.earlier == 1 => Reply::new(200),
        "PUT" if request.path.starts_with("/upload") => Reply::new(504),
        _ => empty_registry(request),
    });
    push(&anonymous(), &server, &one_layer(Vec::new())).unwrap();
    let puts = steps(&server).iter().filter(|step| step.starts_with("PUT /upload")).count();
    assert_eq!(puts, 1);
}

#[test]
fn a_login_that_ends_on_the_way_is_renewed() {
    let tokens = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let realm = format!("http://{}/token", request.header("host"));
        let challenge = format!("Bearer realm=\"{realm}\"");
        let login = Reply::new(401).header("WWW-Authenticate", challenge);
        match (request.path.as_str(), request.header("authorization")) {
            ("/token", _) => {
                let n = tokens.fetch_add(1, Ordering::SeqCst);
                Reply::ok(format!(r#"{{"token":"t{n}"}}"#))
            }
            (_, "") => login,
            ("/upload/0", "Bearer t0") => login,
            _ => empty_registry(request),
        }
    });
    push(&anonymous(), &server, &one_layer(Vec::new())).unwrap();
    let requests = server.requests();
    let sent: Vec<_> = requests.iter().filter(|r| r.path == "/upload/0").collect();
    let logins: Vec<_> = sent.iter().map(|r| r.header("authorization")).collect();
    assert_eq!(logins, ["Bearer t0", "Bearer t1"]);
    assert_eq!(sent[1].body, CONTENT);
}

#[test]
fn credentials_do_not_go_where_an_upload_is_sent() {
    let storage = Server::start(|_| Reply::new(201));
    let target = format!("http://{}/bucket?sig=1", storage.host());
    let server = Server::start(move |request| match request.header("authorization") {
        "" => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"r\""),
        _ if request.method == "POST" => Reply::new(202).header("Location", target.clone()),
        _ => empty_registry(request),
    });
    let secret = Secret::Password { username: "a".to_owned(), password: "b".to_owned() };
    let given = Credentials::given(Credential { secret, origin: CredentialOrigin::Given });
    let told = client("", given, impatient());
    push(&told.client, &server, &one_layer(Vec::new())).unwrap();
    let sent = &storage.requests()[0];
    assert_eq!((sent.header("authorization"), &sent.body[..]), ("", CONTENT));
    assert_eq!(sent.parameters("sig"), ["1"]);
}

#[test]
fn files_and_remote_blobs_are_streamed() {
    let content: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blob");
    std::fs::write(&path, &content).unwrap();
    let (sent, served) = (content.clone(), content.clone());
    let source = Server::start(move |_| Reply::ok(served.clone()));
    let from = repository(&source.host(), "base");
    for place in [Content::File(path), Content::Remote(from)] {
        let server = Server::start(empty_registry);
        let mut built = one_layer(Vec::new());
        built.image.blobs[0] =
            BlobUpload { descriptor: layer(&content), content: place, seen_in: Vec::new() };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let progress: Progress =
            Arc::new(move |_, done, total| sink.lock().unwrap().push((done, total)));
        let to = repository(&server.host(), "a/b");
        run(anonymous().push(&to, &[], &built.image, &progress)).unwrap();
        assert_eq!(server.requests()[2].body, sent);
        let seen = seen.lock().unwrap();
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(seen.last(), Some(&(4_000_000, 4_000_000)));
    }
}

#[test]
fn a_file_that_is_gone_is_said() {
    let server = Server::start(empty_registry);
    let mut built = one_layer(Vec::new());
    built.image.blobs[0].content = Content::File("/nowhere/blob".into());
    let error = push(&anonymous(), &server, &built).unwrap_err();
    assert_eq!(error.to_string(), "cannot open `/nowhere/blob`");
}

#[test]
fn a_registry_that_does_not_say_where_is_told_off() {
    let server = Server::start(|request| match request.method.as_str() {
        "POST" => Reply::new(202),
        _ => empty_registry(request),
    });
    let error = push(&anonymous(), &server, &one_layer(Vec::new())).unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
}

#[test]
fn an_index_goes_after_its_images() {
    let server = Server::start(empty_registry);
    let Built { image, dir: _dir } = image();
    let text = r#"{"schemaVersion":2,"manifests":[]}"#;
    let index = RawManifest::new(Bytes::from(text)).unwrap();
    let to = repository(&server.host(), "a/b");
    let tags = ["1".to_owned()];
    let pushed =
        run(anonymous().push_index(&to, &tags, &index, std::slice::from_ref(&image), &silent()));
    assert_eq!(pushed.unwrap(), index.descriptor.digest);
    let lines = server.lines();
    let by_digest = format!("PUT /v2/a/b/manifests/{}", image.manifest.descriptor.digest);
    assert_eq!(lines[lines.len() - 2..], [by_digest, "PUT /v2/a/b/manifests/1".to_owned()]);
}
