//! What the user asks of one build, as far as a Dockerfile's meaning depends on it.

use std::collections::BTreeMap;

use rbuild_solver::op::{Network, Platform};

/// Everything besides the Dockerfile that stages and lowering are decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `--build-arg`, those with a value.
    pub build_args: BTreeMap<String, String>,
    /// `--target`: a stage's name or number; none for the last stage.
    pub target: Option<String>,
    /// The platform to build for.
    pub platform: Platform,
    /// The platform of this machine.
    pub build_platform: Platform,
    /// `--label`, set after every `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// The network of `RUN` steps that do not say.
    pub network: Network,
    /// Run every step even if it is cached.
    pub no_cache: bool,
    /// Proxy variables, which steps see and no key does.
    pub proxies: Vec<(String, String)>,
    /// The host name that steps see.
    pub hostname: String,
    /// `SOURCE_DATE_EPOCH`, seconds since 1970. It reaches steps only as a build argument that is
    /// declared.
    pub epoch: Option<i64>,
}
