//! What the user asks of one build, as far as a Dockerfile's meaning depends on it.

use std::collections::BTreeMap;

use rbuild_solver::op::{Network, Platform, Resources};

/// Everything besides the Dockerfile that stages and lowering are decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `--build-arg`, those with a value.
    pub build_args: BTreeMap<String, String>,
    /// `--target`: a stage's name or number; none for the last stage.
    pub target: Option<String>,
    /// `--also`: stages that are built too, and add nothing to the image.
    pub also: Vec<String>,
    /// `--build-context`: what takes the place of stages and images, by [`familiar`] name.
    pub contexts: BTreeMap<String, NamedContext>,
    /// The platform to build for.
    pub platform: Platform,
    /// Whether it is one of several.
    pub platforms: Platforms,
    /// The platform of this machine.
    pub build_platform: Platform,
    /// `--label`, set after every `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// The network of `RUN` steps that do not say.
    pub network: Network,
    /// What steps can use of the machine.
    pub resources: Resources,
    /// Run every step even if it is cached.
    pub no_cache: bool,
    /// Proxy variables, which steps see and no key does.
    pub proxies: Vec<(String, String)>,
    /// The host name that steps see.
    pub hostname: String,
    /// `SOURCE_DATE_EPOCH`, seconds since 1970. It is a build argument like any other: it reaches
    /// steps only where it is declared.
    pub epoch: Option<i64>,
}

/// For how many platforms an image is built. The file is read for each of them by itself, so this
/// only says how steps are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platforms {
    /// One.
    One,
    /// Several: a step says for which one it is.
    Several,
}

/// What a name of `--build-context` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// An image, by the reference that bases are requested with.
    Image(String),
    /// Files that the user gives under this name.
    Files,
}

/// A name as `--build-context` and `FROM` agree on it: `busybox` for
/// `docker.io/library/busybox:latest`. Case does not matter.
pub fn familiar(name: &str) -> String {
    let name = name.to_lowercase();
    let name = ["docker.io/", "index.docker.io/"]
        .iter()
        .find_map(|host| name.strip_prefix(host))
        .unwrap_or(&name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name).to_owned()
}

impl Options {
    /// What the user gives for an argument that is declared.
    pub(crate) fn build_arg(&self, name: &str) -> Option<String> {
        let epoch = || self.epoch.filter(|_| name == EPOCH).map(|epoch| epoch.to_string());
        self.build_args.get(name).cloned().or_else(epoch)
    }
}

/// <https://reproducible-builds.org/docs/source-date-epoch/>
pub(crate) const EPOCH: &str = "SOURCE_DATE_EPOCH";
