//! Image references, read the way Docker reads them.
//!
//! `busybox` is short for `docker.io/library/busybox:latest`. What is written first decides: it is
//! a registry if it holds a `.` or a `:`, is `localhost`, or has an upper-case letter; otherwise it
//! is the first part of a repository on Docker Hub. The grammar is that of the distribution
//! project's reference package. Nothing here knows how a registry is reached.

use std::fmt;
use std::str::FromStr;

use rbuild_cache::Digest;

/// The registry that a reference without one means.
pub const DOCKER_HUB: &str = "docker.io";

const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// A repository of a registry: where blobs live.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    /// `docker.io`, `127.0.0.1:5000`, `[::1]:5000`, ..
    pub registry: String,
    /// `library/busybox`
    pub path: String,
}

/// An image in a repository, by tag, by digest, or by both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Where it is.
    pub repository: Repository,
    /// The tag; none only if there is a digest.
    pub tag: Option<String>,
    /// The digest. It decides if there is also a tag.
    pub digest: Option<Digest>,
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct BadReference {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// 64 hex digits look like the id of an image.
    #[error("64 hex digits are an image id, not a name")]
    ImageId,
    /// A letter of the repository is upper case.
    #[error("a repository name is written in lower case")]
    UpperCase,
    /// The registry is no host name.
    #[error("`{0}` is not a registry host")]
    Registry(String),
    /// A part of the repository is malformed.
    #[error(
        "`{0}` is not a repository name: letters, digits and single `.`, `_`, `__` or `-` between \
         them"
    )]
    Component(String),
    /// The repository is too long.
    #[error("the repository name is longer than 255 characters")]
    TooLong,
    /// The tag is malformed.
    #[error("`{0}` is not a tag: up to 128 letters, digits, `_`, `.` and `-`")]
    Tag(String),
    /// The digest is malformed, or of an algorithm other than sha256.
    #[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hex digits")]
    Digest(String),
}

impl BadReference {
    /// What was probably meant.
    pub fn help(&self) -> Option<String> {
        let BadReference { text, reason } = self;
        if let Some((_, rest)) = text.split_once("://") {
            return Some(format!(
                "leave out what stands before `{rest}`: this is not a web address"
            ));
        }
        match reason {
            Reason::UpperCase => Some(format!("did you mean `{}`?", text.to_lowercase())),
            Reason::Tag(tag) if tag.is_empty() => {
                Some(format!("write a tag behind the `:`, or `{}`", text.trim_end_matches(':')))
            }
            _ => None,
        }
    }
}

impl Reference {
    /// The full name, which names the image in the store:
    /// `docker.io/library/busybox:latest`, `..@sha256:..`, or with both.
    pub fn canonical(&self) -> String {
        format!("{}{}", self.repository, self.suffix())
    }

    /// The name as a user writes it: `busybox:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.repository.familiar(), self.suffix())
    }

    /// What the registry is asked for: the digest if there is one, else the tag.
    pub fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

impl Repository {
    /// `busybox` for `docker.io/library/busybox`: the shortest name that is read as this one.
    pub fn familiar(&self) -> String {
        let official = self.path.strip_prefix("library/").filter(|name| !name.contains('/'));
        let short = official.unwrap_or(&self.path);
        if self.registry != DOCKER_HUB || split_registry(short).1 != short {
            return self.to_string();
        }
        short.to_owned()
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Reference, BadReference> {
        parse(text).map_err(|reason| BadReference { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<Reference, Reason> {
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Reason::ImageId);
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    let (registry, rest) = split_registry(name);
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(checked_tag(tag)?)),
        None => (rest, None),
    };
    let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
    Ok(Reference { repository: repository(registry, path)?, tag, digest })
}

/// Splits at the first `/` if what is before it is a registry.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (DOCKER_HUB, name),
    }
}

fn is_registry(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn repository(registry: &str, path: &str) -> Result<Repository, Reason> {
    let registry = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
    check_registry(registry)?;
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(Reason::UpperCase);
    }
    if let Some(bad) = path.split('/').find(|component| !is_component(component)) {
        return Err(Reason::Component(bad.to_owned()));
    }
    let path = match registry == DOCKER_HUB && !path.contains('/') {
        true => format!("library/{path}"),
        false => path.to_owned(),
    };
    if path.len() > MAX_REPOSITORY {
        return Err(Reason::TooLong);
    }
    Ok(Repository { registry: registry.to_owned(), path })
}

/// A host name, an IPv4 address or an IPv6 address in brackets, with or without a port.
fn check_registry(registry: &str) -> Result<(), Reason> {
    let (host, port) = split_port(registry);
    let valid_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let valid_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    if valid_port && valid_host { Ok(()) } else { Err(Reason::Registry(registry.to_owned())) }
}

