//! One run of a builder on a case: a folder with the context, and the archive that it writes.

use std::path::PathBuf;
use std::process::Command;

use e2e::Run;
use e2e::system::tool;
use tempfile::TempDir;

use crate::base::Base;
use crate::case::Case;
use crate::image;
use crate::outcome::Image;

/// A case, laid out on disk.
pub struct Laid<'a> {
    case: &'a Case,
    folder: TempDir,
}

impl<'a> Laid<'a> {
    /// Lays it out.
    pub fn new(case: &'a Case) -> Laid<'a> {
        let folder = tempfile::Builder::new().prefix("conformance.").tempdir().unwrap();
        case.lay(&folder.path().join("context"));
        Laid { case, folder }
    }

    /// Runs a builder, called up to and including its `build`.
    pub fn run(&self, mut command: Command) -> Run {
        command.current_dir(self.folder.path()).envs(&self.case.env);
        command.args(["--progress", "plain", "--network", "host"]);
        command.arg("-o").arg(format!("type=oci,dest={}", self.archive().display()));
        tool(command.args(self.case.arguments()).arg("context"))
    }

    /// The image that it made.
    pub fn image(&self, bases: &[Base]) -> Image {
        image::read(&self.archive(), bases, self.case)
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("image.tar")
    }
}
