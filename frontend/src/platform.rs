//! Which image of an index fits a platform.
//!
//! Names are normalised first (`x86_64` is `amd64`, `arm64/v8` is `arm64`), then a machine also
//! runs what is made for its older relatives, the nearest first: the rules of containerd's
//! platform matcher, which BuildKit and Docker use.

use rbuild_solver::op::Platform;

/// There are v1 to v4 of the x86-64 ABI.
const AMD64_LEVELS: u32 = 4;

/// The spelling that OCI prefers: `linux/arm64`, `linux/arm/v7`, `linux/amd64`.
pub fn normalize(platform: &Platform) -> Platform {
    let os = match platform.os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        os => os.to_owned(),
    };
    let variant = platform.variant.to_ascii_lowercase();
    let (architecture, variant) =
        match (platform.architecture.to_ascii_lowercase().as_str(), variant.as_str()) {
            ("i386", _) => ("386".to_owned(), String::new()),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64".to_owned(), String::new()),
            ("x86_64" | "x86-64" | "amd64", _) => ("amd64".to_owned(), variant),
            ("aarch64" | "arm64", "8" | "v8") => ("arm64".to_owned(), String::new()),
            ("aarch64" | "arm64", _) => ("arm64".to_owned(), variant),
            ("armhf", _) => ("arm".to_owned(), "v7".to_owned()),
            ("armel", _) => ("arm".to_owned(), "v6".to_owned()),
            ("arm", "" | "7") => ("arm".to_owned(), "v7".to_owned()),
            ("arm", "5" | "6" | "8") => ("arm".to_owned(), format!("v{variant}")),
            (architecture, _) => (architecture.to_owned(), variant),
        };
    Platform { os, architecture, variant }
}

/// How well an image for `have` runs on `want`: 0 is exact, more is worse, none is not at all.
pub fn rank(want: &Platform, have: &Platform) -> Option<usize> {
    let have = normalize(have);
    runnable(&normalize(want)).iter().position(|platform| *platform == have)
}

/// `linux/arm/v7`
pub fn display(platform: &Platform) -> String {
    let Platform { os, architecture, variant } = normalize(platform);
    match variant.is_empty() {
        true => format!("{os}/{architecture}"),
        false => format!("{os}/{architecture}/{variant}"),
    }
}

/// What a machine runs, the best first.
fn runnable(want: &Platform) -> Vec<Platform> {
    let all = |architecture: &str, variants: &[&str]| -> Vec<Platform> {
        let of = |variant: &&str| Platform {
            os: want.os.clone(),
            architecture: architecture.to_owned(),
            variant: (*variant).to_owned(),
        };
        variants.iter().map(of).collect()
    };
    let arm = ["v8", "v7", "v6", "v5"];
    let level = |variant: &str| variant.strip_prefix('v').and_then(|v| v.parse::<u32>().ok());
    match (want.architecture.as_str(), want.variant.as_str()) {
        ("amd64", variant) => {
            let highest = level(variant).unwrap_or(1).min(AMD64_LEVELS);
            let levels: Vec<String> =
                (2..=highest).rev().map(|level| format!("v{level}")).collect();
            let mut levels: Vec<&str> = levels.iter().map(String::as_str).collect();
            levels.push("");
            [all("amd64", &levels), all("386", &[""])].concat()
        }
        ("arm64", "") => [all("arm64", &[""]), all("arm", &arm)].concat(),
        ("arm", variant) => {
            let older = arm.iter().skip_while(|v| **v != variant).copied();
            let older: Vec<&str> = older.collect();
            if older.is_empty() { vec![want.clone()] } else { all("arm", &older) }
        }
        _ => vec![want.clone()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Platform { os: next(), architecture: next(), variant: next() }
    }

    #[test]
    fn spellings_are_normalised() {
        let rows = [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64/v1", "linux/amd64"),
            ("Linux/AMD64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("linux/riscv64", "linux/riscv64"),
            ("windows/amd64", "windows/amd64"),
        ];
        for (text, expected) in rows {
            assert_eq!(display(&platform(text)), expected, "{text}");
        }
    }

    #[test]
    fn the_nearest_relative_is_the_best() {
        let rows = [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/386", Some(1)),
            ("linux/amd64", "linux/amd64/v2", None),
            ("linux/amd64/v3", "linux/amd64/v3", Some(0)),
            ("linux/amd64/v3", "linux/amd64/v2", Some(1)),
            ("linux/amd64/v3", "linux/amd64", Some(2)),
            ("linux/amd64/v4294967295", "linux/amd64/v4", Some(0)),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64", "linux/arm/v7", Some(2)),
            ("linux/arm64", "linux/amd64", None),
            ("linux/arm/v7", "linux/arm", Some(0)),
            ("linux/arm/v7", "linux/arm/v6", Some(1)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/386", "linux/amd64", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/amd64", "unknown/unknown", None),
            ("linux/s390x", "linux/s390x", Some(0)),
        ];
        for (want, have, expected) in rows {
            assert_eq!(rank(&platform(want), &platform(have)), expected, "{want} on {have}");
        }
    }
}
