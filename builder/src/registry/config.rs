//! `registries.toml`: mirrors, plain http and certificates of registries.
//!
//! Read from `$RBUILD_REGISTRIES`, else `$XDG_CONFIG_HOME/rbuild/registries.toml` (`~/.config`
//! where that is not set), else `/etc/rbuild/registries.toml`; the first that exists is the only
//! one. One table for each registry, all keys optional:
//!
//! ```toml
//! [registry."docker.io"]
//! # Asked first when pulling, in this order. Whatever goes wrong with a mirror, the next is
//! # asked, and at last the registry itself. A mirror may have a path, which goes before the
//! # repository, and a scheme; without a scheme its own table below decides.
//! mirrors = ["mirror.example.com/dockerhub", "http://10.0.0.5:5000"]
//!
//! [registry."mirror.example.com"]
//! ca = "/etc/ssl/example-ca.pem"     # believed besides the system's authorities
//!
//! [registry."registry.lan:5000"]
//! http = true                        # plain http: no TLS at all
//!
//! [registry."old.example.com"]
//! insecure = true                    # TLS, but any certificate will do
//! ```
//!
//! A registry on loopback (`localhost`, `127.0.0.0/8`, `[::1]`) speaks plain http unless its table
//! says `http = false`. Credentials are not kept here: they are looked up for the host asked, a
//! mirror's for the mirror.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rbuild_frontend::reference::{DOCKER_HUB, Repository, split_port};
use reqwest::Url;
use serde::Deserialize;

use super::error::{RegistryError, Unreachable};
use super::tls::Trust;

/// What is known about registries beforehand.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    tables: BTreeMap<String, Table>,
}

/// One place where a registry's images can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// The host as it is asked, with its port: `registry-1.docker.io`.
    pub host: String,
    /// What goes before the repository's path: empty, or `dockerhub/`.
    pub prefix: String,
    /// The registry that it answers for: `docker.io`.
    pub registry: String,
    /// Whether it is the registry itself.
    pub role: Role,
    /// Whose certificates are believed.
    pub trust: Trust,
}

/// With or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// With TLS.
    Https,
}

/// A registry or a copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The registry itself.
    Registry,
    /// A mirror, which may be behind or broken.
    Mirror,
}

/// Why `registries.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what this module documents.
    #[error("cannot parse `{}`", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why not.
        source: Box<toml::de::Error>,
    },
    /// A mirror that is no host.
    #[error("`{mirror}` in `{}` is not a mirror: expected `[http[s]://]host[:port][/path]`", path.display())]
    Mirror {
        /// The file.
        path: PathBuf,
        /// What is written there.
        mirror: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    registry: BTreeMap<String, Table>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    mirrors: Vec<String>,
    http: Option<bool>,
    #[serde(default)]
    insecure: bool,
    ca: Option<PathBuf>,
}

impl Registries {
    /// Reads the user's file; nothing is known if there is none.
    ///
    /// # Errors
    /// A file that cannot be read or understood. That `$RBUILD_REGISTRIES` names no file is an
    /// error too.
    pub fn load() -> Result<Registries, ConfigError> {
        if let Some(path) = env::var_os("RBUILD_REGISTRIES") {
            return Registries::read(Path::new(&path));
        }
        match default_files().iter().find(|path| path.exists()) {
            Some(path) => Registries::read(path),
            None => Ok(Registries::default()),
        }
    }

    /// Reads one file.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn read(path: &Path) -> Result<Registries, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Registries::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Registries, ConfigError> {
        let file: File = toml::from_str(text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let mirrors = file.registry.values().flat_map(|table| &table.mirrors);
        for mirror in mirrors {
            if split_mirror(mirror).is_none() {
                let (path, mirror) = (path.to_owned(), mirror.clone());
                return Err(ConfigError::Mirror { path, mirror });
            }
        }
        Ok(Registries { tables: file.registry })
    }

    /// The registry itself.
    pub fn endpoint(&self, registry: &str) -> Endpoint {
        Endpoint {
            scheme: self.scheme(registry),
            host: api_host(registry).to_owned(),
            prefix: String::new(),
            registry: registry.to_owned(),
            role: Role::Registry,
            trust: self.trust(registry),
        }
    }

    /// Where to pull from, in order: the mirrors, then the registry.
    pub fn pull_endpoints(&self, registry: &str) -> Vec<Endpoint> {
        let mirrors = self.tables.get(registry).map_or(&[][..], |table| &table.mirrors);
        let mirrors = mirrors.iter().filter_map(|mirror| self.mirror(registry, mirror));
        mirrors.chain([self.endpoint(registry)]).collect()
    }

    fn mirror(&self, registry: &str, mirror: &str) -> Option<Endpoint> {
        let (scheme, host, path) = split_mirror(mirror)?;
        Some(Endpoint {
            scheme: scheme.unwrap_or_else(|| self.scheme(host)),
            host: host.to_owned(),
            prefix: if path.is_empty() { String::new() } else { format!("{path}/") },
            registry: registry.to_owned(),
            role: Role::Mirror,
            trust: self.trust(host),
        })
    }

    fn scheme(&self, registry: &str) -> Scheme {
        let said = self.tables.get(registry).and_then(|table| table.http);
        if said.unwrap_or_else(|| is_loopback(registry)) { Scheme::Http } else { Scheme::Https }
    }

