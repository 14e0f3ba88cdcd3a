//! Names that look like one that does not exist.

/// At most this many are offered.
const OFFERED: usize = 3;

/// Those of `names` that look most like `wanted`, the most alike first.
pub(super) fn nearest(wanted: &str, names: Vec<String>) -> Vec<String> {
    let limit = wanted.chars().count() / 3 + 2;
    let mut ranked: Vec<(usize, String)> = names
        .into_iter()
        .filter(|name| name != wanted)
        .map(|name| (distance(wanted, &name), name))
        .filter(|(distance, name)| *distance <= limit || name.starts_with(wanted))
        .collect();
    ranked.sort();
    ranked.truncate(OFFERED);
    ranked.into_iter().map(|(_, name)| name).collect()
}

/// Levenshtein's: how many characters have to be put in, left out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_come_first() {
        let rows: [(&str, &[&str], &[&str]); 4] = [
            ("1.37", &["1.36", "latest", "1.3", "2"], &["1.3", "1.36"]),
            ("bookwrm", &["bookworm", "bullseye"], &["bookworm"]),
            ("3", &["3.19.1-long-name", "edge"], &["3.19.1-long-name"]),
            ("x", &["completely", "different"], &[]),
        ];
        for (wanted, names, expected) in rows {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(nearest(wanted, names), expected, "{wanted}");
        }
    }
}
