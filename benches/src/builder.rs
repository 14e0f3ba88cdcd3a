//! The builders: how each is called, and how it is made to forget.
//!
//! A builder is given as words: the program, and before it whatever it takes to get to it
//! (`nsenter ..`, `ssh ..`, `runuser ..`). How long those take is measured and taken off.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::{Line, MeasureError, measure};
use crate::results::{Participant, Phase, Sample};

/// What a builder's words lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// rbuild, with a store of its own for the run.
    Rbuild,
    /// `docker buildx build`; its daemon's store is everybody's.
    Docker,
    /// `buildah build`, with a storage of its own for the run.
    Buildah,
}

/// Whether a builder may be made to forget what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wipe {
    /// What it has is the run's own, or the user allowed it.
    Allowed,
    /// It holds what others need.
    Forbidden,
}

/// One builder.
#[derive(Debug)]
pub struct Builder {
    /// Its name in the report.
    pub name: &'static str,
    /// Whether `cold` can be measured.
    pub wipe: Wipe,
    /// Seconds that the words before the program take.
    pub entering: f64,
    kind: Kind,
    words: Line,
    /// Where all commands run; contexts are named from here.
    folder: PathBuf,
    /// Where it keeps what it makes, unless a daemon does.
    store: PathBuf,
}

/// How often an empty command is run to see what getting there takes.
const ENTERINGS: usize = 9;

impl Builder {
    /// For these words; none, with the reason, if the program does not answer there.
    pub fn new(
        name: &'static str,
        kind: Kind,
        wipe: Wipe,
        words: &str,
        folder: &Path,
    ) -> Result<Builder, String> {
        let words: Line = words.split_whitespace().map(from_anywhere).collect();
        let home = folder.join("stores").join(name.replace(' ', "-"));
        let store = home.join("store");
        let mut builder =
            Builder { name, kind, wipe, words, folder: folder.to_owned(), store, entering: 0.0 };
        builder
            .make(&home)
            .map_err(|error| format!("cannot make `{}`: {error}", home.display()))?;
        builder.version()?;
        builder.entering = builder.time_to_enter().map_err(|error| error.to_string())?;
        Ok(builder)
    }

    /// The folder of its store. Words before the program may lead to another user.
    fn make(&self, home: &Path) -> io::Result<()> {
        fs::create_dir_all(home)?;
        let mode = if self.prefix().is_empty() { 0o755 } else { 0o1777 };
        fs::set_permissions(home, fs::Permissions::from_mode(mode))
    }

    /// Name and version, for the report.
    pub fn participant(&self) -> Participant {
        let version = self.version().unwrap_or_default();
        Participant { name: self.name.to_owned(), version }
    }

    /// Builds one context of the folder.
    pub fn build(&self, context: &str, phase: Phase) -> Result<Sample, MeasureError> {
        let lines = self.lines(context, phase);
        let measured = self.timed(&lines);
        if phase == Phase::Tar {
            // It is as large as the image. One that is not there was not made.
            let _ = fs::remove_file(self.folder.join(self.archive()));
        }
        measured
    }

    /// Runs a command in the image that was built of a context.
    pub fn run(&self, context: &str, command: &str) -> Result<Sample, MeasureError> {
        let line = self.call(&match self.kind {
            Kind::Rbuild => format!("run --network=host bench-{context} {command}"),
            Kind::Docker => format!("run --rm --network=host bench-{context} {command}"),
            Kind::Buildah => return Err(MeasureError::Unable("it runs no images")),
        });
        self.timed(&[line])
    }

    /// Forgets images, layers and cached steps.
    pub fn forget(&self) -> Result<(), MeasureError> {
        let store = self.store.display().to_string();
        let lines = match self.kind {
            // Some files of a user's store belong to ids that only its namespace has.
            Kind::Rbuild if self.prefix().is_empty() => vec![line(&["rm", "-rf", &store])],
            Kind::Rbuild => {
                vec![self.beside(&format!("unshare --map-auto --map-root-user rm -rf {store}"))]
            }
            Kind::Docker => {
                vec![
                    self.call("system prune --all --force"),
                    self.call("builder prune --all --force"),
                ]
            }
            Kind::Buildah => vec![self.call("rmi --all --force")],
        };
        measure(&lines, &self.folder, &[]).map(drop)
    }

    fn timed(&self, lines: &[Line]) -> Result<Sample, MeasureError> {
        let mut sample = measure(lines, &self.folder, &[("RBUILD_ROOT", &self.store)])?;
        let entering = self.entering * lines.len() as f64;
        sample.seconds = (sample.seconds - entering).max(0.0);
        Ok(sample)
    }

    fn lines(&self, context: &str, phase: Phase) -> Vec<Line> {
        let name = format!("bench-{context}");
        let archive = (phase == Phase::Tar).then(|| self.archive());
        let cache = match phase {
            Phase::Nocache | Phase::Tar => " --no-cache",
            Phase::Cold | Phase::Noop | Phase::Touch | Phase::Alone => "",
        };
        let build = |target: &str| {
            match self.kind {
            Kind::Rbuild => self.call(&format!("build -q --network=host{cache} {target} {context}")),
            Kind::Docker => {
                self.call(&format!("buildx build -q --network=host{cache} {target} {context}"))
            }
            Kind::Buildah => self.call(&format!(
                "build -q --layers --jobs=0 --network=host --tls-verify=false{cache} {target} {context}"
            )),
        }
        };
        match (self.kind, archive) {
            (_, None) => vec![build(&format!("-t {name}"))],
            (Kind::Rbuild, Some(path)) => {
                vec![build(&format!("-t {name} -o type=oci,dest={path}"))]
            }
            (Kind::Buildah, Some(path)) => vec![build(&format!("-t oci-archive:{path}"))],
            (Kind::Docker, Some(path)) => {
                vec![build(&format!("-t {name}")), self.zipped(&format!("save {name}"), &path)]
            }
        }
    }

