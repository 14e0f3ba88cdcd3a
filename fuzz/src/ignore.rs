//! An ignore file and the paths that it is asked about.

use rbuild_cache::pattern::{escaped, has_wildcards, matches};
use rbuild_frontend::ignore::{IgnoreFile, Verdict};

/// More paths than this tell nothing new.
const PATHS: usize = 64;

/// The input is an ignore file up to the first NUL, then paths, one a line. A rule that hides a path
/// is named by a line that is there; a directory that need not be entered has nothing in it that is
/// visible.
pub fn ignore(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (rules, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let lines = String::from_utf8_lossy(rules).lines().count();
    let file = match IgnoreFile::parse(rules) {
        Ok(file) => file,
        Err(error) => {
            assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
            return;
        }
    };
    let paths: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').take(PATHS).collect();
    for path in &paths {
        if let Verdict::Excluded { line } = file.verdict(path) {
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
        }
        itself(path);
    }
    for (directory, below) in paths.iter().zip(paths.iter().skip(1)) {
        if is_clean(directory) && is_clean(below) && file.prunes(directory) {
            let inside = [directory, b"/".as_slice(), below].concat();
            let verdict = file.verdict(&inside);
            assert_ne!(verdict, Verdict::Included, "{}", String::from_utf8_lossy(&inside));
        }
    }
}

/// A path made a pattern matches itself.
fn itself(path: &[u8]) {
    if let Ok(text) = std::str::from_utf8(path) {
        let pattern = escaped(text);
        if has_wildcards(&pattern) {
            assert_eq!(matches(&pattern, text), Ok(true), "`{pattern}` on `{text}`");
        }
    }
}

fn is_clean(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
}
