//! Platforms as people write them: `linux/amd64`, `linux/arm/v7`, `arm64`.

use std::fmt;

use crate::op::Platform;

impl Platform {
    /// Reads `os/arch[/variant]`, or an architecture alone, which is Linux's. Other names of the
    /// same thing (`x86_64`, `aarch64`, `armhf`, `arm64/v8`) become the one that OCI uses.
    ///
    /// None if it is no platform.
    pub fn parse(text: &str) -> Option<Platform> {
        let lower = text.to_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let clean = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        };
        if !parts.iter().all(clean) {
            return None;
        }
        match parts.as_slice() {
            [architecture] if ARCHITECTURES.contains(&canonical(architecture, "").0) => {
                Some(Platform::of("linux", architecture, ""))
            }
            [os, architecture] => Some(Platform::of(os, architecture, "")),
            [os, architecture, variant] => Some(Platform::of(os, architecture, variant)),
            _ => None,
        }
    }

    fn of(os: &str, architecture: &str, variant: &str) -> Platform {
        let os = if os == "macos" { "darwin" } else { os };
        let (architecture, variant) = canonical(architecture, variant);
        Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// Go's names of architectures that images are made for.
const ARCHITECTURES: [&str; 12] = [
    "amd64", "arm64", "arm", "386", "ppc64le", "ppc64", "s390x", "riscv64", "mips64le", "mips64",
    "loong64", "wasm",
];

/// An architecture and variant by the names that OCI uses; the variant that goes without saying is
/// left out.
fn canonical<'a>(architecture: &'a str, variant: &'a str) -> (&'a str, &'a str) {
    match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("i386" | "i686", _) => ("386", ""),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_one_name() {
        let rows = [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/x86_64", Some("linux/amd64")),
            ("Linux/AMD64/v1", Some("linux/amd64")),
            ("linux/amd64/v3", Some("linux/amd64/v3")),
            ("amd64", Some("linux/amd64")),
            ("aarch64", Some("linux/arm64")),
            ("linux/arm64/v8", Some("linux/arm64")),
            ("linux/arm", Some("linux/arm/v7")),
            ("linux/arm/6", Some("linux/arm/v6")),
            ("armhf", Some("linux/arm/v7")),
            ("linux/i386", Some("linux/386")),
            ("windows/amd64", Some("windows/amd64")),
            ("linux", None),
            ("", None),
            ("linux/", None),
            ("linux/amd64/v1/x", None),
            ("linux/am d64", None),
        ];
        for (text, expected) in rows {
            let platform = Platform::parse(text).map(|platform| platform.to_string());
            assert_eq!(platform.as_deref(), expected, "{text}");
        }
    }
}
