//! Why a vertex has to run.

use std::fmt;

use crate::key::Part;

/// Why a result could not be taken from the cache. Shown to the user, one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissReason {
    /// The user asked for it: `--no-cache`.
    Asked,
    /// This step of this file was never built in this store.
    New,
    /// These parts of the key differ from the last time.
    Changed(Vec<String>),
    /// The key is the one of the last time, and its result is no longer there.
    Gone,
}

impl MissReason {
    /// Compares the parts of the key with those of the last record in the same slot.
    pub fn between(last: Option<&[Part]>, now: &[Part]) -> MissReason {
        let Some(last) = last else { return MissReason::New };
        let mut changed: Vec<String> =
            now.iter().filter(|part| !last.contains(part)).map(|part| part.name.clone()).collect();
        let removed = last.iter().filter(|old| !now.iter().any(|new| new.name == old.name));
        changed.extend(removed.map(|old| old.name.clone()));
        changed.dedup();
        if changed.is_empty() { MissReason::Gone } else { MissReason::Changed(changed) }
    }
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MissReason::Asked => f.write_str("cache not used, as asked"),
            MissReason::New => f.write_str("not built before"),
            MissReason::Gone => f.write_str("its cached result is no longer in the store"),
            MissReason::Changed(parts) => write!(f, "{} changed", parts.join(", ")),
        }
    }
}
