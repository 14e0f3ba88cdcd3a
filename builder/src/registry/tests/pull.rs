//! Resolving and fetching.

use std::time::Duration;

use super::server::{Reply, Request, Server};
use super::*;
use crate::registry::error::Unreachable;

const CONFIG: &[u8] = br#"{"os":"linux"}"#;
const CONTENT: &[u8] = b"0123456789abcdef";

/// A registry with one image, under whatever name it is asked for.
fn image(request: &Request) -> Reply {
    let raw = manifest(CONFIG, CONTENT);
    let digest = raw.descriptor.digest.to_string();
    match request.path.rsplit('/').nth(1) {
        Some("manifests") => Reply::ok(&raw.bytes[..]).header("Docker-Content-Digest", digest),
        Some("blobs") if request.path.ends_with(&Digest::of(CONFIG).hex()) => Reply::ok(CONFIG),
        Some("blobs") => Reply::ok(CONTENT),
        _ => Reply::new(404),
    }
}

fn from_content(request: &Request) -> usize {
    let range = request.header("range");
    range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0)
}

#[test]
fn a_tag_becomes_a_manifest_and_a_config() {
    let server = Server::start(image);
    let resolved = resolve(&anonymous(), &reference(&server.host(), "a/b:c")).unwrap();
    assert_eq!(resolved.top, manifest(CONFIG, CONTENT));
    assert_eq!(resolved.manifest, resolved.top);
    assert_eq!(resolved.config, CONFIG);
    assert_eq!(resolved.image.layers, [layer(CONTENT)]);
    let config = format!("GET /v2/a/b/blobs/{}", Digest::of(CONFIG));
    assert_eq!(server.lines(), ["GET /v2/a/b/manifests/c", &config]);
}

#[test]
fn what_is_known_costs_one_head() {
    let server = Server::start(image);
    let raw = manifest(CONFIG, CONTENT);
    let (digest, bytes) = (raw.descriptor.digest, raw.bytes.clone());
    let document = move |wanted: &Digest| match *wanted == digest {
        true => Some(bytes.to_vec()),
        false => (*wanted == Digest::of(CONFIG)).then(|| CONFIG.to_vec()),
    };
    let known = Known { last: Some(digest), document: &document };
    let client = anonymous();
    let reference = reference(&server.host(), "x:1");
    let resolved = run(client.resolve(&reference, &platform("amd64"), known)).unwrap();
    assert_eq!(resolved.manifest, raw);
    assert_eq!(server.lines(), ["HEAD /v2/x/manifests/1"]);

    // What was removed from the store has to be fetched, whatever it is now.
    let gone = Known { last: Some(digest), document: &|_| None };
    assert!(run(client.resolve(&reference, &platform("amd64"), gone)).is_ok());
    assert_eq!(server.lines()[1], "GET /v2/x/manifests/1");
}

#[test]
fn a_tag_that_moved_is_fetched_and_head_is_only_a_short_cut() {
    let older = manifest(CONFIG, b"older");
    let (digest, bytes) = (older.descriptor.digest, older.bytes.clone());
    let document = move |wanted: &Digest| (*wanted == digest).then(|| bytes.to_vec());
    for head_status in [200, 404, 405] {
        let server = Server::start(move |request| match request.method.as_str() {
            "HEAD" if head_status != 200 => Reply::new(head_status),
            _ => image(request),
        });
        let known = Known { last: Some(digest), document: &document };
        let reference = reference(&server.host(), "x:1");
        let resolved = run(anonymous().resolve(&reference, &platform("amd64"), known)).unwrap();
        assert_eq!(resolved.manifest, manifest(CONFIG, CONTENT));
        let lines = server.lines();
        assert_eq!(lines[..2], ["HEAD /v2/x/manifests/1", "GET /v2/x/manifests/1"]);
    }
}

