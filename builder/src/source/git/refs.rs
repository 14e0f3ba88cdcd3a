//! What `git ls-remote` prints, and which of its lines is meant.

/// The ref that was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The commit; of an annotated tag, the one that it is of.
    pub commit: String,
    /// The whole name of the ref.
    pub name: String,
}

/// Whether this is a whole commit id: SHA-1 or SHA-256.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}

/// The flag of `git init` for a repository with such commit ids.
pub fn format(commit: &str) -> &'static str {
    match commit.len() {
        64 => "--object-format=sha256",
        _ => "--object-format=sha1",
    }
}

/// Whether this looks like the beginning of a commit id.
pub fn looks_short(text: &str) -> bool {
    (7..40).contains(&text.len()) && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The line for `reference`, or for `HEAD`: first the ref of exactly that name, then a branch, then
/// a tag, as git itself prefers.
pub fn find(lines: &str, reference: Option<&str>) -> Option<Found> {
    let of = |name: &str| {
        let line = lines.lines().find_map(|line| {
            let (commit, found) = line.split_once('\t')?;
            (found == name && is_commit(commit)).then_some(commit)
        });
        line.map(|commit| Found { commit: commit.to_owned(), name: name.to_owned() })
    };
    let peeled = |name: &str| {
        let plain = of(name)?;
        Some(
            of(&format!("{name}^{{}}"))
                .map_or(plain.clone(), |tag| Found { name: plain.name, ..tag }),
        )
    };
    let Some(reference) = reference else { return of("HEAD") };
    let bare = reference.strip_prefix("refs/").unwrap_or(reference);
    peeled(&format!("refs/{bare}"))
        .or_else(|| peeled(&format!("refs/heads/{reference}")))
        .or_else(|| peeled(&format!("refs/tags/{reference}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ref_that_git_would_take_is_taken() {
        let id = |digit: &str| digit.repeat(40);
        let lines = format!(
            "{}\tHEAD\n{}\trefs/heads/main\n{}\trefs/heads/both\n{}\trefs/tags/both\n\
             {}\trefs/tags/v1\n{}\trefs/tags/v1^{{}}\n{}\trefs/pull/7/head\nshort\trefs/heads/x\n",
            id("0"),
            id("1"),
            id("2"),
            id("3"),
            id("4"),
            id("5"),
            id("6"),
        );
        let rows = [
            (None, Some("0")),
            (Some("main"), Some("1")),
            (Some("both"), Some("2")),
            (Some("refs/tags/both"), Some("3")),
            (Some("tags/both"), Some("3")),
            (Some("v1"), Some("5")),
            (Some("pull/7/head"), Some("6")),
            (Some("refs/pull/7/head"), Some("6")),
            (Some("x"), None),
            (Some("HEAD"), None),
            (Some("none"), None),
        ];
        for (reference, digit) in rows {
            let found = find(&lines, reference);
            let commit = found.as_ref().map(|found| found.commit.clone());
            assert_eq!(commit, digit.map(id), "{reference:?}");
            let is_name = |found: Found| found.name == "HEAD" || found.name.starts_with("refs/");
            assert!(found.is_none_or(is_name), "{reference:?}");
        }
    }

    #[test]
    fn commit_ids_are_told_from_names() {
        assert!(is_commit(&"0a".repeat(20)) && is_commit(&"0a".repeat(32)));
        assert!(!is_commit(&"0A".repeat(20)) && !is_commit("0a0a0a0"));
        assert!(looks_short("0a0a0a0") && !looks_short("main123") && !looks_short("0a0a"));
    }
}
