//! What cases take from elsewhere: the files and repositories of `servers.toml`, behind nginx and
//! `git daemon` on loopback. In cases `{http}` and `{git}` stand for where they are; in what is
//! recorded stand two names, because ports differ from run to run.

use std::path::Path;

use e2e::servers::{Repository, Servers};
use serde::Deserialize;

use crate::case::Case;
use crate::file::{self, File};

/// The names that stand for the addresses in what is recorded.
const HTTP: &str = "http.example";
const GIT: &str = "git.example";

/// The servers, if any case needs them.
#[derive(Debug)]
pub struct Served {
    servers: Option<Servers>,
}

/// `servers.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    /// What nginx serves, below `/`.
    file: Vec<File>,
    /// Repositories, each after those that it has as submodules.
    repository: Vec<Recipe>,
}

/// A repository.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    name: String,
    commit: Vec<Commit>,
}

/// One commit on top of the one before. All have the same author and time, so that their ids are
/// the same wherever the suite runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Commit {
    /// A branch, or the whole name of a ref, to push it to.
    branch: String,
    /// A name that ends with `*` is a file that can be executed.
    #[serde(default)]
    files: Vec<(String, String)>,
    tag: Option<String>,
    /// Paths of submodules and the commits that they are at.
    #[serde(default)]
    submodules: Vec<(String, String)>,
    /// What it has to be.
    id: Option<String>,
}

impl Served {
    /// Starts the servers if one of the cases needs them.
    pub fn for_cases(cases: &[Case]) -> Served {
        let is_needed = cases.iter().any(Case::is_served);
        Served { servers: is_needed.then(start) }
    }

    /// A text of a case with the addresses put in.
    pub fn fill(&self, text: &str) -> String {
        let Some(servers) = &self.servers else { return text.to_owned() };
        let http = format!("http://{}", servers.http);
        text.replace("{http}", &http).replace("{git}", &format!("git://{}", servers.git))
    }

    /// A text of a builder with names in place of addresses.
    pub fn without_ports(&self, text: &str) -> String {
        let Some(servers) = &self.servers else { return text.to_owned() };
        text.replace(&servers.http, HTTP).replace(&servers.git, GIT)
    }
}

fn start() -> Servers {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers.toml");
    let world: World = toml::from_str(&std::fs::read_to_string(world).unwrap()).unwrap();
    let servers = Servers::start();
    let root = servers.file("");
    file::lay(&world.file, &root);
    file::set_times(&root, file::TIME);
    for recipe in &world.repository {
        let repository = servers.repository(&recipe.name);
        recipe.commit.iter().for_each(|commit| push(commit, &repository, &recipe.name));
    }
    servers
}

fn push(commit: &Commit, repository: &Repository, name: &str) {
    for (path, id) in &commit.submodules {
        repository.link(path, id);
    }
    let files: Vec<(&str, &str)> =
        commit.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let id = repository.push(&commit.branch, &files);
    if let Some(expected) = &commit.id {
        assert_eq!(&id, expected, "the commit of `{}` in `{name}`", commit.branch);
    }
    if let Some(tag) = &commit.tag {
        repository.tag(tag);
    }
}
