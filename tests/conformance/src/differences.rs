//! `differences.toml`: where rbuild is known to differ from Docker, and why that is right.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::compare::Differences;

/// The list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    #[serde(default)]
    difference: Vec<Entry>,
}

/// A difference with its reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The cases that show it.
    cases: Vec<String>,
    /// What differs, as the suite names it.
    keys: Vec<String>,
    /// Why a user would want it so.
    reason: String,
}

impl Known {
    /// Reads the list.
    pub fn read() -> Known {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("differences.toml");
        let known: Known = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(known.difference.iter().all(|entry| !entry.reason.is_empty()));
        known
    }

    /// How many reasons it gives.
    pub fn reasons(&self) -> usize {
        self.difference.len()
    }

    /// The cases that the list names.
    pub fn cases(&self) -> impl Iterator<Item = &String> {
        self.difference.iter().flat_map(|entry| &entry.cases)
    }

    /// What is wrong with a case: differences that are not listed, and listed ones that are gone.
    pub fn judge(&self, case: &str, found: &Differences) -> Vec<String> {
        let entries =
            self.difference.iter().filter(|entry| entry.cases.iter().any(|it| it == case));
        let listed: BTreeSet<&String> = entries.flat_map(|entry| &entry.keys).collect();
        let unknown =
            found.iter().filter(|(key, _)| !listed.contains(key)).map(|(key, (docker, rbuild))| {
                format!("{key}:\n    docker {docker}\n    rbuild {rbuild}")
            });
        let gone = listed
            .iter()
            .filter(|key| !found.contains_key(**key))
            .map(|key| format!("{key} is in differences.toml and no longer differs: take it out"));
        unknown.chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Known;
    use crate::compare::Differences;

    #[test]
    fn unknown_and_vanished_differences_fail() {
        let known: Known = toml::from_str(
            "[[difference]]\ncases = [\"a/b\"]\nkeys = [\"layers\"]\nreason = \"x\"",
        )
        .unwrap();
        let layers = Differences::from([("layers".to_owned(), ("1".to_owned(), "2".to_owned()))]);
        assert!(known.judge("a/b", &layers).is_empty());
        assert_eq!(known.judge("a/c", &layers).len(), 1);
        assert_eq!(known.judge("a/b", &Differences::new()).len(), 1);
    }
}
