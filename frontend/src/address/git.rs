//! Git addresses: the repository, and which part of it.

use rbuild_solver::op::{GitTimes, Submodules};

use super::percent::decode_query;
use super::{BadAddress, check_host, is_http, parts};

/// A git repository, and which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitAddress {
    /// The repository, as `git clone` takes it.
    pub remote: String,
    /// A branch, a tag, another ref, or a commit id; none for the default branch.
    pub reference: Option<String>,
    /// A directory in it: clean and relative, empty for all of it.
    pub subdir: String,
    /// How the id of the commit has to begin.
    pub checksum: Option<String>,
    /// Whether the commit is asked for by its id or by its ref.
    pub pinning: Pinning,
    /// `keep-git-dir`, if it is given.
    pub keep_git_dir: Option<bool>,
    /// `submodules`, if it is given.
    pub submodules: Option<Submodules>,
    /// `mtime`, if it is given.
    pub times: Option<GitTimes>,
}

/// How the commit is asked for if the address has both a ref and a checksum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pinning {
    /// By the ref, which must lead to that commit.
    #[default]
    Ref,
    /// By the id alone: `fetch-by-commit=true`.
    Commit,
}

/// The keys of a query.
pub(super) const KEYS: [&str; 10] = [
    "ref",
    "tag",
    "branch",
    "subdir",
    "checksum",
    "commit",
    "keep-git-dir",
    "submodules",
    "mtime",
    "fetch-by-commit",
];

/// Whether this is how `ssh` writes a place: `user@host:path`.
pub(super) fn is_scp(text: &str) -> bool {
    let of_name = |part: &str, more: char| {
        let belongs = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == more;
        !part.is_empty() && part.chars().all(belongs)
    };
    let host = text.split_once('@').and_then(|(user, rest)| Some((user, rest.split_once(':')?.0)));
    host.is_some_and(|(user, host)| of_name(user, '_') && of_name(host, '.'))
}

impl GitAddress {
    pub(super) fn parse(text: &str) -> Result<GitAddress, BadAddress> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = text.split_once('?').unwrap_or((text, ""));
        match is_scp(remote) {
            true => check_host(&format!("ssh://{}", remote.replacen(':', "/", 1)))?,
            false => check_host(remote)?,
        }
        check_login(remote)?;
        let mut address = GitAddress {
            remote: remote.to_owned(),
            reference: None,
            subdir: String::new(),
            checksum: None,
            pinning: Pinning::Ref,
            keep_git_dir: None,
            submodules: None,
            times: None,
        };
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        address.set_reference(reference)?;
        address.set_subdir(subdir)?;
        Query::read(query)?.apply(&mut address)?;
        if address.pinning == Pinning::Commit && !address.has_whole_checksum() {
            return Err(BadAddress::Value {
                key: "fetch-by-commit",
                value: "true".to_owned(),
                expected: "it needs a whole commit id as `checksum`",
            });
        }
        Ok(address)
    }

    /// Sets what the commit's id has to begin with, beside what the address may say.
    pub fn set_checksum(&mut self, checksum: &str) -> Result<(), BadAddress> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !(4..=64).contains(&checksum.len()) || !checksum.bytes().all(hex) {
            return Err(BadAddress::Value {
                key: "checksum",
                value: checksum.to_owned(),
                expected: "it is a commit id, or the beginning of one, in lower case",
            });
        }
        one(&mut self.checksum, checksum)
    }

    fn set_reference(&mut self, reference: &str) -> Result<(), BadAddress> {
        if reference.is_empty() {
            return Ok(());
        }
        check_reference(reference)?;
        one(&mut self.reference, reference)
    }

    fn set_subdir(&mut self, subdir: &str) -> Result<(), BadAddress> {
        let bad = || BadAddress::Value {
            key: "subdir",
            value: subdir.to_owned(),
            expected: "it is a directory of the repository",
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in subdir.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop().ok_or_else(bad)?),
                part => parts.push(part),
            }
        }
        if parts.iter().any(|part| part.eq_ignore_ascii_case(".git") || part.contains('\0')) {
            return Err(bad());
        }
        let clean = parts.join("/");
        match (self.subdir.is_empty(), clean.is_empty()) {
            (_, true) => Ok(()),
            (false, false) if self.subdir != clean => {
                Err(BadAddress::Conflict(self.subdir.clone(), clean))
            }
            _ => {
                self.subdir = clean;
                Ok(())
            }
        }
    }

    fn has_whole_checksum(&self) -> bool {
        self.checksum.as_ref().is_some_and(|checksum| is_commit(checksum))
    }
}

