//! Build contexts: written by a test, or copied from the examples.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::system::{repository, tool};
use crate::{User, World};

/// A folder that belongs to the test's user.
#[derive(Debug)]
pub struct Context {
    path: PathBuf,
    user: User,
}

impl Context {
    /// A folder `name` with these files.
    pub fn new(world: &World, name: &str, files: &[(&str, &str)]) -> Context {
        let path = world.folder(name);
        let context = Context { path, user: world.user().clone() };
        files.iter().for_each(|(path, text)| context.write(path, text));
        context
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is, as an argument.
    pub fn arg(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Writes a file, with mode 0644 whatever the umask is.
    pub fn write(&self, path: &str, text: &str) {
        let file = self.path.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        self.user.own(&self.path);
    }

    /// Replaces text in a file; it has to be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path.join(path)).unwrap();
        assert!(text.contains(from), "`{path}` does not hold `{from}`");
        self.write(path, &text.replace(from, to));
    }
}

/// A copy of `examples/<name>`.
pub fn example(world: &World, name: &str) -> Context {
    let context = Context::new(world, name, &[]);
    let source = repository().join("examples").join(name).join(".");
    tool(Command::new("cp").arg("-a").arg(source).arg(context.path())).ok();
    context.user.own(context.path());
    context
}
