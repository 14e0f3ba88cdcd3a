//! The files of an image as GNU tar lists them: somebody else's reading of types, modes and owners.

use std::path::PathBuf;
use std::process::Command;

use crate::system::tool;
use crate::{Context, Run, World};

/// What `tar` says of an image's root file system.
#[derive(Debug)]
pub struct Listing {
    archive: PathBuf,
    lines: Vec<String>,
}

impl Listing {
    /// Builds a context with further flags, and lists what came out.
    #[track_caller]
    pub fn of(world: &World, context: &Context, flags: &[&str]) -> Listing {
        let archive = context.path().with_extension("listed.tar");
        let to = format!("type=tar,dest={}", archive.display());
        world.build(&[&["-o", &to], flags, &[context.arg()]].concat()).ok();
        let mut list = Command::new("tar");
        list.args(["--numeric-owner", "--full-time", "-tvf"]).arg(&archive);
        let lines = tool(&mut list).ok().stdout.lines().map(line).collect();
        Listing { archive, lines }
    }

    /// The line of a path: type and mode, owner and group, size, name, and where a link leads. The
    /// size of what is not a file is 0.
    #[track_caller]
    pub fn line(&self, path: &str) -> &str {
        let of = |line: &&String| {
            let name = line.split(' ').nth(3).unwrap_or_default();
            name.trim_end_matches('/') == path
        };
        self.lines.iter().find(of).unwrap_or_else(|| panic!("no `{path}` in {:#?}", self.lines))
    }

    /// All paths, in the order of the archive; folders end with `/`.
    pub fn paths(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.split(' ').nth(3)).collect()
    }

    /// The paths below a folder, without its name.
    pub fn below(&self, folder: &str) -> Vec<&str> {
        let prefix = format!("{folder}/");
        let inside = self.paths().into_iter().filter_map(|path| path.strip_prefix(&prefix));
        inside.filter(|path| !path.is_empty()).collect()
    }

    /// What a file holds.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        let run: Run = tool(Command::new("tar").arg("-xOf").arg(&self.archive).arg(path));
        run.ok().stdout
    }
}

/// Without the time, with single blanks.
fn line(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    [&words[..3], &words[5..]].concat().join(" ")
}
