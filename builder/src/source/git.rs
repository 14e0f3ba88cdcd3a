//! Git repositories: which commit a ref names, and the files of a commit.
//!
//! What is fetched stays in a bare mirror in the store, one for each repository, with nothing but
//! the commits that were asked for. From there a commit is checked out into a temporary folder, so
//! that line ends and submodules are what git makes of them, and read once.

mod command;
mod output;
mod refs;
mod refusal;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rbuild_cache::{ClaimError, ContentDigest, FsError, KeyLock, Scratch, Store};
use rbuild_frontend::address::redacted;
use rbuild_solver::op::{GitDir, GitOp, GitTimes, Submodules};
use rbuild_solver::worker::Cancel;

use self::command::{From, Runner};
use self::refs::{Found, is_commit};
use super::auth::{self, Access, AuthError};
use super::limits::{BYTES, IDLE, Limits, SECONDS};
use crate::given::Given;

/// Why there is no commit.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git`.
    #[error("git repositories need the program `git`, which is not installed")]
    Missing,
    /// It could not be run.
    #[error("cannot run `git`")]
    Wait(#[source] io::Error),
    /// It failed.
    #[error("git {verb} failed: {said}")]
    Failed {
        /// What it did.
        verb: String,
        /// What it said.
        said: String,
    },
    /// The server does not let this user in.
    #[error("`{remote}` cannot be read: {reason}")]
    Refused {
        /// The repository, without name and password.
        remote: String,
        /// What the server or ssh wants.
        reason: &'static str,
        /// What the user can do.
        help: String,
    },
    /// What it needs to be let in cannot be had.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// It took too long.
    #[error("git takes longer than {} seconds", .0.as_secs())]
    Slow(Duration),
    /// The server was silent for too long.
    #[error("git said nothing for {} seconds: the server may have gone silent", .0.as_secs_f64())]
    Silent(Duration),
    /// It prints without end.
    #[error("git prints more than {0} bytes: the repository may have too many refs")]
    Endless(usize),
    /// There is more than anybody wants.
    #[error("the repository has more than {0} bytes")]
    Large(u64),
    /// There are more files than anybody wants.
    #[error("the repository has more than {0} files")]
    Files(u64),
    /// The user ended the build.
    #[error("interrupted")]
    Interrupted,
    /// The repository has no such ref.
    #[error("`{remote}` has no branch, tag or ref `{reference}`")]
    NoRef {
        /// The repository.
        remote: String,
        /// The ref.
        reference: String,
    },
    /// The repository has no commits.
    #[error("`{0}` has no default branch: it may be empty")]
    NoHead(String),
    /// The ref names another commit.
    #[error("`{remote}` is at commit {found}, expected {expected}")]
    Checksum {
        /// The repository.
        remote: String,
        /// What was asked for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The mirror could not be locked.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] FsError),
    /// The disk, in a checkout.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A commit's files on disk, for as long as its folder is there.
#[derive(Debug)]
pub struct Checkout {
    /// The folder, with `.git` in it.
    pub path: PathBuf,
    /// When the commit was made, seconds since 1970.
    pub committed: i64,
}

/// Finds and fetches commits.
#[derive(Debug)]
pub struct Git<'a> {
    store: &'a Store,
    cancel: &'a Cancel,
    limits: &'a Limits,
    given: &'a Given,
    runner: Runner,
}

impl<'a> Git<'a> {
    /// For one operation.
    pub fn new(
        store: &'a Store,
        limits: &'a Limits,
        given: &'a Given,
        cancel: &'a Cancel,
    ) -> Git<'a> {
        Git { store, cancel, limits, given, runner: Runner::new(limits, cancel) }
    }

    /// The op with the commit that it names now, and the whole name of its ref. Only a whole
    /// commit id needs no asking.
    pub fn pin(&self, op: &GitOp) -> Result<GitOp, GitError> {
        let found = match op.reference.as_deref().filter(|reference| is_commit(reference)) {
            Some(commit) => Found { commit: commit.to_owned(), name: commit.to_owned() },
            None => self.ask(op)?,
        };
        match op.checksum.as_ref().filter(|sum| !found.commit.starts_with(sum.as_str())) {
            None => {
                Ok(GitOp { commit: Some(found.commit), reference: Some(found.name), ..op.clone() })
            }
            Some(expected) => Err(GitError::Checksum {
                remote: redacted(&op.remote),
                expected: expected.clone(),
                found: found.commit,
            }),
        }
    }

    /// Checks a commit out below `scratch`, submodules included if they are wanted.
    pub fn check_out(&self, op: &GitOp, scratch: &Scratch) -> Result<Checkout, GitError> {
        let op = &match op.commit {
            Some(_) => op.clone(),
            None => self.pin(op)?,
        };
        let commit = op.commit.clone().unwrap_or_default();
        let access = auth::of_repository(self.given, &op.remote)?;
        let format = refs::format(&commit);
        let (mirror, _lock) = self.mirror(&access.remote, format)?;
        self.fetch(op, &access, &commit, &mirror)?;
        let path = scratch.path().join("checkout");
        let work = path.display().to_string();
        self.local(scratch.path(), &["init", "--quiet", format, "--", &work])?;
        let mirror = mirror.display().to_string();
        self.local(&path, &["fetch", "--quiet", "--depth=1", "--no-tags", "--", &mirror, &commit])?;
        let mut held = self.local(&path, &["ls-tree", "-r", "-l", "-z", &commit])?;
        self.check_size(&held)?;
        self.local(&path, &["checkout", "--quiet", "--force", "--detach", &commit])?;
        let time = self.local(&path, &["log", "-1", "--format=%ct", &commit])?;
        let committed = String::from_utf8_lossy(&time).trim().parse().unwrap_or_default();
        self.local(&path, &["remote", "add", "origin", &access.remote])?;
        if op.submodules == Submodules::Included && path.join(".gitmodules").exists() {
            let update =
                ["submodule", "update", "--init", "--recursive", "--depth=1", "--progress"];
            self.runner.run(&path, From::Network(&access), &update)?;
            let each = ["submodule", "--quiet", "foreach", "--recursive", "git ls-tree -rlz HEAD"];
            held.extend(self.local(&path, &each)?);
            self.check_size(&held)?;
        }
        match &op.git_dir {
            GitDir::Kept { remote, .. } => self.normalise(&path, remote, &commit)?,
            GitDir::Dropped => remove(&path.join(".git"))?,
        }
        Ok(Checkout { path, committed })
    }

    /// Asks the repository what a ref names.
    fn ask(&self, op: &GitOp) -> Result<Found, GitError> {
        let folder = std::env::temp_dir();
        let peeled = op.reference.as_ref().map(|reference| format!("{reference}^{{}}"));
        let access = auth::of_repository(self.given, &op.remote)?;
        let mut args = vec!["ls-remote", "--", &access.remote];
        match (&op.reference, &peeled) {
            (Some(reference), Some(peeled)) => args.extend([reference.as_str(), peeled]),
            _ => args.push("HEAD"),
        }
        let lines = self.runner.run(&folder, From::Network(&access), &args)?;
        let lines = String::from_utf8_lossy(&lines);
        let remote = || redacted(&op.remote);
        refs::find(&lines, op.reference.as_deref()).ok_or_else(|| match &op.reference {
            None => GitError::NoHead(remote()),
            Some(reference) => GitError::NoRef { remote: remote(), reference: reference.clone() },
        })
    }

    /// The mirror of a repository, with the lock on it.
    fn mirror(&self, remote: &str, format: &str) -> Result<(PathBuf, KeyLock), GitError> {
        let name = ContentDigest::of(format!("{format} {remote}").as_bytes());
        let key = format!("git-{}", name.hex());
        let lock = self.store.claim(&key, &|| self.cancel.is_cancelled())?;
        let path = self.store.git_mirror(&name)?;
        if !path.join("HEAD").exists() {
            self.local(&path, &["init", "--quiet", "--bare", format, "."])?;
        }
        Ok((path, lock))
    }

    /// Brings a commit into the mirror: as the tip of its ref, by its id where the server allows
    /// that, or else with everything that the server has.
    fn fetch(
        &self,
        op: &GitOp,
        access: &Access,
        commit: &str,
        mirror: &Path,
    ) -> Result<(), GitError> {
        if self.has(mirror, commit) {
            return Ok(());
        }
        let to = format!("refs/rbuild/{commit}");
        let full = op.reference.as_ref().filter(|reference| reference.starts_with("refs/"));
        let by_ref = full.map(|reference| format!("+{reference}:{to}"));
        let by_id = format!("+{commit}:{to}");
        let shallow = ["fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--depth=1"];
        for what in by_ref.iter().chain([&by_id]) {
            let args = [&shallow[..], &["--", &access.remote, what]].concat();
            match self.runner.run(mirror, From::Network(access), &args) {
                Ok(_) if self.has(mirror, commit) => return Ok(()),
                Ok(_) | Err(GitError::Failed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let deepen: &[&str] = if mirror.join("shallow").exists() { &["--unshallow"] } else { &[] };
        let everything = ["--", &access.remote, "+refs/*:refs/everything/*"];
        let args = [&shallow[..4], deepen, &everything].concat();
        self.runner.run(mirror, From::Network(access), &args)?;
        match self.has(mirror, commit) {
            true => Ok(()),
            false => {
                Err(GitError::NoRef { remote: redacted(&op.remote), reference: commit.to_owned() })
            }
        }
    }

    fn has(&self, mirror: &Path, commit: &str) -> bool {
        let what = format!("{commit}^{{commit}}");
        self.local(mirror, &["cat-file", "-e", &what]).is_ok()
    }

    /// Counts what git lists: of a repository before it is written. Submodules can only be fetched
    /// and written in one; each of their files has its limit then.
    fn check_size(&self, tree: &[u8]) -> Result<(), GitError> {
        let (mut files, mut bytes) = (0, 0_u64);
        for line in tree.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            files += 1;
            let line = String::from_utf8_lossy(line);
            let size = line.split('\t').next().and_then(|start| start.split(' ').next_back());
            bytes = bytes.saturating_add(size.and_then(|size| size.parse().ok()).unwrap_or(0));
        }
        match () {
            () if bytes > self.limits.bytes => Err(GitError::Large(self.limits.bytes)),
            () if files > self.limits.files => Err(GitError::Files(self.limits.files)),
            () => Ok(()),
        }
    }

    /// Makes a repository that is kept the same whenever it is fetched: what it holds is packed
    /// anew, and what only tells when and where from is removed.
    fn normalise(&self, work: &Path, remote: &str, commit: &str) -> Result<(), GitError> {
        self.local(work, &["remote", "set-url", "origin", remote])?;
        let git = work.join(".git");
        self.normalise_folder(&git, commit)?;
        for module in modules(&git.join("modules")) {
            self.normalise_folder(&module, "HEAD")?;
        }
        Ok(())
    }

    fn normalise_folder(&self, git: &Path, commit: &str) -> Result<(), GitError> {
        let dir = format!("--git-dir={}", git.display());
        self.local(git, &[&dir, "repack", "-a", "-d", "-f", "--quiet"])?;
        for leftover in ["logs", "FETCH_HEAD", "ORIG_HEAD", "hooks", "branches", "index"] {
            remove(&git.join(leftover))?;
        }
        // An index made from the commit alone knows no times of files.
        self.local(git, &[&dir, "read-tree", commit]).map(drop)
    }

    fn local(&self, folder: &Path, args: &[&str]) -> Result<Vec<u8>, GitError> {
        self.runner.run(folder, From::Mirror, args)
    }
}

impl Checkout {
    /// The time that all files get.
    pub fn time(&self, op: &GitOp, now: (i64, u32)) -> (i64, u32) {
        match op.times {
            GitTimes::Checkout => now,
            GitTimes::Commit => (self.committed, 0),
        }
    }
}

impl GitError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            GitError::Missing => Some("install it: `apt-get install git`".to_owned()),
            GitError::Large(_) => Some(format!("{BYTES} sets the limit, in bytes")),
            GitError::Slow(_) => Some(format!("{SECONDS} sets the limit, in seconds")),
            GitError::Silent(_) => Some(format!("{IDLE} sets the limit, in seconds")),
            GitError::Refused { help, .. } => Some(help.clone()),
            GitError::Auth(error) => error.help(),
            GitError::NoRef { reference, .. } if refs::looks_short(reference) => {
                Some("a commit is named by its whole id".to_owned())
            }
            _ => None,
        }
    }
}

/// The repositories of submodules, also of those of submodules.
fn modules(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        match path.join("HEAD").is_file() {
            true => {
                found.extend(modules(&path.join("modules")));
                found.push(path);
            }
            false => found.extend(modules(&path)),
        }
    }
    found
}

fn remove(path: &Path) -> Result<(), GitError> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(GitError::Write { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
