//! The ignore file of a context, as the filter of its tree.

use std::fmt;
use std::path::Path;

use rbuild_cache::tree::{self, Filter};
use rbuild_frontend::ignore::{IgnoreFile, Verdict};

use super::ContextError;

/// An ignore file and what its lines say.
pub struct Ignore {
    file: IgnoreFile,
    name: String,
    lines: Vec<String>,
}

impl Ignore {
    /// Reads the bytes of the file at `path`.
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Ignore, ContextError> {
        let name = path.strip_prefix(".").unwrap_or(path).display().to_string();
        match IgnoreFile::parse(text) {
            Ok(file) => {
                let lines = String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
                Ok(Ignore { file, name, lines })
            }
            Err(source) => Err(ContextError::Ignore { name, source }),
        }
    }
}

impl Filter for Ignore {
    fn verdict(&self, path: &[u8]) -> tree::Verdict {
        match self.file.verdict(path) {
            Verdict::Included => tree::Verdict::Included,
            Verdict::Excluded { line } => tree::Verdict::Excluded { rule: line },
        }
    }

    fn prunes(&self, directory: &[u8]) -> bool {
        self.file.prunes(directory)
    }

    fn describe(&self, rule: usize) -> String {
        let text = rule.checked_sub(1).and_then(|index| self.lines.get(index));
        format!("{}:{rule} `{}`", self.name, text.map_or("", |line| line.trim()))
    }
}

impl fmt::Debug for Ignore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ignore").field(&self.name).finish()
    }
}
