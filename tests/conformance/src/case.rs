//! A case: what it shows, how the builders are called, what stands in the build context.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::file::{self, File};

/// `case.toml`, and where it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `section/name`
    #[serde(skip)]
    pub name: String,
    /// The case's folder.
    #[serde(skip)]
    pub folder: PathBuf,
    /// The time of the files of the context. Each case has its own: Docker takes a file for one
    /// that it has already if name, size and time are the same.
    #[serde(skip)]
    pub time: i64,
    /// What it shows, in one line.
    pub shows: String,
    /// The rows and vectors of the feature table that it covers, such as `A14` and `G16`.
    pub rows: Vec<String>,
    /// What is built: the folder `context` if nothing is said, `-` for what stands on standard
    /// input, or an address.
    #[serde(default = "folder")]
    pub context: String,
    /// The file that is given on standard input, relative to where the builder is called.
    pub stdin: Option<String>,
    /// Files beside the folder `context`, where the builder is called: archives, other contexts.
    #[serde(default)]
    pub beside: Vec<File>,
    /// Bases that lie there as OCI layouts; that of `rich:latest` is `layout-rich`.
    #[serde(default)]
    pub layouts: Vec<String>,
    /// `--build-arg`
    #[serde(default)]
    pub args: Vec<String>,
    /// `--target`
    pub target: Option<String>,
    /// Other flags, which both builders know.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Variables of the builder's own environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files of the build context beside those of the folder `context`.
    #[serde(default)]
    pub files: Vec<File>,
    /// Paths of the image that are not compared, with all below them.
    #[serde(default)]
    pub apart: Vec<String>,
    /// Paths of the image whose modification time is part of the case.
    #[serde(default)]
    pub times: Vec<String>,
    /// Why the recorded Docker cannot tell, where the expectation is written by hand.
    pub expect: Option<String>,
    /// The lines, one of which an error has to name, where Docker names none or another.
    pub lines: Option<Vec<usize>>,
}

impl Case {
    /// The folder of all cases.
    pub fn all_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
    }

    /// The sections, in order.
    pub fn sections() -> Vec<String> {
        names(&Case::all_folder())
    }

    /// The cases of a section, in order.
    pub fn section(section: &str) -> Vec<Case> {
        let folder = Case::all_folder().join(section);
        names(&folder).iter().map(|name| Case::read(&folder.join(name))).collect()
    }

    fn read(folder: &Path) -> Case {
        let path = folder.join("case.toml");
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut case: Case =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        case.name = folder.strip_prefix(Case::all_folder()).unwrap().to_str().unwrap().to_owned();
        case.folder = folder.to_owned();
        let dockerfile = fs::read_to_string(folder.join("Dockerfile")).unwrap_or_default();
        case.time = file::TIME + number_of(&[&case.name, &text, &dockerfile]);
        case
    }

    /// Where the expectation stands.
    pub fn recorded(&self) -> PathBuf {
        self.folder.join("recorded.json")
    }

    /// Whether the servers take part: their addresses stand for `{http}` and `{git}`.
    pub fn is_served(&self) -> bool {
        let texts = [&self.context].into_iter().chain(&self.args).chain(&self.flags);
        texts.into_iter().any(|text| text.contains("{http}") || text.contains("{git}"))
    }

    /// Makes the build context: the Dockerfiles, the files of `context`, those of `case.toml`; and
    /// what lies beside it. Modes and times do not depend on how the repository was checked out.
    pub fn lay(&self, folder: &Path) {
        let context = &folder.join("context");
        fs::create_dir(context).unwrap();
        for entry in fs::read_dir(&self.folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.contains("Dockerfile") {
                copy(&entry.path(), &context.join(name));
            }
        }
        let extra = self.folder.join("context");
        if extra.exists() {
            copy(&extra, context);
        }
        file::lay(&self.files, context);
        file::lay(&self.beside, folder);
        file::set_times(folder, self.time);
    }

    /// The arguments after `build`, which both builders understand, the context last.
    pub fn arguments(&self) -> Vec<String> {
        let args = self.args.iter().flat_map(|arg| ["--build-arg".to_owned(), arg.clone()]);
        let target = self.target.iter().flat_map(|it| ["--target".to_owned(), it.clone()]);
        let flags = self.flags.iter().cloned();
        args.chain(target).chain(flags).chain([self.context.clone()]).collect()
    }
}

fn folder() -> String {
    "context".to_owned()
}

/// A number below 16 million, from SHA-256: the same wherever the suite runs.
fn number_of(text: &[&str]) -> i64 {
    let mut hash = Sha256::new();
    text.iter().for_each(|part| hash.update(part));
    let bytes = hash.finalize();
    i64::from(bytes[0]) << 16 | i64::from(bytes[1]) << 8 | i64::from(bytes[2])
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        file::set_mode(to, 0o755);
    } else {
        fs::write(to, fs::read(from).unwrap()).unwrap();
        file::set_mode(to, 0o644);
    }
}