/// Whether this is a whole commit id: SHA-1 or SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(hex)
}

/// The pairs of a query, each taken out as it is used.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: &str) -> Result<Query, BadAddress> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (key, value) = (decode_query(key)?, decode_query(value)?);
            if !KEYS.contains(&key.as_str()) {
                return Err(BadAddress::Key(key));
            }
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(BadAddress::Repeated(key));
            }
            if value.is_empty() && !["keep-git-dir", "submodules"].contains(&key.as_str()) {
                return Err(BadAddress::NoValue(key));
            }
            pairs.push((key, value));
        }
        Ok(Query(pairs))
    }

    fn apply(self, address: &mut GitAddress) -> Result<(), BadAddress> {
        for kind in ["branch", "tag"] {
            if let Some(name) = self.get(kind) {
                check_reference(name)?;
                let folder = if kind == "tag" { "tags" } else { "heads" };
                address.set_reference(&format!("refs/{folder}/{name}"))?;
            }
        }
        if let Some(reference) = self.get("ref") {
            address.set_reference(reference)?;
        }
        address.set_subdir(self.get("subdir").unwrap_or_default())?;
        for key in ["checksum", "commit"] {
            if let Some(checksum) = self.get(key) {
                address.set_checksum(checksum)?;
            }
        }
        address.keep_git_dir = self.flag("keep-git-dir")?;
        address.submodules = self.flag("submodules")?.map(|wanted| match wanted {
            true => Submodules::Included,
            false => Submodules::LeftOut,
        });
        if self.flag("fetch-by-commit")? == Some(true) {
            address.pinning = Pinning::Commit;
        }
        address.times = match self.get("mtime") {
            None => None,
            Some("checkout") => Some(GitTimes::Checkout),
            Some("commit") => Some(GitTimes::Commit),
            Some(value) => {
                let (key, value) = ("mtime", value.to_owned());
                let expected = "it is `checkout` or `commit`";
                return Err(BadAddress::Value { key, value, expected });
            }
        };
        Ok(())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// A key alone is as good as `true`.
    fn flag(&self, key: &'static str) -> Result<Option<bool>, BadAddress> {
        match self.get(key) {
            None => Ok(None),
            Some("" | "1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(value) => {
                let (value, expected) = (value.to_owned(), "it is `true` or `false`");
                Err(BadAddress::Value { key, value, expected })
            }
        }
    }
}

/// Sets what two parts of an address may say, if they agree.
fn one(place: &mut Option<String>, value: &str) -> Result<(), BadAddress> {
    match place.as_deref() {
        Some(known) if known != value => {
            Err(BadAddress::Conflict(known.to_owned(), value.to_owned()))
        }
        _ => {
            *place = Some(value.to_owned());
            Ok(())
        }
    }
}

/// Only `http` can send a password; with another protocol it would be seen and of no use.
fn check_login(remote: &str) -> Result<(), BadAddress> {
    match parts(remote) {
        Some((scheme, login, _)) if !is_http(scheme) && login.contains(':') => {
            Err(BadAddress::Password(scheme.to_owned()))
        }
        _ => Ok(()),
    }
}

/// The rules of git-check-ref-format(1), and no option.
fn check_reference(name: &str) -> Result<(), BadAddress> {
    let forbidden = |char: char| char.is_control() || " ~^:?*[\\".contains(char);
    let bad = name.is_empty()
        || name.starts_with(['-', '/', '.'])
        || name.ends_with(['/', '.'])
        || name.ends_with(".lock")
        || name.contains("..")
        || name.contains("//")
        || name.contains("/.")
        || name.contains("@{")
        || name == "@"
        || name.chars().any(forbidden);
    match bad {
        false => Ok(()),
        true => Err(BadAddress::Value {
            key: "ref",
            value: name.to_owned(),
            expected: "git allows no ref of that name",
        }),
    }
}
