use super::*;

use std::os::unix::fs::PermissionsExt;

fn find(file: &Path, registry: &str) -> Result<Option<Secret>, CredentialError> {
    let credentials = Credentials::from_files(vec![file.to_owned()]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(credentials.find(registry, "some/repository"));
    found.map(|found| found.map(|credential| credential.secret))
}

fn password(username: &str, password: &str) -> Secret {
    Secret::Password { username: username.to_owned(), password: password.to_owned() }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_kept_is_found_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new/config.json");
    for registry in ["r.example.com:5000", "docker.io"] {
        let kept = keep(&file, registry, "ann", "s:e").unwrap();
        assert_eq!(kept, Kept::File(file.clone()));
        assert_eq!(mode(&file), 0o600);
        assert!(find(&file, registry).unwrap() == Some(password("ann", "s:e")), "{registry}");
    }
    assert_eq!(forget(&file, "docker.io").unwrap(), LoggedOut::Removed(Kept::File(file.clone())));
    assert_eq!(forget(&file, "docker.io").unwrap(), LoggedOut::NotLoggedIn);
    assert!(find(&file, "docker.io").unwrap().is_none());
    assert!(find(&file, "r.example.com:5000").unwrap().is_some());
}

#[test]
fn what_is_not_known_stays() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real.json");
    let text = r#"{"auths":{"a.example.com":{"auth":"eDp5"}},"HttpHeaders":{"X":"1"},"other":[1]}"#;
    fs::write(&real, text).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    let link = dir.path().join("config.json");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    keep(&link, "b.example.com", "ann", "x").unwrap();
    forget(&link, "b.example.com").unwrap();
    let after: Value = serde_json::from_slice(&fs::read(&real).unwrap()).unwrap();
    assert_eq!(after, serde_json::from_str::<Value>(text).unwrap());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(mode(&real), 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_damaged_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    for text in ["{", "[]", ""] {
        fs::write(&file, text).unwrap();
        assert!(keep(&file, "a.example.com", "ann", "x").is_err(), "{text}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

/// A helper is found in `PATH`, so this test runs itself once more with another one.
#[test]
fn helpers_keep_find_and_forget() {
    if let Some(dir) = std::env::var_os("RBUILD_TEST_HELPER") {
        return with_helper(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/sh\nread -r input\ncase $1 in\n\
         store) printf %s \"$input\" > {0}/kept ;;\n\
         get) test -f {0}/kept && cat {0}/kept && exit\n\
         test -f {0}/locked && echo locked >&2 || echo 'credentials not found in store'; exit 1;;\n\
         erase) rm {0}/kept ;;\nesac\n",
        dir.path().display()
    );
    let helper = dir.path().join("docker-credential-test");
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let full = dir.path().join("docker-credential-full");
    fs::write(&full, "#!/bin/sh\necho no space; exit 1\n").unwrap();
    fs::set_permissions(&full, fs::Permissions::from_mode(0o755)).unwrap();
    let name = "registry::login::tests::helpers_keep_find_and_forget";
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env("PATH", path)
        .env("RBUILD_TEST_HELPER", dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

fn with_helper(dir: &Path) {
    let file = dir.join("config.json");
    fs::write(&file, r#"{"credsStore":"test"}"#).unwrap();
    assert!(find(&file, "a.example.com").unwrap().is_none());
    let kept = keep(&file, "a.example.com", "ann", "x\"y").unwrap();
    assert_eq!(kept, Kept::Helper("test".to_owned()));
    assert!(!fs::read_to_string(&file).unwrap().contains("auth\""));
    assert!(find(&file, "a.example.com").unwrap() == Some(password("ann", "x\"y")));
    forget(&file, "a.example.com").unwrap();
    assert!(!dir.join("kept").exists());

    fs::write(dir.join("locked"), "").unwrap();
    let error = find(&file, "a.example.com").unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
    fs::write(&file, r#"{"credHelpers":{"a.example.com":"absent"}}"#).unwrap();
    let error = find(&file, "a.example.com").unwrap_err();
    assert!(error.help().unwrap().contains("docker-credential-"), "{error}");
    assert!(keep(&file, "a.example.com", "ann", "x").is_err());

    // It does not even read, and what it says is more than that.
    fs::write(&file, r#"{"credsStore":"full"}"#).unwrap();
    let error = keep(&file, "a.example.com", "ann", &"x".repeat(1 << 20)).unwrap_err();
    assert!(error.to_string().contains("no space"), "{error}");
}
