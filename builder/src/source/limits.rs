//! How long, and how much, sources that others control may take: nothing here goes on for ever.

use std::time::Duration;

use rbuild_cache::archive;

/// The limits of one download, one repository or one archive.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long nothing may come on a connection.
    pub idle: Duration,
    /// How long all of it may take, with every try.
    pub total: Duration,
    /// How often it is tried.
    pub tries: u32,
    /// The wait before the second try. It doubles each time.
    pub wait: Duration,
    /// How many bytes it may have: of a download, or of all files of an archive or repository.
    pub bytes: u64,
    /// How many files an archive or repository may have.
    pub files: u64,
}

/// The variable that says how many bytes.
pub const BYTES: &str = "RBUILD_SOURCE_LIMIT";

/// The variable that says how many seconds.
pub const SECONDS: &str = "RBUILD_SOURCE_TIMEOUT";

/// The variable that says for how many seconds nothing may come.
pub const IDLE: &str = "RBUILD_SOURCE_IDLE";

/// How often a server may lead elsewhere.
pub const REDIRECTS: usize = 10;

/// A variable that is no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is `{value}`, which is not a number of {unit}")]
pub struct BadLimit {
    name: &'static str,
    value: String,
    unit: &'static str,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(3600),
            tries: 4,
            wait: Duration::from_millis(250),
            bytes: 16 << 30,
            files: 4_000_000,
        }
    }
}

impl Limits {
    /// Those of an archive.
    pub fn archive(&self) -> archive::Limits {
        archive::Limits { bytes: self.bytes, files: self.files }
    }

    /// The defaults, and what the environment says otherwise.
    pub fn from_environment() -> Result<Limits, BadLimit> {
        let mut limits = Limits::default();
        if let Some(bytes) = number(BYTES, "bytes")? {
            limits.bytes = bytes;
        }
        if let Some(seconds) = number(SECONDS, "seconds")? {
            limits.total = Duration::from_secs(seconds);
        }
        if let Some(seconds) = number(IDLE, "seconds")? {
            limits.idle = Duration::from_secs(seconds);
        }
        Ok(limits)
    }
}

fn number(name: &'static str, unit: &'static str) -> Result<Option<u64>, BadLimit> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(BadLimit { name, value, unit }),
        },
        _ => Ok(None),
    }
}