#[test]
fn an_index_gives_the_image_of_the_platform() {
    let raw = manifest(CONFIG, CONTENT);
    let other = Digest::of(b"other");
    let Descriptor { digest, size, media_type, .. } = raw.descriptor.clone();
    let entry = |digest: &Digest, os: &str, arch: &str| {
        format!(
            r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size},
                "platform":{{"os":"{os}","architecture":"{arch}"}}}}"#
        )
    };
    let entries = [
        entry(&other, "linux", "s390x"),
        entry(&other, "unknown", "unknown"),
        entry(&digest, "linux", "x86_64"),
    ];
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    let expected = RawManifest::new(Bytes::from(index.clone())).unwrap();
    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/x/manifests/1" => Reply::ok(index.clone()),
        _ => image(request),
    });
    let reference = reference(&server.host(), "x:1");
    let resolved = resolve(&anonymous(), &reference).unwrap();
    assert_eq!((resolved.top, resolved.manifest), (expected, raw));

    let known = Known { last: None, document: &|_| None };
    let error = run(anonymous().resolve(&reference, &platform("arm64"), known)).unwrap_err();
    let host = server.host();
    let expected =
        format!("`{host}/x:1` has no image for linux/arm64: it has linux/s390x, linux/amd64");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_manifest_must_be_what_its_digest_says() {
    let server = Server::start(|request| match request.path.as_str() {
        "/v2/x/manifests/told" => {
            image(request).header("Docker-Content-Digest", Digest::of(b"x").to_string())
        }
        _ => image(request),
    });
    let wrong = format!("x@{}", Digest::of(b"wrong"));
    let error = resolve(&anonymous(), &reference(&server.host(), &wrong)).unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
}

