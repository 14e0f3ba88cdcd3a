use super::*;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::registry::config::Registries;
use crate::registry::credential::Credentials;
use crate::registry::retry::Patience;
use crate::registry::tests::server::{Reply, Server};

/// A layer in its two shapes.
#[derive(Clone)]
struct Layer {
    diff_id: Digest,
    blob: Vec<u8>,
}

fn tar(name: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let content = name.repeat(5000);
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    archive.into_inner().unwrap()
}

fn plain(name: &str) -> Layer {
    let tar = tar(name);
    Layer { diff_id: Digest::of(&tar), blob: tar }
}

fn gzip(name: &str) -> Layer {
    let tar = tar(name);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    Layer { diff_id: Digest::of(&tar), blob: encoder.finish().unwrap() }
}

fn zstd(name: &str) -> Layer {
    let tar = tar(name);
    Layer { diff_id: Digest::of(&tar), blob: zstd::encode_all(&tar[..], 1).unwrap() }
}

/// An image as a registry serves it: documents and blobs by the last part of their address.
#[derive(Clone, Default)]
struct Image {
    served: BTreeMap<String, Vec<u8>>,
    manifest: Vec<u8>,
}

impl Image {
    fn new(layers: &[Layer]) -> Image {
        let list = |parts: Vec<String>| parts.join(",");
        let diff_ids = list(layers.iter().map(|l| format!("\"{}\"", l.diff_id)).collect());
        let config = format!(
            r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#
        );
        let descriptor = |media_type: &str, bytes: &[u8]| {
            let (digest, size) = (Digest::of(bytes), bytes.len());
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
        };
        let config_type = "application/vnd.oci.image.config.v1+json";
        // Deliberately wrong for most: the bytes decide.
        let layer_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            descriptor(config_type, config.as_bytes()),
            list(layers.iter().map(|l| descriptor(layer_type, &l.blob)).collect())
        );
        let blobs = layers.iter().map(|layer| layer.blob.clone());
        let blobs = blobs.chain([config.into_bytes(), manifest.clone().into_bytes()]);
        let served = blobs.map(|bytes| (Digest::of(&bytes).to_string(), bytes)).collect();
        Image { served, manifest: manifest.into_bytes() }
    }

    fn reply(&self, path: &str) -> Reply {
        let name = path.rsplit('/').next().unwrap();
        match self.served.get(name) {
            Some(bytes) => Reply::ok(bytes.clone()),
            None if path.contains("/manifests/") => Reply::ok(self.manifest.clone())
                .header("Docker-Content-Digest", Digest::of(&self.manifest).to_string()),
            None => Reply::new(404),
        }
    }

    fn serve(&self) -> Server {
        let image = self.clone();
        Server::start(move |request| image.reply(&request.path))
    }
}

struct Lab {
    source: ImageSource,
    notices: Arc<Mutex<Vec<String>>>,
}