    fn trust(&self, registry: &str) -> Trust {
        match self.tables.get(registry) {
            Some(Table { insecure: true, .. }) => Trust::Anyone,
            Some(Table { ca: Some(path), .. }) => Trust::Also(path.clone()),
            _ => Trust::System,
        }
    }
}

impl Endpoint {
    /// `https://registry-1.docker.io`
    pub fn origin(&self) -> String {
        match self.scheme {
            Scheme::Http => format!("http://{}", self.host),
            Scheme::Https => format!("https://{}", self.host),
        }
    }

    /// What a user calls it, and what its credentials are kept under: `docker.io`.
    pub fn name(&self) -> &str {
        match self.role {
            Role::Registry => &self.registry,
            Role::Mirror => &self.host,
        }
    }

    /// A repository's path here: behind the prefix.
    pub fn path(&self, repository: &Repository) -> String {
        format!("{}{}", self.prefix, repository.path)
    }

    /// The address of something in its interface: `/v2/..`. A mirror is told which registry is
    /// meant, since it may stand for several.
    pub(super) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let text = format!("{}{path}", self.origin());
        let mut url = Url::parse(&text).map_err(|error| RegistryError::Unreachable {
            host: self.name().to_owned(),
            kind: Unreachable::Other(format!("`{text}` is no address: {error}")),
        })?;
        if self.role == Role::Mirror && self.host != self.registry {
            url.query_pairs_mut().append_pair("ns", &self.registry);
        }
        Ok(url)
    }

    /// Whether an address is of this host, so that credentials may go there.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        Url::parse(&self.origin()).is_ok_and(|own| own.origin() == url.origin())
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Docker Hub's interface has another host than its name.
fn api_host(registry: &str) -> &str {
    if registry == DOCKER_HUB { "registry-1.docker.io" } else { registry }
}

fn split_mirror(mirror: &str) -> Option<(Option<Scheme>, &str, &str)> {
    let (scheme, rest) = match mirror.split_once("://") {
        Some(("http", rest)) => (Some(Scheme::Http), rest),
        Some(("https", rest)) => (Some(Scheme::Https), rest),
        Some(_) => return None,
        None => (None, mirror),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let valid = !host.is_empty() && !rest.contains(['@', '?', '#', ' ', '\\']);
    valid.then(|| (scheme, host, path.trim_end_matches('/')))
}

/// Whether `host[:port]` is `localhost`, in `127.0.0.0/8`, or `[::1]`.
pub fn is_loopback(registry: &str) -> bool {
    let (host, _) = split_port(registry);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn default_files() -> Vec<PathBuf> {
    let user = env::var_os("XDG_CONFIG_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    let system = PathBuf::from("/etc/rbuild/registries.toml");
    user.map(|dir| dir.join("rbuild/registries.toml")).into_iter().chain([system]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Registries, ConfigError> {
        Registries::parse(text, Path::new("registries.toml"))
    }

    #[test]
    fn the_documented_example_is_understood() {
        let source = include_str!("config.rs");
        let lines = source.lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let lines = lines.take_while(|line| *line != "//! ```");
        let example: Vec<&str> = lines.map(|l| l.trim_start_matches("//!")).collect();
        let config = parse(&example.join("\n")).unwrap();

        let rows: Vec<(String, String, Trust)> = config
            .pull_endpoints("docker.io")
            .into_iter()
            .map(|e| (e.origin(), e.prefix, e.trust))
            .collect();
        let ca = Trust::Also("/etc/ssl/example-ca.pem".into());
        let expected = [
            ("https://mirror.example.com", "dockerhub/", ca),
            ("http://10.0.0.5:5000", "", Trust::System),
            ("https://registry-1.docker.io", "", Trust::System),
        ];
        assert_eq!(rows, expected.map(|(o, p, t)| (o.to_owned(), p.to_owned(), t)));
        assert_eq!(config.endpoint("registry.lan:5000").scheme, Scheme::Http);
        assert_eq!(config.endpoint("old.example.com").trust, Trust::Anyone);
    }

    #[test]
    fn loopback_is_plain_http_unless_told_otherwise() {
        let config = parse("[registry.\"localhost:5000\"]\nhttp = false").unwrap();
        let rows = [
            ("localhost", Scheme::Http),
            ("localhost:80", Scheme::Http),
            ("localhost:5000", Scheme::Https),
            ("127.0.0.1:5000", Scheme::Http),
            ("127.9.9.9", Scheme::Http),
            ("[::1]:5000", Scheme::Http),
            ("128.0.0.1:5000", Scheme::Https),
            ("localhost.example.com", Scheme::Https),
            ("docker.io", Scheme::Https),
        ];
        for (registry, scheme) in rows {
            assert_eq!(config.endpoint(registry).scheme, scheme, "{registry}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let rows = [
            "mirrors = []",
            "[registry.x]\nkey = 1",
            "[registry.x]\nhttp = \"yes\"",
            "[registry.x]\nmirrors = [\"ftp://a\"]",
            "[registry.x]\nmirrors = [\"\"]",
            "[registry.x]\nmirrors = [\"http://u:p@a/\"]",
        ];
        for text in rows {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