#[test]
fn documents_have_a_limit() {
    let server = Server::start(|_| Reply::ok(vec![b' '; 4 * 1024 * 1024 + 1]));
    let error = resolve(&anonymous(), &reference(&server.host(), "x")).unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[test]
fn a_tag_that_does_not_exist_gets_neighbours() {
    let server = Server::start(|request| match request.path.as_str() {
        "/v2/x/tags/list" => Reply::ok(r#"{"name":"x","tags":["1.36","1.3","latest"]}"#),
        _ => Reply::new(404)
            .body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
    });
    let error = resolve(&anonymous(), &reference(&server.host(), "x:1.37")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}/x:1.37` does not exist: manifest unknown", server.host())
    );
    assert_eq!(error.help().as_deref(), Some("tags that look alike: `1.3`, `1.36`"));
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    let server = Server::start(|request| match request.earlier {
        0 => Reply::new(503).header("Retry-After", "0"),
        1 => Reply::new(429).header("Retry-After", "0"),
        _ => image(request),
    });
    assert!(resolve(&anonymous(), &reference(&server.host(), "x")).is_ok());
}

#[test]
fn patience_ends() {
    let busy = Server::start(|_| Reply::new(429).header("Retry-After", "3600"));
    let error = resolve(&anonymous(), &reference(&busy.host(), "x")).unwrap_err();
    let hour = Some(Duration::from_secs(3600));
    assert!(matches!(error, RegistryError::RateLimited { retry_after, .. } if retry_after == hour));
    assert!(error.to_string().ends_with("it asks to wait 3600 s"), "{error}");
    assert_eq!(busy.requests().len(), 1);

    let broken = Server::start(|_| Reply::new(500).body("<html>"));
    let error = resolve(&anonymous(), &reference(&broken.host(), "x")).unwrap_err();
    assert!(matches!(error, RegistryError::Status { status: 500, .. }), "{error}");
    assert_eq!(broken.requests().len(), 3);
}

#[test]
fn nobody_there_is_said_at_once() {
    let host = Server::start(image).host();
    let error = resolve(&anonymous(), &reference(&host, "x")).unwrap_err();
    assert!(
        matches!(&error, RegistryError::Unreachable { kind: Unreachable::Refused, .. }),
        "{error}"
    );
    let error = resolve(&anonymous(), &reference("no-such-host.invalid", "x")).unwrap_err();
    let RegistryError::Unreachable { kind, .. } = &error else { panic!("{error}") };
    assert_eq!(*kind, Unreachable::UnknownHost);
}

#[test]
fn plain_http_where_tls_was_expected_gets_a_hint() {
    let server = Server::start(image);
    let config = format!("[registry.\"{}\"]\nhttp = false", server.host());
    let told = client(&config, Credentials::default(), impatient());
    let error = resolve(&told.client, &reference(&server.host(), "x")).unwrap_err();
    assert!(matches!(error, RegistryError::Tls { .. }), "{error:?}");
    assert!(error.help().unwrap().contains("http = true"), "{error}");
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let server = Server::start(|request| {
        let from = from_content(request);
        let reply = match from {
            0 => Reply::ok(CONTENT),
            _ => Reply::new(206)
                .body(&CONTENT[from..])
                .header("Content-Range", format!("bytes {from}-15/16")),
        };
        if from < 12 { reply.cut_after(4) } else { reply }
    });
    let blob = anonymous().blob(&repository(&server.host(), "x"), &layer(CONTENT));
    assert_eq!(read_all(blob).unwrap(), CONTENT);
    let ranges: Vec<_> = server.requests().iter().map(|r| r.header("range").to_owned()).collect();
    assert_eq!(ranges, ["", "bytes=4-", "bytes=8-", "bytes=12-"]);
}

#[test]
fn a_registry_without_ranges_sends_all_of_it_again() {
    let server = Server::start(|request| match request.earlier {
        0 => Reply::ok(CONTENT).cut_after(5),
        _ => Reply::ok(CONTENT),
    });
    let blob = anonymous().blob(&repository(&server.host(), "x"), &layer(CONTENT));
    assert_eq!(read_all(blob).unwrap(), CONTENT);
}

#[test]
fn a_range_that_starts_elsewhere_is_refused() {
    let server = Server::start(|request| match request.earlier {
        0 => Reply::ok(CONTENT).cut_after(5),
        _ => Reply::new(206).body(&CONTENT[6..]).header("Content-Range", "bytes 6-15/16"),
    });
    let blob = anonymous().blob(&repository(&server.host(), "x"), &layer(CONTENT));
    let error = read_all(blob).unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
}

#[test]
fn bytes_are_checked() {
    let rows: [(&[u8], &str); 3] = [
        (b"0123456789abcdeX", "with digest"),
        (b"0123456789abcdefg", "sent 17 bytes"),
        (b"01234", "after 5 of 16 bytes"),
    ];
    for (sent, said) in rows {
        let server = Server::start(move |request| match request.header("range") {
            "" => Reply::ok(sent),
            _ => Reply::new(206).header("Content-Range", "bytes 5-4/5"),
        });
        let blob = anonymous().blob(&repository(&server.host(), "x"), &layer(CONTENT));
        let error = read_all(blob).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_connection_that_falls_silent_is_left() {
    let server = Server::start(|request| match request.earlier {
        0 => Reply::ok(CONTENT).stall_after(7),
        _ => Reply::ok(CONTENT),
    });
    let patience = Patience { idle: Duration::from_millis(200), ..impatient() };
    let told = client("", Credentials::default(), patience);
    let blob = told.client.blob(&repository(&server.host(), "x"), &layer(CONTENT));
    assert_eq!(read_all(blob).unwrap(), CONTENT);
}

#[test]
fn mirrors_are_asked_first_and_passed_over_when_they_fail() {
    let origin = Server::start(image);
    let good = Server::start(image);
    let broken = Server::start(|_| Reply::new(500));
    let config = format!(
        "[registry.\"{}\"]\nmirrors = [\"http://{}\", \"{}/cache\"]",
        origin.host(),
        broken.host(),
        good.host()
    );
    let told = client(&config, Credentials::default(), impatient());
    let reference = reference(&origin.host(), "a/b:c");
    resolve(&told.client, &reference).unwrap();
    resolve(&told.client, &reference).unwrap();
    assert_eq!(origin.lines(), Vec::<String>::new());
    assert_eq!(broken.lines(), ["GET /v2/a/b/manifests/c"]);
    assert_eq!(good.lines()[0], "GET /v2/cache/a/b/manifests/c");
    assert_eq!(good.requests()[0].parameters("ns"), [origin.host()]);
    let notices = told.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].starts_with(&format!("mirror {} of ", broken.host())), "{notices:?}");
}

#[test]
fn a_download_goes_on_behind_a_mirror_that_breaks() {
    let origin = Server::start(|request| {
        let from = from_content(request);
        let range = format!("bytes {from}-15/16");
        Reply::new(206).body(&CONTENT[from..]).header("Content-Range", range)
    });
    let mirror = Server::start(|_| Reply::ok(CONTENT).cut_after(9));
    let config = format!("[registry.\"{}\"]\nmirrors = [\"{}\"]", origin.host(), mirror.host());
    let told = client(&config, Credentials::default(), impatient());
    let blob = told.client.blob(&repository(&origin.host(), "x"), &layer(CONTENT));
    assert_eq!(read_all(blob).unwrap(), CONTENT);
    assert_eq!(origin.requests()[0].header("range"), "bytes=9-");
    assert_eq!(told.notices().len(), 1);
}

#[test]
fn a_mirror_without_the_image_is_told_once_and_asked_again() {
    let origin = Server::start(image);
    let mirror = Server::start(|_| Reply::new(404));
    let config = format!("[registry.\"{}\"]\nmirrors = [\"{}\"]", origin.host(), mirror.host());
    let told = client(&config, Credentials::default(), impatient());
    for tag in ["x:1", "x:2"] {
        resolve(&told.client, &reference(&origin.host(), tag)).unwrap();
    }
    let asked = mirror.lines().iter().filter(|line| line.contains("/manifests/")).count();
    assert_eq!(asked, 2);
    assert_eq!(told.notices().len(), 1, "{:?}", told.notices());
}
