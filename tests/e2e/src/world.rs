//! What one test has for itself: a user, a home, a store, and a mirror of docker.io.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::registry::Registry;
use crate::run::{Run, Started};
use crate::system::{processes_in, rbuild, tool, unfit};
use crate::user::User;

/// How long processes may take to end after rbuild has.
const PATIENCE: Duration = Duration::from_secs(10);

/// The surroundings of one test.
#[derive(Debug)]
pub struct World {
    user: User,
    mirror: Registry,
    binary: PathBuf,
    folder: TempDir,
}

impl World {
    /// Runs a test as a user. Then nothing of it may be left.
    pub fn run(user: Result<User, String>, case: fn(&World)) {
        let user = match unfit().map_or(user, Err) {
            Ok(user) => user,
            Err(why) => return cannot_run(&why),
        };
        let world = World::new(user);
        case(&world);
        world.wait_for_the_last();
    }

    fn new(user: User) -> World {
        let folder = folder();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mirror = Registry::of_bases();
        let binary = reachable(rbuild(), &user, folder.path());
        let world = World { user, mirror, binary, folder };
        fs::set_permissions(world.folder("run"), fs::Permissions::from_mode(0o700)).unwrap();
        world.mirrors(&[&world.mirror.address]);
        world.user.own(world.folder.path());
        world
    }

    /// What a killed process leaves ends by itself, but not at the same moment.
    fn wait_for_the_last(&self) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = processes_in(self.folder.path());
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < give_up, "left behind: {left:#?}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Who runs rbuild here.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The registry that has the bases.
    pub fn mirror(&self) -> &Registry {
        &self.mirror
    }

    /// The first store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A folder of this name, which belongs to the user; made if it is not there.
    pub fn folder(&self, name: &str) -> PathBuf {
        // Tests run builds side by side: the second one waits until the folder is the user's.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.path().join(name);
        if !path.exists() {
            fs::create_dir(&path).unwrap();
            self.user.own(&path);
        }
        path
    }

    /// Sets the mirrors of docker.io.
    pub fn mirrors(&self, mirrors: &[&str]) {
        let text = format!("[registry.\"docker.io\"]\nmirrors = {mirrors:?}\n");
        fs::write(self.folder.path().join("registries.toml"), text).unwrap();
    }

    /// What the user's programs find in their environment; nothing of this machine's is passed on.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("HOME", self.folder("home")),
            ("XDG_RUNTIME_DIR", self.folder("run")),
            ("RBUILD_ROOT", self.store()),
            ("RBUILD_REGISTRIES", self.folder.path().join("registries.toml")),
        ]
    }

    /// rbuild with these arguments, as the user; for what [`World::rbuild`] does not do.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).env_clear().envs(self.environment()).current_dir(self.folder("home"));
        self.user.become_in(&mut command);
        command
    }

    /// Runs rbuild to its end.
    pub fn rbuild(&self, args: &[&str]) -> Run {
        tool(&mut self.command(args))
    }

    /// Runs `rbuild build` to its end, with plain progress.
    pub fn build(&self, args: &[&str]) -> Run {
        tool(&mut self.build_command(args))
    }

    /// `rbuild build` with plain progress.
    pub fn build_command(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["build", "--progress", "plain"]);
        command.args(args);
        command
    }

    /// Starts `rbuild build` with plain progress.
    pub fn start(&self, args: &[&str]) -> Started {
        Started::of(&mut self.build_command(args))
    }
}

/// A folder on a real disk. Its name is in lower case, as podman wants the path of an image.
fn folder() -> TempDir {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let name = format!("rbuild-e2e.{:x}-{now:x}", std::process::id());
    tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir_in("/var/tmp").unwrap()
}

fn cannot_run(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "cannot run: {why}");
    eprintln!("NOT RUN: {why} (see `scripts/setup.sh --tests`)");
}

/// A binary that the user may execute: a copy where a folder above it is closed to others.
fn reachable(binary: PathBuf, user: &User, folder: &Path) -> PathBuf {
    let mut test = Command::new("test");
    test.arg("-x").arg(&binary).current_dir("/");
    user.become_in(&mut test);
    if tool(&mut test).code == 0 {
        return binary;
    }
    let copy = folder.join("rbuild");
    fs::copy(binary, &copy).unwrap();
    copy
}
