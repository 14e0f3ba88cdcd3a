//! Which secret goes where, and as what.

use super::*;
use crate::given::secrets::SecretSource;

/// Names and values.
type Secrets<'a> = &'a [(&'a str, &'a str)];

/// With the secrets of these names, each holding its value and a line break.
fn given(secrets: Secrets<'_>) -> (Given, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut given = Given::default();
    for (number, (id, value)) in secrets.iter().enumerate() {
        let file = folder.path().join(number.to_string());
        std::fs::write(&file, format!("{value}\n")).unwrap();
        given.secrets.add((*id).to_owned(), SecretSource::File(file));
    }
    (given, folder)
}

fn sent(secrets: Secrets<'_>, url: &str) -> Option<String> {
    let (given, _folder) = given(secrets);
    let header = of_file(&given, &url.parse().unwrap()).unwrap().header?;
    assert!(header.is_sensitive());
    Some(header.to_str().unwrap().to_owned())
}

#[test]
fn a_file_is_asked_for_with_the_secret_of_its_host() {
    let (header, token) = (("HTTP_AUTH_HEADER_h", "Own x"), ("HTTP_AUTH_TOKEN_h", "t"));
    let ported = ("HTTP_AUTH_TOKEN_h:81", "p");
    let rows: [(Secrets<'_>, &str, Option<&str>); 9] = [
        (&[header, token], "https://h/x", Some("Own x")),
        (&[token], "https://h/x", Some("Bearer t")),
        (&[token], "https://h:81/x", Some("Bearer t")),
        (&[header, ported], "https://h:81/x", Some("Bearer p")),
        (&[ported], "https://h/x", None),
        (&[token], "https://sub.h/x", None),
        (&[("GIT_AUTH_TOKEN", "g")], "https://h/x", None),
        (&[("HTTP_AUTH_TOKEN_h", "")], "https://h/x", None),
        (&[token], "https://u:p@h/x", None),
    ];
    for (secrets, url, expected) in rows {
        assert_eq!(sent(secrets, url).as_deref(), expected, "{secrets:?} {url}");
    }
}

#[test]
fn git_is_told_by_its_environment() {
    let told = |secrets: Secrets<'_>, remote: &str| {
        let (given, _folder) = given(secrets);
        let access = of_repository(&given, remote).unwrap();
        let mut environment = access.environment.into_iter();
        (access.remote, environment.find(|(key, _)| key == "GIT_CONFIG_VALUE_0").map(|it| it.1))
    };
    let of_token = |text: &str| Some(format!("Authorization: Basic {}", STANDARD.encode(text)));
    let (any, own) = (("GIT_AUTH_TOKEN", "any"), ("GIT_AUTH_TOKEN.h", "own"));
    let header = ("GIT_AUTH_HEADER.h", "Own x");
    let rows: [(Secrets<'_>, &str, &str, Option<String>); 7] = [
        (&[any], "https://h/r.git", "https://h/r.git", of_token("x-access-token:any")),
        (&[any, own], "https://h/r.git", "https://h/r.git", of_token("x-access-token:own")),
        (&[own, header], "https://h/r.git", "https://h/r.git", Some("Authorization: Own x".into())),
        (&[own], "https://other/r.git", "https://other/r.git", None),
        (&[any], "https://u:a%3Ab@h/r.git", "https://h/r.git", of_token("u:a:b")),
        (&[any], "ssh://git@h/r.git", "ssh://git@h/r.git", None),
        (&[any], "git://h/r.git", "git://h/r.git", None),
    ];
    for (secrets, remote, bare, expected) in rows {
        assert_eq!(told(secrets, remote), (bare.to_owned(), expected), "{secrets:?} {remote}");
    }
    let (given, _folder) = given(&[any]);
    let keys: Vec<String> = of_repository(&given, "https://h:81/r.git")
        .unwrap()
        .environment
        .into_iter()
        .filter(|(name, _)| name.starts_with("GIT_CONFIG_KEY_"))
        .map(|(_, key)| key)
        .collect();
    assert_eq!(keys, ["http.https://h:81/.extraHeader", "http.https://h:81/.followRedirects"]);
}

#[test]
fn what_cannot_be_a_header_is_told_without_it() {
    let (given, _folder) = given(&[("GIT_AUTH_TOKEN", "fine"), ("HTTP_AUTH_TOKEN_h", "one\ntwo")]);
    let error = of_file(&given, &"http://h/x".parse().unwrap()).err().unwrap();
    assert!(matches!(&error, AuthError::NotAHeader(id) if id == "HTTP_AUTH_TOKEN_h"), "{error}");
    assert!(!error.to_string().contains("one"), "{error}");
    let access = of_repository(&given, "http://h/r.git").unwrap();
    assert!(!format!("{access:?}").contains(&STANDARD.encode("x-access-token:fine")));
}

#[test]
fn whoever_is_refused_is_told_what_to_give() {
    let (given, _folder) = given(&[("GIT_AUTH_TOKEN.h", "t")]);
    let rows = [
        (Kind::Repository, "https://h/r.git", "the secret `GIT_AUTH_TOKEN.h` holds"),
        (Kind::Repository, "https://i/r.git", "--secret id=GIT_AUTH_TOKEN.i,src=FILE"),
        (Kind::Repository, "https://u:p@h/r.git", "the name and password in the address"),
        (Kind::File, "https://h:82/r", "--secret id=HTTP_AUTH_TOKEN_h:82,src=FILE"),
    ];
    for (kind, url, words) in rows {
        let proof = match kind {
            Kind::File => of_file(&given, &url.parse().unwrap()).unwrap().proof,
            Kind::Repository => of_repository(&given, url).unwrap().proof,
        };
        assert!(proof.help().contains(words), "{url}: {}", proof.help());
    }
}
