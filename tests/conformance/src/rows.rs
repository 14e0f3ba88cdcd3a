//! The rows of the feature table: every one is shown by a case, or by a test that `rows.toml` names.
//! Features of the language are `A1` to `A126`, known results are `G1` to `G100`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use e2e::system::repository;

use crate::case::Case;

/// Features of other builders, which BuildKit does not have.
const OF_OTHERS: [&str; 3] = ["A52", "A71", "A120"];

/// What is wrong: rows that nothing shows, lines of `rows.toml` that name no test or a row that a
/// case shows.
pub fn faults(cases: &[Case]) -> Vec<String> {
    let shown: BTreeSet<&String> = cases.iter().flat_map(|case| &case.rows).collect();
    let elsewhere = elsewhere();
    let tests = tests();
    let has_vector = |row: &str| {
        let prefix = format!("{}_", row.to_lowercase());
        row.starts_with('G') && tests.iter().any(|test| test.starts_with(&prefix))
    };
    let mut faults = Vec::new();
    for row in rows().filter(|row| !OF_OTHERS.contains(&row.as_str())) {
        match elsewhere.get(&row) {
            None if shown.contains(&row) || has_vector(&row) => {}
            None => faults.push(format!("{row}: neither a case nor a test shows it")),
            Some(_) if shown.contains(&row) => {
                faults.push(format!("{row}: a case shows it: take it out of rows.toml"));
            }
            Some(test) if tests.contains(test) => {}
            Some(test) => faults.push(format!("{row}: there is no test `{test}`")),
        }
    }
    let strangers = elsewhere.keys().filter(|row| !rows().any(|known| known == **row));
    faults.extend(strangers.map(|row| format!("{row}: the table has no such row")));
    faults
}

fn rows() -> impl Iterator<Item = String> {
    let features = (1..=126).map(|number| format!("A{number}"));
    features.chain((1..=100).map(|number| format!("G{number}")))
}

/// Row to the test that shows it.
fn elsewhere() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rows.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The names of all functions of the repository's code; tests are among them.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["builder", "cache", "frontend", "solver", "tests"] {
        functions(&repository().join(folder), &mut found);
    }
    found
}

fn functions(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| functions(&entry.unwrap().path(), found));
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(path).unwrap();
        let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
        let name = |line: &str| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)
        };
        found.extend(names.filter_map(name));
    }
}
