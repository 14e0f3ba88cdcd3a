//! What ARCHITECTURE.md says is absent, is absent.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All shipped sources of a crate: not its tests.
fn sources(package: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&workspace().join(package).join("src"), &mut found);
    assert!(!found.is_empty(), "no sources of {package}");
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "tests" {
            collect(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).expect("a source");
            found.push((path, shipped(&text)));
        }
    }
}

/// The part before the tests, without comments.
fn shipped(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    code.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

/// Fails if one of `words` stands in a source of `package` that `except` does not let pass.
fn absent(package: &str, words: &[&str], except: &dyn Fn(&str) -> bool) {
    let mut wrong = Vec::new();
    for (path, code) in sources(package) {
        let shown = path.display().to_string();
        let excused = except(&shown);
        for word in words.iter().filter(|_| !excused) {
            if code.contains(word) {
                wrong.push(format!("{shown} has `{word}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn dependencies_point_one_way() {
    let allowed = [
        ("cache", vec![]),
        ("solver", vec!["rbuild-cache"]),
        ("frontend", vec!["rbuild-cache", "rbuild-solver"]),
        ("builder", vec!["rbuild-cache", "rbuild-frontend", "rbuild-solver"]),
    ];
    for (package, allowed) in allowed {
        let manifest = workspace().join(package).join("Cargo.toml");
        let text = fs::read_to_string(manifest).expect("a manifest");
        let own = |line: &&str| line.starts_with("rbuild-");
        let found: Vec<&str> =
            text.lines().filter(own).filter_map(|line| line.split('.').next()).collect();
        assert_eq!(found, allowed, "{package}");
    }
}

#[test]
fn the_frontend_touches_nothing() {
    let words = ["std::fs", "std::env", "std::process", "TcpStream", "SystemTime", "Instant::now"];
    absent("frontend", &words, &|_| false);
}

#[test]
fn the_solver_sees_no_path_and_no_process() {
    let words = ["std::fs", "std::env", "std::path", "std::process", "TcpStream"];
    absent("solver", &words, &|_| false);
}

#[test]
fn the_cache_knows_no_graph_and_no_dockerfile() {
    absent("cache", &["rbuild_solver", "rbuild_frontend", "petgraph"], &|_| false);
}

#[test]
fn only_views_and_subcommands_print() {
    let words = ["println!", "print!(", "io::stdout()", "stderr()"];
    for package in ["cache", "solver", "frontend"] {
        absent(package, &words, &|_| false);
    }
    let may_print = |path: &str| {
        ["/progress", "/cli", "/export/sink.rs", "/sandbox/"].iter().any(|part| path.contains(part))
    };
    absent("builder", &words, &may_print);
}

#[test]
fn unsafe_code_is_in_one_file() {
    for package in ["cache", "solver", "frontend"] {
        absent(package, &["unsafe {", "unsafe fn", "unsafe impl"], &|_| false);
    }
    let fenced = |path: &str| path.ends_with("sandbox/sys.rs");
    absent("builder", &["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"], &fenced);
}