fn lab(root: &Path) -> Lab {
    let patience = Patience { tries: 1, ..Patience::default() };
    let notices: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = notices.clone();
    let notify: Notify = Arc::new(move |text| sink.lock().unwrap().push(text.to_owned()));
    let (registries, credentials) = (Registries::default(), Credentials::default());
    let client = Client::new(registries, credentials, patience, notify.clone());
    let store = Store::open(&root.join("store")).unwrap();
    Lab { source: ImageSource::new(store, client, notify), notices }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn silent() -> Progress {
    Arc::new(|_, _, _| {})
}

fn amd64() -> Platform {
    let (os, architecture) = ("linux".to_owned(), "amd64".to_owned());
    Platform { os, architecture, variant: String::new() }
}

fn name(server: &Server) -> Reference {
    format!("{}/a/b:1", server.host()).parse().unwrap()
}

fn resolve(lab: &Lab, reference: &Reference, policy: Policy) -> Result<Base, ImageError> {
    run(lab.source.resolve_base(reference, &amd64(), policy))
}

fn pull(lab: &Lab, server: &Server) -> Result<Snapshot, ImageError> {
    run(async {
        let found = lab.source.resolve_base(&name(server), &amd64(), Policy::Pull).await;
        lab.source.ensure_layers(&found?, &silent()).await
    })
}

/// What was begun and not finished.
fn unfinished(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.join("store/tmp")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn layers_are_kept_as_they_came_and_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let layers = [gzip("one"), zstd("two"), plain("three")];
    let server = Image::new(&layers).serve();
    let lab = lab(dir.path());
    let snapshot = pull(&lab, &server).unwrap();
    let store = &lab.source.store;
    for (layer, id) in layers.iter().zip(&snapshot.layers) {
        assert_eq!(store.layers().by_diff_id(&layer.diff_id).as_ref(), Some(id));
        assert_eq!(store.blobs().read(&Digest::of(&layer.blob)).unwrap(), layer.blob);
    }
    assert_eq!(snapshot.layers.len(), 3);

    let other = tempfile::tempdir().unwrap();
    let other = Store::open(&other.path().join("store")).unwrap();
    let blob = (&Digest::of(&layers[1].blob), layers[1].blob.len() as u64);
    let announced = other.layers().announce(&layers[1].diff_id, blob).unwrap();
    let content = store.layers().content(&snapshot.layers[1]).unwrap();
    assert_eq!(content, other.layers().content(&announced).unwrap(), "named by its diffID");
    assert_eq!(other.layers().import(&mut &tar("two")[..], &layers[1].diff_id).unwrap(), announced);
    assert_eq!(content, other.layers().content(&announced).unwrap());
    assert_eq!(other.layers().here(&layers[1].diff_id), Some(announced));

    let asked = server.requests().len();
    assert_eq!(pull(&lab, &server).unwrap(), snapshot);
    assert_eq!(server.lines()[asked..], ["HEAD /v2/a/b/manifests/1"]);
    assert_eq!(unfinished(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn nothing_is_fetched_before_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let layer = gzip("one");
    let server = Image::new(std::slice::from_ref(&layer)).serve();
    let lab = lab(dir.path());
    let base = resolve(&lab, &name(&server), Policy::PreferLocal).unwrap();
    assert_eq!(base.diff_ids, [layer.diff_id]);
    assert_eq!(server.requests().len(), 2);
    let blobs = lab.source.store.blobs();
    assert!(blobs.contains(&base.manifest) && blobs.contains(&base.image.config.digest));
    assert!(!blobs.contains(&Digest::of(&layer.blob)));
    let source = BlobSource { registry: server.host(), repository: "a/b".to_owned() };
    let known = lab.source.store.records().blob_sources(&Digest::of(&layer.blob));
    assert_eq!(known, [source]);
}

#[test]
fn a_blob_that_is_here_is_not_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let layer = gzip("one");
    let server = Image::new(std::slice::from_ref(&layer)).serve();
    let lab = lab(dir.path());
    lab.source.store.blobs().put(&layer.blob).unwrap();
    assert_eq!(pull(&lab, &server).unwrap().layers.len(), 1);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_layer_is_fetched_once() {
    let dir = tempfile::tempdir().unwrap();
    let layers = [gzip("one"), gzip("one")];
    let server = Image::new(&layers).serve();
    let root = dir.path();
    std::thread::scope(|scope| {
        let pulls: Vec<_> =
            (0..3).map(|_| scope.spawn(|| pull(&lab(root), &server).unwrap())).collect();
        for pull in pulls {
            let snapshot = pull.join().unwrap();
            assert_eq!(snapshot.layers[0], snapshot.layers[1]);
        }
    });
    let blob = Digest::of(&layers[0].blob).to_string();
    let fetched = server.lines().iter().filter(|line| line.ends_with(&blob)).count();
    assert_eq!(fetched, 1);
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = Layer { diff_id: Digest::of(b"another"), ..gzip("one") };
    let server = Image::new(std::slice::from_ref(&wrong)).serve();
    let lab = lab(dir.path());
    let error = pull(&lab, &server).unwrap_err();
    assert!(matches!(error, ImageError::Layer { .. }), "{error:?}");
    assert!(lab.source.store.layers().here(&wrong.diff_id).is_none());
    assert_eq!(unfinished(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_config_with_other_layers_than_the_manifest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = br#"{"os":"linux","architecture":"amd64"}"#.to_vec();
    let (old, mut image) = (Image::new(&[gzip("one")]), Image::new(&[gzip("one")]));
    let manifest: serde_json::Value = serde_json::from_slice(&old.manifest).unwrap();
    let mut manifest = manifest;
    manifest["config"]["digest"] = Digest::of(&config).to_string().into();
    manifest["config"]["size"] = config.len().into();
    image.manifest = manifest.to_string().into_bytes();
    image.served.insert(Digest::of(&config).to_string(), config);
    let server = image.serve();
    let error = resolve(&lab(dir.path()), &name(&server), Policy::Pull).unwrap_err();
    assert!(error.to_string().ends_with("names 0 layers, and the manifest 1"), "{error}");
}

#[test]
fn a_download_that_breaks_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let layer = gzip("one");
    let image = Image::new(std::slice::from_ref(&layer));
    let digest = Digest::of(&layer.blob);
    let server = Server::start(move |request| {
        let reply = image.reply(&request.path);
        let is_layer = request.path.ends_with(&digest.to_string());
        if is_layer && request.earlier == 0 { reply.cut_after(40) } else { reply }
    });
    let lab = lab(dir.path());
    let error = pull(&lab, &server).unwrap_err();
    assert!(matches!(error, ImageError::Registry(RegistryError::Interrupted { .. })), "{error:?}");
    assert!(!lab.source.store.blobs().contains(&digest));
    assert_eq!(unfinished(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(pull(&lab, &server).unwrap().layers.len(), 1);
}

#[test]
fn a_pull_that_nobody_wants_any_more_ends() {
    let dir = tempfile::tempdir().unwrap();
    let layer = gzip("one");
    let image = Image::new(std::slice::from_ref(&layer));
    let digest = Digest::of(&layer.blob).to_string();
    let server = Server::start(move |request| {
        let reply = image.reply(&request.path);
        if request.path.ends_with(&digest) { reply.stall_after(40) } else { reply }
    });
    let lab = lab(dir.path());
    let base = resolve(&lab, &name(&server), Policy::Pull).unwrap();
    let started = Arc::new(tokio::sync::Notify::new());
    let told = started.clone();
    let progress: Progress = Arc::new(move |_, _, _| told.notify_one());
    // The runtime ends only after its threads have.
    run(async {
        tokio::select! {
            result = lab.source.ensure_layers(&base, &progress) => panic!("{result:?}"),
            () = started.notified() => {}
        }
    });
    assert!(lab.source.store.layers().here(&layer.diff_id).is_none());
    assert_eq!(unfinished(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn without_the_registry_the_last_answer_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let server = Image::new(&[gzip("one")]).serve();
    let (lab, reference) = (lab(dir.path()), name(&server));
    let base = resolve(&lab, &reference, Policy::PreferLocal).unwrap();
    drop(server);
    assert_eq!(resolve(&lab, &reference, Policy::PreferLocal).unwrap(), base);
    let notices = lab.notices.lock().unwrap().clone();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].contains("connection refused; using `"), "{notices:?}");

    let error = resolve(&lab, &reference, Policy::Pull).unwrap_err();
    assert!(matches!(error, ImageError::Registry(RegistryError::Unreachable { .. })), "{error}");
    let unknown: Reference = format!("{}2", reference.canonical()).parse().unwrap();
    assert!(resolve(&lab, &unknown, Policy::PreferLocal).is_err());
}

#[test]
fn an_image_of_the_store_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (Image::new(&[gzip("here")]), Image::new(&[gzip("there")]));
    let server = there.serve();
    let (lab, reference) = (lab(dir.path()), name(&server));
    let blobs = lab.source.store.blobs();
    for bytes in here.served.values() {
        blobs.put(bytes).unwrap();
    }
    let own = RawManifest::new(here.manifest.clone().into()).unwrap().descriptor;
    lab.source.store.images().tag(&reference.canonical(), &own).unwrap();
    assert_eq!(resolve(&lab, &reference, Policy::PreferLocal).unwrap().manifest, own.digest);
    assert_eq!(server.requests().len(), 0);

    let asked = resolve(&lab, &reference, Policy::Pull).unwrap();
    assert_eq!(asked.manifest, Digest::of(&there.manifest));
    // One for another platform is not the one that is wanted.
    let arm = Platform { architecture: "arm64".to_owned(), ..amd64() };
    let other = run(lab.source.resolve_base(&reference, &arm, Policy::PreferLocal)).unwrap();
    assert_eq!(other.manifest, Digest::of(&there.manifest));
}

#[test]
fn layers_of_an_image_of_the_store_are_fetched_from_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let server = Image::new(&[gzip("one")]).serve();
    let lab = lab(dir.path());
    let base = resolve(&lab, &name(&server), Policy::PreferLocal).unwrap();
    let own = "no-such-host.invalid/own/image:1".parse().unwrap();
    let built = Base { reference: own, ..base };
    let snapshot = run(lab.source.ensure_layers(&built, &silent())).unwrap();
    assert_eq!(snapshot.layers.len(), 1);
    let last = server.lines().pop().unwrap();
    assert_eq!(last, format!("GET /v2/a/b/blobs/{}", built.image.layers[0].digest));
}

#[test]
fn a_digest_that_is_known_asks_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = Image::new(&[gzip("one")]).serve();
    let lab = lab(dir.path());
    let base = resolve(&lab, &name(&server), Policy::Pull).unwrap();
    let asked = server.requests().len();
    let by_digest = format!("{}@{}", name(&server).canonical(), base.manifest).parse().unwrap();
    assert_eq!(resolve(&lab, &by_digest, Policy::Pull).unwrap().manifest, base.manifest);
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn ages_are_rounded_down() {
    let rows = [
        (0, "0 seconds"),
        (1, "1 second"),
        (119, "1 minute"),
        (7200, "2 hours"),
        (90_000, "1 day"),
        (864_000, "10 days"),
    ];
    let then = SystemTime::UNIX_EPOCH;
    for (seconds, expected) in rows {
        assert_eq!(age(then, then + Duration::from_secs(seconds)), expected);
    }
}