    /// The file that the phase `tar` writes.
    fn archive(&self) -> String {
        format!("stores/{}/out.tar", self.name.replace(' ', "-"))
    }

    /// The builder with these arguments.
    fn call(&self, args: &str) -> Line {
        let own = match self.kind {
            Kind::Buildah => {
                let store = self.store.display();
                format!("--storage-driver=overlay --root={store}/root --runroot={store}/run ")
            }
            Kind::Rbuild | Kind::Docker => String::new(),
        };
        let args = own + args;
        self.words.iter().cloned().chain(args.split(' ').map(str::to_owned)).collect()
    }

    /// The same, its output compressed into a file.
    fn zipped(&self, args: &str, path: &str) -> Line {
        let script = line(&["sh", "-c", "out=$1; shift; \"$@\" | gzip >\"$out\"", "sh", path]);
        script.into_iter().chain(self.call(args)).collect()
    }

    /// Another command at the place where the builder is.
    fn beside(&self, command: &str) -> Line {
        self.prefix().iter().cloned().chain(command.split(' ').map(str::to_owned)).collect()
    }

    /// The words before the program.
    fn prefix(&self) -> &[String] {
        let is_program = |word: &String| {
            let name = Path::new(word).file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| ["rbuild", "docker", "buildah"].contains(&name))
        };
        let program = self.words.iter().rposition(is_program);
        &self.words[..program.unwrap_or(self.words.len().saturating_sub(1))]
    }

    /// The median time of a command that does nothing.
    fn time_to_enter(&self) -> Result<f64, MeasureError> {
        if self.prefix().is_empty() {
            return Ok(0.0);
        }
        let empty = [self.beside("true")];
        let time = |_| measure(&empty, &self.folder, &[]).map(|sample| sample.seconds);
        let mut times = (0..ENTERINGS).map(time).collect::<Result<Vec<f64>, _>>()?;
        times.sort_by(f64::total_cmp);
        Ok(times[ENTERINGS / 2])
    }

    fn version(&self) -> Result<String, String> {
        let args = match self.kind {
            Kind::Rbuild | Kind::Buildah => "--version",
            Kind::Docker => "version --format {{.Server.Version}}",
        };
        let line: Line =
            self.words.iter().cloned().chain(args.split(' ').map(str::to_owned)).collect();
        let Some((program, args)) = line.split_first() else {
            return Err("no command is given".into());
        };
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("`{program}`: {error}"))?;
        let text = if output.status.success() { &output.stdout } else { &output.stderr };
        let text = String::from_utf8_lossy(text);
        let said = text.lines().next().unwrap_or_default().to_owned();
        if output.status.success() { Ok(number_in(&said)) } else { Err(said) }
    }
}

/// A path that is given relative to here is wanted elsewhere.
fn from_anywhere(word: &str) -> String {
    let path = std::fs::canonicalize(word).ok().filter(|_| word.contains('/'));
    path.map_or(word.to_owned(), |path| path.display().to_string())
}

/// `28.5.2` of whatever a program says about itself.
fn number_in(said: &str) -> String {
    let starts_with_digit = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    said.split_whitespace().find(starts_with_digit).unwrap_or(said).to_owned()
}

fn line(words: &[&str]) -> Line {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(kind: Kind, words: &str) -> Builder {
        Builder {
            name: "docker",
            wipe: Wipe::Forbidden,
            kind,
            words: words.split(' ').map(str::to_owned).collect(),
            folder: "/work".into(),
            store: "/store".into(),
            entering: 0.0,
        }
    }

    #[test]
    fn what_comes_before_the_program_is_its_prefix() {
        let rows = [
            ("docker", ""),
            ("/usr/bin/docker -H unix:///run/x", ""),
            ("nsenter -m -t 5 docker", "nsenter -m -t 5"),
            ("runuser -u anna -- /opt/rbuild", "runuser -u anna --"),
        ];
        for (words, prefix) in rows {
            let found = builder(Kind::Docker, words).prefix().join(" ");
            assert_eq!(found, prefix, "{words}");
        }
    }

    #[test]
    fn an_archive_of_docker_is_saved_and_compressed() {
        let lines = builder(Kind::Docker, "docker").lines("blob", Phase::Tar);
        let lines: Vec<String> = lines.iter().map(|line| line.join(" ")).collect();
        assert_eq!(lines[0], "docker buildx build -q --network=host --no-cache -t bench-blob blob");
        assert!(
            lines[1].ends_with("sh stores/docker/out.tar docker save bench-blob"),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(number_in("buildah version 1.43.0 (image-spec 1.1)"), "1.43.0");
        assert_eq!(number_in("28.5.2+dfsg4"), "28.5.2+dfsg4");
    }
}
