//! A real registry (the distribution project's, as Debian packages it), and skopeo as an
//! independent reader.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::registry::credential::{Credential, Secret};
use crate::registry::error::{CredentialOrigin, TlsFailure};

const CONFIG: &[u8] =
    br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

struct Registry {
    host: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Registry {
    /// With a password file if there is one. None, loudly, where it is not installed.
    fn start(htpasswd: Option<&str>) -> Option<Registry> {
        let dir = tempfile::tempdir().unwrap();
        let auth = htpasswd.map_or(String::new(), |users| {
            let path = write(dir.path(), "htpasswd", users);
            format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", path.display())
        });
        Registry::start_in(dir, &auth, "")
    }

    /// With TLS, and the file of the authority that its certificate is from.
    fn start_tls() -> Option<(Registry, PathBuf)> {
        let dir = tempfile::tempdir().unwrap();
        let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -days 2 -keyout ca.key -out ca.pem -subj /CN=ca && \
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \
            -out request.pem -subj /CN=registry && \
            printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >extensions && \
            openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile extensions -out cert.pem";
        let made =
            Command::new("sh").args(["-c", script]).current_dir(dir.path()).output().unwrap();
        if !made.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&made.stderr));
            return missing("openssl");
        }
        let (path, ca) = (dir.path().display().to_string(), dir.path().join("ca.pem"));
        let tls = format!(", tls: {{certificate: {path}/cert.pem, key: {path}/key.pem}}");
        Some((Registry::start_in(dir, "", &tls)?, ca))
    }

    fn start_in(dir: tempfile::TempDir, auth: &str, tls: &str) -> Option<Registry> {
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/data}}}}\n\
             http: {{addr: '127.0.0.1:0'{tls}}}\nlog: {{level: info}}\n{auth}",
            dir.path().display()
        );
        let config = write(dir.path(), "config.yml", &config);
        let mut command = Command::new("docker-registry");
        let command = command.arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            return missing("docker-registry");
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let host = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split(['"', ',', ' ']).next()?.to_owned())
        });
        // Its log is read to the end, or it would stop when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Registry { host: host.unwrap(), child, _dir: dir })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn missing<T>(program: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
    eprintln!("SKIPPED: {program} is not installed");
    None
}

fn image() -> (Built, Vec<u8>) {
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    (Built::new(CONFIG, &content), content)
}

#[test]
fn what_is_pushed_is_pulled_and_mounted() {
    let Some(registry) = Registry::start(None) else { return };
    let (mut built, content) = image();
    let client = anonymous();
    let to = repository(&registry.host, "first/app");
    let digest = run(client.push(&to, &["1".to_owned()], &built.image, &silent())).unwrap();

    let resolved = resolve(&client, &reference(&registry.host, "first/app:1")).unwrap();
    assert_eq!((resolved.manifest.descriptor.digest, &resolved.config[..]), (digest, CONFIG));
    let pulled = read_all(client.blob(&to, &resolved.image.layers[0])).unwrap();
    assert_eq!(pulled, content);

    // Only a mount can succeed now: the bytes to send are not the blob's.
    let wrong = built.dir.path().join("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    for blob in &mut built.image.blobs {
        blob.content = Content::File(wrong.clone());
        blob.seen_in = vec![to.clone()];
    }
    let second = repository(&registry.host, "second");
    run(client.push(&second, &["2".to_owned()], &built.image, &silent())).unwrap();
    let pulled = read_all(client.blob(&second, &resolved.image.layers[0])).unwrap();
    assert_eq!(pulled, content);
}

#[test]
fn another_tool_reads_what_is_pushed() {
    let Some(registry) = Registry::start(None) else { return };
    let (built, _) = image();
    let to = repository(&registry.host, "app");
    let digest = run(anonymous().push(&to, &["1".to_owned()], &built.image, &silent())).unwrap();
    let name = format!("docker://{}/app:1", registry.host);
    let inspect = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &name];
    let Ok(output) = Command::new("skopeo").args(inspect).output() else {
        return missing("skopeo").unwrap_or_default();
    };
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.trim(), digest.to_string(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_does_not_exist_is_said() {
    let Some(registry) = Registry::start(None) else { return };
    let (built, _) = image();
    let to = repository(&registry.host, "app");
    run(anonymous().push(&to, &["1.36".to_owned()], &built.image, &silent())).unwrap();
    let error = resolve(&anonymous(), &reference(&registry.host, "app:1.37")).unwrap_err();
    assert_eq!(error.help().as_deref(), Some("tags that look alike: `1.36`"));
    let error = resolve(&anonymous(), &reference(&registry.host, "nothing")).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[test]
fn a_password_lets_in_and_nothing_else_does() {
    // The user `ann` with the password `secret`, in bcrypt.
    let users = "ann:$2y$04$.R0BGt5r9ktCJMFpLtTKvudFVS8J4hl8bBqQS30t3lRsyCPe8BqE2\n";
    let Some(registry) = Registry::start(Some(users)) else { return };
    let with = |password: &str| {
        let (username, password) = ("ann".to_owned(), password.to_owned());
        let secret = Secret::Password { username, password };
        let origin = CredentialOrigin::File("/auth.json".into());
        client("", Credentials::given(Credential { secret, origin }), impatient()).client
    };
    let (built, content) = image();
    let to = repository(&registry.host, "app");
    let client = with("secret");
    run(client.check(&registry.host)).unwrap();
    run(client.push(&to, &["1".to_owned()], &built.image, &silent())).unwrap();
    assert_eq!(read_all(client.blob(&to, &layer(&content))).unwrap(), content);

    for client in [anonymous(), with("wrong")] {
        let error = run(client.check(&registry.host)).unwrap_err();
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
        let error = resolve(&client, &reference(&registry.host, "app:1")).unwrap_err();
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    }
}

#[test]
fn certificates_are_judged() {
    let Some((registry, ca)) = Registry::start_tls() else { return };
    let host = &registry.host;
    let check = |table: &str| {
        let config = format!("[registry.\"{host}\"]\nhttp = false\n{table}");
        let told = client(&config, Credentials::default(), impatient());
        run(told.client.check(host))
    };
    check(&format!("ca = \"{}\"", ca.display())).unwrap();
    check("insecure = true").unwrap();

    let error = check("").unwrap_err();
    assert!(matches!(error, RegistryError::Tls { kind: TlsFailure::Certificate, .. }), "{error}");
    let help = error.help().unwrap();
    assert!(help.contains("ca = ") && help.contains("insecure = true"), "{help}");
    let error = check("ca = \"/nowhere/ca.pem\"").unwrap_err();
    assert_eq!(error.to_string(), "cannot read `/nowhere/ca.pem`");

    // Plain http where TLS is spoken: the registry says so itself.
    let plain = client("", Credentials::default(), impatient());
    assert!(run(plain.client.check(host)).is_err());
}

/// The variable is the whole process's, so this test runs itself once more with it set.
#[test]
fn ssl_cert_file_is_honoured() {
    if let Some(host) = std::env::var_os("RBUILD_TEST_TLS_HOST") {
        let host = host.into_string().unwrap();
        let config = format!("[registry.\"{host}\"]\nhttp = false");
        return run(client(&config, Credentials::default(), impatient()).client.check(&host))
            .unwrap();
    }
    let Some((registry, ca)) = Registry::start_tls() else { return };
    let name = "registry::tests::real::ssl_cert_file_is_honoured";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env("RBUILD_TEST_TLS_HOST", &registry.host)
        .env("SSL_CERT_FILE", ca)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}
