//! Who runs rbuild: root, and an ordinary user who has a range of ids.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A user of this machine.
#[derive(Debug, Clone)]
pub struct User {
    /// Its name, also in messages.
    pub name: String,
    /// Its ids.
    pub uid: u32,
    /// Its main group.
    pub gid: u32,
}

impl User {
    /// Root.
    pub fn root() -> Result<User, String> {
        match rustix::process::geteuid().is_root() {
            true => Ok(User { name: "root".into(), uid: 0, gid: 0 }),
            false => Err("the end-to-end tests start as root".into()),
        }
    }

    /// The user that `scripts/setup.sh --tests` makes.
    pub fn ordinary() -> Result<User, String> {
        User::root()?;
        let name = std::env::var("RBUILD_TEST_USER").unwrap_or_else(|_| "tester".into());
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name.as_str()));
        let Some(line) = line else { return Err(format!("there is no user `{name}`")) };
        let id = |field: usize| line.split(':').nth(field).unwrap().parse().unwrap();
        Ok(User { uid: id(2), gid: id(3), name })
    }

    /// Whether it is root.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Lets a command run as this user.
    pub fn become_in(&self, command: &mut Command) {
        if !self.is_root() {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Gives a path and everything below it to this user.
    pub fn own(&self, path: &Path) {
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid)).unwrap();
        if path.is_dir() && !path.is_symlink() {
            for entry in fs::read_dir(path).unwrap() {
                self.own(&entry.unwrap().path());
            }
        }
    }
}
