//! Addresses: what `ADD` and a build context can name besides paths.
//!
//! | written | is |
//! |---|---|
//! | `http://..`, `https://..` whose path ends with `.git` | a git repository |
//! | other `http://..`, `https://..` | a file |
//! | `git://..`, `ssh://..`, `user@host:path` | a git repository |
//!
//! A git address can say more behind `?` and `#`, as BuildKit has it: `#ref:subdir`, and the keys
//! `ref`, `tag`, `branch`, `subdir`, `checksum` (or `commit`), `keep-git-dir`, `submodules`,
//! `mtime` and `fetch-by-commit`. Nothing is fetched here; what an address says is all checked
//! here, because parts of it become arguments of `git`.

mod git;
mod percent;

use crate::parser::suggest::nearest;

pub use git::{GitAddress, Pinning};

/// What an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A file.
    Http(HttpAddress),
    /// A git repository.
    Git(GitAddress),
}

/// A file behind `http://` or `https://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAddress {
    /// As written.
    pub url: String,
    /// What the file is called: the last part of the path, decoded, or `__unnamed__`.
    pub name: String,
}

/// What is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It names no host.
    #[error("it names no host")]
    NoHost,
    /// The host would be taken for an option.
    #[error("the host `{0}` begins with `-`")]
    Host(String),
    /// A `%` without two hex digits, or what they stand for is no text.
    #[error("`{0}` is not a part of an address: write `%25` for a percent sign")]
    Percent(String),
    /// A control character or a blank.
    #[error("it holds a blank or a control character")]
    Character,
    /// The name of the file cannot be one.
    #[error("its last part, `{0}`, cannot be the name of a file")]
    Name(String),
    /// A key that there is not.
    #[error("there is no `{0}` in the query of a git address")]
    Key(String),
    /// A key twice.
    #[error("its query has `{0}` more than once")]
    Repeated(String),
    /// A key without a value.
    #[error("its query has `{0}` without a value")]
    NoValue(String),
    /// A value that this key cannot have.
    #[error("`{key}` cannot be `{value}`: {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// A password for a protocol that has none.
    #[error("`{0}://` knows no passwords")]
    Password(String),
    /// Two parts say different things.
    #[error("it says both `{0}` and `{1}`")]
    Conflict(String, String),
}

impl BadAddress {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            BadAddress::Key(key) => Some(match nearest(key, git::KEYS.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("choose from `{}`", git::KEYS.join("`, `")),
            }),
            BadAddress::Password(_) => Some("`ssh` takes keys: see `--ssh`".to_owned()),
            BadAddress::Conflict(..) | BadAddress::Repeated(_) => {
                Some("remove one of them".to_owned())
            }
            _ => None,
        }
    }
}

impl Address {
    /// Reads a source of `ADD`. None for what is a path.
    pub fn parse(text: &str) -> Option<Result<Address, BadAddress>> {
        let http = text.starts_with("http://") || text.starts_with("https://");
        if !http {
            return is_git(text).then(|| GitAddress::parse(text).map(Address::Git));
        }
        Some(match path_of(text).ends_with(".git") {
            true => GitAddress::parse(text).map(Address::Git),
            false => HttpAddress::parse(text).map(Address::Http),
        })
    }

    /// Reads a build context, where `github.com/owner/name` is short for its `https://` address.
    pub fn parse_context(text: &str) -> Option<Result<Address, BadAddress>> {
        match text.starts_with("github.com/") {
            true => Some(GitAddress::parse(&format!("https://{text}")).map(Address::Git)),
            false => Address::parse(text),
        }
    }
}

impl HttpAddress {
    fn parse(text: &str) -> Result<HttpAddress, BadAddress> {
        check_host(text)?;
        let path = percent::decode(path_of(text))?;
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let name = match name {
            "" => "__unnamed__",
            ".." | "." => return Err(BadAddress::Name(name.to_owned())),
            name if name.contains('\0') => return Err(BadAddress::Name(name.to_owned())),
            name => name,
        };
        Ok(HttpAddress { url: text.to_owned(), name: name.to_owned() })
    }
}

/// Whether a source is an address rather than a path of the build context.
pub fn is_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://") || is_git(text)
}

/// A name and a password, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name. Some servers take a token in its place.
    pub user: String,
    /// The password, empty if there is none.
    pub password: String,
}

/// An address as it can be shown: without a password. A name alone is left out too where it may be
/// a token, which is not so with `ssh`.
pub fn redacted(address: &str) -> String {
    let Some((scheme, login, rest)) = parts(address) else { return address.to_owned() };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:xxxxx@{rest}"),
        None if is_http(scheme) => format!("{scheme}://xxxxx@{rest}"),
        None => address.to_owned(),
    }
}

/// A text of any kind whose addresses have an `x` for each byte of what [`redacted`] hides. Places
/// in it stay where they are.
pub fn masked(text: &str) -> String {
    let mut shown = text.as_bytes().to_vec();
    for (at, _) in text.match_indices("://") {
        let is_of_scheme = |char: char| char.is_ascii_alphanumeric() || "+-.".contains(char);
        let scheme = text[..at].rsplit(|char| !is_of_scheme(char)).next().unwrap_or_default();
        let rest = &text[at + 3..];
        let end = rest.find(|char: char| char.is_whitespace() || "/?#\"'".contains(char));
        let Some(login) = rest[..end.unwrap_or(rest.len())].rfind('@') else { continue };
        let hidden = match rest[..login].find(':') {
            Some(colon) => colon + 1..login,
            None if is_http(scheme) => 0..login,
            None => continue,
        };
        shown[at + 3 + hidden.start..at + 3 + hidden.end].fill(b'x');
    }
    String::from_utf8(shown).unwrap_or_default()
}

/// An address without the name and password that it may hold, and these. What `ssh` needs as a name
/// stays where it is.
pub fn split_login(address: &str) -> (String, Option<Login>) {
    let Some((scheme, login, rest)) = parts(address).filter(|(scheme, ..)| is_http(scheme)) else {
        return (address.to_owned(), None);
    };
    let decoded = |part: &str| percent::decode(part).unwrap_or_else(|_| part.to_owned());
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let login = Login { user: decoded(user), password: decoded(password) };
    (format!("{scheme}://{rest}"), Some(login))
}

/// The scheme, what stands before `@`, and the rest; none if nothing stands there.
fn parts(address: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (login, _) = authority.rsplit_once('@')?;
    Some((scheme, login, &rest[login.len() + 1..]))
}

fn is_http(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

fn is_git(text: &str) -> bool {
    text.starts_with("git://") || text.starts_with("ssh://") || git::is_scp(text)
}

/// The path of a URL: without scheme, host, query and fragment.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').map_or("", |at| &rest[at..])
}

/// The host of a URL must be there and must not look like an option; blanks are never meant.
fn check_host(url: &str) -> Result<(), BadAddress> {
    if url.chars().any(|char| char.is_control() || char == ' ') {
        return Err(BadAddress::Character);
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return Err(BadAddress::NoHost);
    }
    match host.starts_with('-') || authority.starts_with('-') {
        true => Err(BadAddress::Host(authority.to_owned())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
