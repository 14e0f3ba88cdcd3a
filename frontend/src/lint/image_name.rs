//! Whether a text can be the name of an image.
//!
//! The grammar is that of <https://pkg.go.dev/github.com/distribution/reference>; taking a name apart
//! is the registry client's business.

use std::sync::LazyLock;

use regex::Regex;

const HOST: &str = r"(?:localhost|(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+\.?|[A-Za-z0-9.-]+:[0-9]+|[A-Za-z0-9-]*[A-Z][A-Za-z0-9-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?";
const PART: &str = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const TAG: &str = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
const DIGEST: &str = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";

static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = format!("(?:{HOST}/)?{PART}(?:/{PART})*");
    Regex::new(&format!("^{name}(?::{TAG})?(?:@{DIGEST})?$")).ok()
});

/// Whether it can.
pub(super) fn is_image_name(text: &str) -> bool {
    NAME.as_ref().is_some_and(|name| name.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::is_image_name;

    #[test]
    fn a_name_follows_the_grammar() {
        let digest = format!("busybox@sha256:{}", "0".repeat(64));
        let rows = [
            ("busybox", true),
            ("busybox:1.36", true),
            ("library/busybox", true),
            ("docker.io/library/busybox:latest", true),
            ("localhost:5000/a/b__c:1", true),
            ("127.0.0.1:5001/busybox", true),
            ("[::1]:5000/a", true),
            (&digest, true),
            ("", false),
            ("busybox:", false),
            ("Busybox", false),
            ("docker.io/Library/x", false),
            ("a b", false),
            ("a//b", false),
            ("a@sha256:12", false),
            ("-a", false),
        ];
        for (name, expected) in rows {
            assert_eq!(is_image_name(name), expected, "{name}");
        }
    }
}
