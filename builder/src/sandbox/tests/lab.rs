//! Where sandbox tests run: in a process of their own that has entered the isolation, once as
//! root and once as an ordinary user.
//!
//! A test calls itself again. The second process enters the isolation before anything else
//! happens in it, as the program does, and only there the test's body runs.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rbuild_solver::op::Network;
use rbuild_solver::worker::Cancel;

use super::super::*;

/// Set for the process in which the body runs.
const MARK: &str = "RBUILD_TEST_ISOLATED";

/// Whose rights a test runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    Root,
    User,
}

static ISOLATION: OnceLock<Result<Isolation, EnterError>> = OnceLock::new();

/// Runs before the test harness in every process of the test binary.
pub fn first_thing() {
    init_hook();
    if std::env::var_os(MARK).is_some() {
        let _ = ISOLATION.set(enter());
    }
}

/// Runs `body` isolated. `test` is the full name of the calling test.
pub fn run(whom: As, test: &str, body: fn(&Lab)) {
    if std::env::var_os(MARK).is_some() {
        return body(&Lab::new());
    }
    let test = test.split_once("::").unwrap().1;
    let mut command = Command::new("/proc/self/exe");
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(MARK, "1");
    let is_root = rustix::process::geteuid().is_root();
    match (whom, is_root) {
        (As::Root, true) | (As::User, false) => {}
        (As::Root, false) => return cannot_run("not root"),
        (As::User, true) => match tester() {
            Some((uid, gid)) => {
                command.uid(uid).gid(gid).current_dir("/").env("USER", "tester");
                command.env("HOME", "/").env("TMPDIR", "/tmp");
            }
            None => return cannot_run("there is no user `tester`, and it cannot be made"),
        },
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{whom:?}:\n{text}");
}

fn cannot_run(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("NOT TESTED: {why}");
}

fn tester() -> Option<(u32, u32)> {
    let ids = || {
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        let line = passwd.lines().find(|line| line.starts_with("tester:"))?.to_owned();
        let mut fields = line.split(':').skip(2).map(|id| id.parse().unwrap());
        Some((fields.next()?, fields.next()?))
    };
    // Another test may be making it at the same time.
    (0..20).find_map(|_| {
        ids().or_else(|| {
            let _ = Command::new("useradd").args(["-m", "tester"]).output();
            ids()
        })
    })
}

/// A small image, and a sandbox to run it in.
pub struct Lab {
    pub isolation: Isolation,
    pub sandbox: Sandbox,
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Lab {
        let isolation = ISOLATION.get().unwrap().as_ref().unwrap().clone();
        let sandbox = Sandbox::start(&isolation).unwrap();
        let lab = Lab { isolation, sandbox, folder: tempfile::tempdir().unwrap() };
        for folder in ["base/bin", "upper", "work"] {
            std::fs::create_dir_all(lab.path(folder)).unwrap();
        }
        std::fs::copy("/bin/busybox", lab.path("base/bin/busybox")).unwrap();
        for name in APPLETS.split_whitespace() {
            symlink("busybox", lab.path("base/bin").join(name)).unwrap();
        }
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a file to the image.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path("base").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A script for a fresh upper directory.
    pub fn spec(&self, script: &str) -> Spec {
        for folder in ["upper", "work"] {
            let _ = std::fs::remove_dir_all(self.path(folder));
            std::fs::create_dir(self.path(folder)).unwrap();
        }
        Spec {
            root: Root::Overlay {
                lowers: vec![self.path("base")],
                upper: self.path("upper"),
                work: self.path("work"),
            },
            args: ["sh", "-c", script].map(String::from).to_vec(),
            env: Vec::new(),
            cwd: "/".into(),
            user: String::new(),
            hostname: "buildkitsandbox".into(),
            network: Network::None,
            extra_hosts: Vec::new(),
            mounts: Vec::new(),
            stdio: Stdio::Piped,
        }
    }

    pub fn try_run(&self, spec: &Spec) -> Result<(Exit, String), SandboxError> {
        let mut output = Vec::new();
        let exit =
            self.sandbox.run(spec, &mut |bytes| output.extend_from_slice(bytes), &Cancel::new())?;
        Ok((exit, String::from_utf8_lossy(&output).into_owned()))
    }

    /// What a step prints that must succeed.
    pub fn run(&self, spec: &Spec) -> String {
        match self.try_run(spec) {
            Ok((Exit::Code(0), output)) => output,
            other => panic!("{other:?}"),
        }
    }

    /// What a script prints that must succeed.
    pub fn sh(&self, script: &str) -> String {
        self.run(&self.spec(script))
    }

    /// Everything in the upper directory, as paths.
    pub fn changes(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.path("upper"), Path::new(""), &mut found);
        found.sort();
        found
    }
}

fn list(folder: &Path, name: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = name.join(entry.file_name());
        found.push(name.display().to_string());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &name, found);
        }
    }
}

const APPLETS: &str = "sh true false echo cat ls id env pwd mkdir rm rmdir touch stat mount umount \
    ps kill sleep hostname mknod chmod chown ln readlink dd wget nslookup ip ifconfig chroot grep \
    wc find tty stty date mv cp head seq setsid nohup printf test yes od unshare sync df";
