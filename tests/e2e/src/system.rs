//! The machine: where things are, other people's programs, what was left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Run;

/// Programs without which no test can run.
const TOOLS: [&str; 18] = [
    "docker-registry",
    "skopeo",
    "umoci",
    "qemu-aarch64-static",
    "podman",
    "crun",
    "busybox",
    "setpriv",
    "unshare",
    "nsenter",
    "htpasswd",
    "git",
    "nginx",
    "fcgiwrap",
    "sshd",
    "ssh",
    "ssh-agent",
    "zstd",
];

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Why no end-to-end test can run here, if so.
pub fn unfit() -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_there = |tool: &str| {
        path.split(':').chain(["/usr/sbin"]).any(|folder| Path::new(folder).join(tool).exists())
    };
    let missing = TOOLS.iter().find(|tool| !is_there(tool))?;
    Some(format!("`{missing}` is not installed"))
}

/// The binary under test: `$RBUILD`, or the one that cargo built beside this program, which is a
/// test or a tool.
pub fn rbuild() -> PathBuf {
    if let Some(path) = std::env::var_os("RBUILD") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let places = test.ancestors().skip(1).take(2).map(|folder| folder.join("rbuild"));
    let found = places.into_iter().find(|path| path.is_file());
    found
        .unwrap_or_else(|| panic!("no rbuild by `{}`: run `cargo build -p rbuild`", test.display()))
}

/// The storage of the registry that has the bases: `$RBUILD_TEST_BASES`, or made now.
pub fn bases() -> PathBuf {
    if let Some(path) = std::env::var_os("RBUILD_TEST_BASES") {
        return path.into();
    }
    let run = tool(&mut Command::new(repository().join("scripts/bases.sh"))).ok();
    PathBuf::from(run.stdout.trim_end())
}

/// Runs another program as root.
pub fn tool(command: &mut Command) -> Run {
    Run::of(command, b"")
}

/// The processes whose mounts or command line have to do with a folder: what a build left behind.
pub fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let process = entry.unwrap().path();
        if process.file_name().unwrap().to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
            continue;
        }
        // Processes come and go meanwhile: one that is gone was not left behind.
        let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if mounts.contains(folder) || line.contains(folder) {
            found.push(format!("{} {line}", process.display()));
        }
    }
    found
}
