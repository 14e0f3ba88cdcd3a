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

use rbuild_solver::op::{Network, Resources, Security};
use rbuild_solver::worker::Cancel;

use super::super::enter::EnterError;
use super::super::*;

/// Set for the process in which the body runs.
const MARK: &str = "RBUILD_TEST_ISOLATED";

/// Whose rights a test runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    Root,
    User,
    /// An ordinary user, in a user namespace that somebody else has made, with one id.
    Unshared,
    /// The same with the user's ranges of ids: `podman unshare`.
    Mapped,
    /// Root that may not mount: in an ordinary container.
    Powerless,
}

impl As {
    /// What the test is started by.
    fn wrapper(self) -> &'static [&'static str] {
        match self {
            As::Root | As::User => &[],
            As::Unshared => &["unshare", "--user", "--map-root-user"],
            As::Mapped => &["unshare", "--user", "--map-root-user", "--map-auto"],
            As::Powerless => &["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
        }
    }
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
    run_changed(whom, test, body, |_| {});
}

/// The same, in a process that is started differently. Gives what it said.
pub fn run_changed(whom: As, test: &str, body: fn(&Lab), change: impl Fn(&mut Command)) -> String {
    if std::env::var_os(MARK).is_some() {
        body(&Lab::new());
        return String::new();
    }
    let test = test.split_once("::").unwrap().1;
    let mut command = match whom.wrapper() {
        [] => Command::new("/proc/self/exe"),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(std::env::current_exe().unwrap());
            command
        }
    };
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(MARK, "1");
    if let Err(why) = become_whom(whom, &mut command) {
        cannot_run(why);
        return String::new();
    }
    change(&mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{whom:?}:\n{text}");
    for line in text.lines().filter(|line| line.contains("NOT TESTED")) {
        eprintln!("{line}");
    }
    text.into_owned()
}

fn become_whom(whom: As, command: &mut Command) -> Result<(), &'static str> {
    let is_root = rustix::process::geteuid().is_root();
    match whom {
        As::Root | As::Powerless if is_root => Ok(()),
        As::Root | As::Powerless => Err("not root"),
        As::User | As::Unshared | As::Mapped if !is_root => Ok(()),
        As::User | As::Unshared | As::Mapped => {
            let (uid, gid) = tester().ok_or("there is no user `tester`, and it cannot be made")?;
            command.uid(uid).gid(gid).current_dir("/").env("USER", "tester");
            command.env("HOME", "/").env("TMPDIR", "/tmp");
            Ok(())
        }
    }
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

impl Drop for Lab {
    fn drop(&mut self) {
        // The kernel's own directory in there has no permissions at all.
        for work in ["work/work", "work-2/work"] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            let _ = std::fs::set_permissions(self.path(work), mode);
        }
    }
}

impl Lab {
    fn new() -> Lab {
        let isolation = ISOLATION.get().unwrap().as_ref().unwrap().clone();
        let sandbox = Sandbox::new(&isolation, Entitlement::ALL.to_vec());
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

    /// A script on the image.
    pub fn spec(&self, script: &str) -> Spec {
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
            platform: crate::cli::host_platform(),
            network: Network::None,
            security: Security::Confined,
            resources: Resources::default(),
            limits: Limits::default(),
            extra_hosts: Vec::new(),
            mounts: Vec::new(),
            stdio: Stdio::Piped,
        }
    }

    /// Directories for a second step beside the first.
    pub fn other_root(&self) -> Root {
        Root::Overlay {
            lowers: vec![self.path("base")],
            upper: self.path("upper-2"),
            work: self.path("work-2"),
        }
    }

    /// A mount of something in the lab's folder.
    pub fn bind(&self, name: &str, target: &str, access: Access) -> Mount {
        let kind = MountKind::Bind { source: Source::Path(self.path(name)), access };
        Mount { target: target.into(), kind }
    }

    /// Runs it with an empty upper directory.
    pub fn try_run(&self, spec: &Spec) -> Result<(Exit, String), SandboxError> {
        let (end, output) = self.try_run_whole(spec)?;
        Ok((end.exit, output))
    }

    /// The same, with what it used.
    pub fn try_run_whole(&self, spec: &Spec) -> Result<(End, String), SandboxError> {
        if let Root::Overlay { upper, work, .. } = &spec.root {
            for folder in [upper, work] {
                let _ = std::fs::remove_dir_all(folder);
                std::fs::create_dir(folder).unwrap();
            }
        }
        let mut output = Vec::new();
        let end =
            self.sandbox.run(spec, &mut |bytes| output.extend_from_slice(bytes), &Cancel::new())?;
        Ok((end, String::from_utf8_lossy(&output).into_owned()))
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
    ps kill sleep hostname mknod chmod chown ln readlink dd wget ip ifconfig chroot grep \
    wc find tty stty date mv cp head seq setsid nohup printf test yes od unshare sync df sort cut nc tail tr";