/// The host and the port of `host:port`, where the host may be an IPv6 address in brackets.
pub fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// Runs of lower-case letters and digits, with one `.`, one or two `_`, or any number of `-`
/// between them.
fn is_component(component: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut separator = String::new();
    for byte in component.bytes() {
        if word(byte) {
            if !is_separator(&separator) {
                return false;
            }
            separator.clear();
        } else {
            separator.push(char::from(byte));
        }
    }
    separator.is_empty() && component.bytes().next().is_some_and(word)
}

fn is_separator(text: &str) -> bool {
    matches!(text, "" | "." | "_" | "__") || text.bytes().all(|b| b == b'-')
}

fn checked_tag(tag: &str) -> Result<String, Reason> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let valid = tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if valid { Ok(tag.to_owned()) } else { Err(Reason::Tag(tag.to_owned())) }
}

fn parse_digest(text: &str) -> Result<Digest, Reason> {
    text.parse().map_err(|_| Reason::Digest(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_reference_is_completed_and_shortened() {
        let rows = [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("library/x", "docker.io/library/x:latest", "x:latest"),
            ("moby/buildkit:v1", "docker.io/moby/buildkit:v1", "moby/buildkit:v1"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("[fe80::1]/x:y", "[fe80::1]/x:y", "[fe80::1]/x:y"),
            ("ghcr.io/a/b/c/d:T_1.x-", "ghcr.io/a/b/c/d:T_1.x-", "ghcr.io/a/b/c/d:T_1.x-"),
            ("Upper/x", "Upper/x:latest", "Upper/x:latest"),
            ("a.b/c", "a.b/c:latest", "a.b/c:latest"),
            ("a__b/c---d", "docker.io/a__b/c---d:latest", "a__b/c---d:latest"),
            ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
            (
                "docker.io/localhost/c",
                "docker.io/localhost/c:latest",
                "docker.io/localhost/c:latest",
            ),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ];
        for (text, canonical, familiar) in rows {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.canonical(), canonical, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(familiar.parse::<Reference>().unwrap(), reference, "{text}");
            assert_eq!(canonical.parse::<Reference>().unwrap(), reference, "{text}");
        }
    }

    #[test]
    fn a_digest_wins_over_a_tag() {
        let by_digest: Reference = format!("x@{SHA}").parse().unwrap();
        assert_eq!((by_digest.tag.as_deref(), by_digest.selector()), (None, SHA.to_owned()));
        let both: Reference = format!("127.0.0.1:1/x:1.2@{SHA}").parse().unwrap();
        assert_eq!((both.tag.as_deref(), both.selector()), (Some("1.2"), SHA.to_owned()));
        assert_eq!(both.canonical(), format!("127.0.0.1:1/x:1.2@{SHA}"));
    }

    #[test]
    fn what_is_no_reference_is_refused_with_a_reason() {
        let long = "a/".repeat(127) + "ab";
        let tag = format!("x:{}", "t".repeat(129));
        let id = "0".repeat(64);
        let rows = [
            ("", "it is empty"),
            (id.as_str(), "an image id"),
            ("BusyBox", "lower case"),
            ("docker.io/Foo", "lower case"),
            ("a/B", "lower case"),
            ("x:", "`` is not a tag"),
            ("x:-a", "`-a` is not a tag"),
            (&tag, "is not a tag"),
            ("x:a:b", "`a:b` is not a tag"),
            ("x:a/b", "not a registry host"),
            ("-x", "`-x` is not a repository"),
            ("x-", "`x-` is not a repository"),
            ("a..b", "`a..b` is not a repository"),
            ("a___b", "`a___b` is not a repository"),
            ("a._b", "`a._b` is not a repository"),
            ("a//b", "`` is not a repository"),
            ("/x", "`` is not a repository"),
            ("x/", "`` is not a repository"),
            ("a b", "`a b` is not a repository"),
            ("http://x/y", "`http:` is not a registry"),
            ("a.b:port/x", "`a.b:port` is not a registry"),
            ("a.b:70000/x", "`a.b:70000` is not a registry"),
            ("-a.b/x", "`-a.b` is not a registry"),
            ("[::g]/x", "is not a registry"),
            ("x@sha256:12", "`sha256:12` is not a digest"),
            ("x@", "`` is not a digest"),
            ("x@md5:0123", "is not a digest"),
            ("é/x", "`é` is not a repository"),
            (&long, "longer than 255"),
        ];
        for (text, reason) in rows {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
