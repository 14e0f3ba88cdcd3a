use super::*;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn find(files: &[PathBuf], registry: &str, repository: &str) -> Option<Secret> {
    let credentials = Credentials::from_files(files.to_vec());
    run(credentials.find(registry, repository)).unwrap().map(|credential| credential.secret)
}

fn password(username: &str, password: &str) -> Option<Secret> {
    let (username, password) = (username.to_owned(), password.to_owned());
    Some(Secret::Password { username, password })
}

#[test]
fn keys_go_from_the_repository_to_the_registry() {
    assert_eq!(keys("quay.io", "a/b"), ["quay.io/a/b", "quay.io/a", "quay.io"]);
    let hub = ["docker.io/a/b", "docker.io/a", DOCKER_HUB_KEY, "docker.io", "index.docker.io"];
    assert_eq!(keys("docker.io", "a/b"), hub);
}

#[test]
fn the_longest_key_that_fits_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let auth = |text: &str| STANDARD.encode(text);
    let text = format!(
        r#"{{"auths": {{
            "quay.io": {{"auth": "{}"}},
            "quay.io/team": {{"auth": "{}"}},
            "https://index.docker.io/v1/": {{"auth": "{}"}},
            "r.example.com:5000": {{"auth": "{}", "identitytoken": "it"}},
            "empty.example.com": {{"auth": "", "identitytoken": ""}}
        }}}}"#,
        auth("a:1"),
        auth("b:2:3"),
        auth("c:4"),
        auth("d:"),
    );
    let files = [dir.path().join("does-not-exist"), file(dir.path(), "config.json", &text)];
    let rows = [
        ("quay.io", "x", password("a", "1")),
        ("quay.io", "team/x", password("b", "2:3")),
        ("quay.io", "teams/x", password("a", "1")),
        ("docker.io", "library/x", password("c", "4")),
        ("r.example.com:5000", "x", Some(Secret::IdentityToken("it".to_owned()))),
        ("r.example.com", "x", None),
        ("empty.example.com", "x", None),
    ];
    for (registry, repository, expected) in rows {
        let found = find(&files, registry, repository);
        assert!(found == expected, "{registry}/{repository}");
    }
}

#[test]
fn the_first_file_that_knows_the_host_decides() {
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str, host: &str| {
        format!(r#"{{"auths":{{"{host}":{{"auth":"{}"}}}}}}"#, STANDARD.encode(format!("{name}:x")))
    };
    let files = [
        file(dir.path(), "1", &text("first", "a.example.com")),
        file(dir.path(), "2", &text("second", "a.example.com")),
        file(dir.path(), "3", &text("third", "b.example.com")),
    ];
    assert!(find(&files, "a.example.com", "x") == password("first", "x"));
    assert!(find(&files, "b.example.com", "x") == password("third", "x"));
}

#[test]
fn a_file_that_is_damaged_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "config.json", "{");
    let credentials = Credentials::from_files(vec![path.clone()]);
    let error = run(credentials.find("a.example.com", "x")).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert!(error.help().unwrap().contains("repair"));
}
