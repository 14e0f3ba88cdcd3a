//! One run of a builder on a case: a folder with the context, and the archive that it writes.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use e2e::Run;
use tempfile::TempDir;

use crate::base::Bases;
use crate::case::Case;
use crate::file::File;
use crate::image;
use crate::outcome::Image;
use crate::servers::Served;

/// A case, laid out on disk.
pub struct Laid<'a> {
    case: &'a Case,
    served: &'a Served,
    folder: TempDir,
    /// Sockets beside the context, which take connections and say nothing.
    _sockets: Vec<UnixListener>,
}

impl<'a> Laid<'a> {
    /// Lays it out.
    pub fn new(case: &'a Case, bases: &Bases, served: &'a Served) -> Laid<'a> {
        let folder = tempfile::Builder::new().prefix("conformance.").tempdir().unwrap();
        case.lay(folder.path());
        for name in &case.layouts {
            bases.layout(name, folder.path());
        }
        let sockets = case.beside.iter().filter(|file| file.kind.as_deref() == Some("socket"));
        let listen = |file: &File| {
            let path = folder.path().join(&file.path);
            fs::remove_file(&path).unwrap();
            UnixListener::bind(path).unwrap()
        };
        let sockets = sockets.map(listen).collect();
        Laid { case, served, folder, _sockets: sockets }
    }

    /// Runs a builder, called up to and including its `build`.
    pub fn run(&self, mut command: Command) -> Run {
        command.current_dir(self.folder.path()).envs(&self.case.env);
        command.args(["--progress", "plain", "--network", "host"]);
        command.arg("-o").arg(format!("type=oci,dest={}", self.archive().display()));
        let arguments = self.case.arguments();
        command.args(arguments.iter().map(|argument| self.served.fill(argument)));
        let stdin = self.case.stdin.as_ref();
        let input = stdin.map(|name| fs::read(self.folder.path().join(name)).unwrap());
        Run::of(&mut command, &input.unwrap_or_default())
    }

    /// The image that it made.
    pub fn image(&self, bases: &Bases) -> Image {
        image::read(&self.archive(), bases, self.case, self.served)
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("image.tar")
    }
}
