//! Two ways to write an image's name, as far as the index needs them. Parsing and checking what a
//! user typed is not done here.

const HUB: &str = "docker.io/";
const LIBRARY: &str = "docker.io/library/";

/// The name as people write it: `docker.io/library/app:1` is `app:1`.
pub(super) fn familiar(canonical: &str) -> &str {
    let short = canonical.strip_prefix(LIBRARY).or_else(|| canonical.strip_prefix(HUB));
    short.unwrap_or(canonical)
}

/// The name in full: `app` is `docker.io/library/app:latest`.
pub(super) fn canonical(familiar: &str) -> String {
    let (first, rest) = familiar.split_once('/').unwrap_or(("", familiar));
    let has_host = first.contains(['.', ':']) || first == "localhost";
    let prefix = match (has_host, first.is_empty()) {
        (true, _) => "",
        (false, true) => LIBRARY,
        (false, false) => HUB,
    };
    let tag = if rest.contains([':', '@']) { "" } else { ":latest" };
    format!("{prefix}{familiar}{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_in_two_ways() {
        let rows = [
            ("app:latest", "docker.io/library/app:latest"),
            ("me/app:1", "docker.io/me/app:1"),
            ("127.0.0.1:5000/x:1", "127.0.0.1:5000/x:1"),
            ("localhost/a/b:2", "localhost/a/b:2"),
            ("ghcr.io/me/app:3", "ghcr.io/me/app:3"),
        ];
        for (short, long) in rows {
            assert_eq!(familiar(long), short);
            assert_eq!(canonical(short), long);
        }
        assert_eq!(canonical("app"), "docker.io/library/app:latest");
        assert_eq!(canonical("localhost:5000/app"), "localhost:5000/app:latest");
    }
}
