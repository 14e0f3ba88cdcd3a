//! Runs `git`, which is not ours: with an environment and settings of our own, with limits, and
//! never asking anybody.
//!
//! What a repository says must not become a program: no hooks, no filters (nothing configures
//! any), no settings of the user or the system, and only these protocols: `http`, `https`, `ssh`
//! and `git`, also for submodules. `ext::` and the like are refused by git itself then.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rbuild_solver::worker::Cancel;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};

use super::output::{MAX_RESULT, Output, Signs, said};
use super::{GitError, refusal};
use crate::source::auth::Access;
use crate::source::limits::Limits;

/// Runs `git` until a given time.
#[derive(Debug)]
pub struct Runner {
    /// One end for all commands of an operation.
    end: Instant,
    limits: Limits,
    cancel: Cancel,
}

/// Where repositories may come from.
#[derive(Debug, Clone, Copy)]
pub enum From<'a> {
    /// Other machines.
    Network(&'a Access),
    /// A mirror of ours.
    Mirror,
}

impl From<'_> {
    fn is_network(self) -> bool {
        matches!(self, From::Network(_))
    }
}

/// Settings for every command.
const SETTINGS: [&str; 17] = [
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.symlinks=true",
    "core.askPass=",
    "credential.helper=",
    "init.templateDir=",
    "init.defaultBranch=main",
    "advice.detachedHead=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=1",
    "protocol.version=2",
    "http.lowSpeedLimit=1",
    "user.useConfigOnly=true",
];

/// What of our environment git may see.
const PASSED: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "RES_OPTIONS",
];

/// How often to look whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);

impl Runner {
    /// For one operation.
    pub fn new(limits: &Limits, cancel: &Cancel) -> Runner {
        Runner {
            end: Instant::now() + limits.total,
            limits: limits.clone(),
            cancel: cancel.clone(),
        }
    }

    /// Runs `git` with these arguments in a folder; gives what it prints.
    ///
    /// # Errors
    /// What it said, if it failed; or that it took too long or said nothing for too long, and then
    /// it is gone with all that it started.
    pub fn run(&self, folder: &Path, from: From<'_>, args: &[&str]) -> Result<Vec<u8>, GitError> {
        let mut child = self.command(folder, from, args).spawn().map_err(missing)?;
        let signs = Signs::new();
        let result = Output::result(child.stdout.take(), &signs);
        let messages = Output::messages(child.stderr.take(), &signs);
        self.restrict(&child);
        let status = self.wait(&mut child, from, &signs);
        // What it may have left behind would keep the pipes open.
        end(&child);
        let (result, messages) = (result.all(), messages.all());
        match status? {
            status if status.success() => Ok(result),
            status => Err(self.failed(from, args, status, &messages)),
        }
    }

    fn command(&self, folder: &Path, from: From<'_>, args: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.env_clear();
        git.envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let protocols = match from {
            From::Network(_) => "http:https:ssh:git",
            From::Mirror => "file",
        };
        git.envs([
            ("LC_ALL", "C"),
            ("GIT_ALLOW_PROTOCOL", protocols),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            // Whoever says nothing is given up, so it has to say that it gets on.
            ("GIT_PROGRESS_DELAY", "0"),
        ]);
        git.env("GIT_SSH_COMMAND", ssh(&self.limits));
        if let From::Network(access) = from {
            git.envs(access.environment.iter().map(|(name, value)| (name, value)));
        }
        git.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        git.args(["-c", &format!("http.lowSpeedTime={}", self.limits.idle.as_secs().max(1))]);
        git.args(args).current_dir(folder).process_group(0);
        git.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        git
    }

    /// No file that it writes is larger than everything may be.
    fn restrict(&self, child: &Child) {
        let limit = Rlimit { current: Some(self.limits.bytes), maximum: Some(self.limits.bytes) };
        // Where this is not allowed, the sum is still checked before anything is checked out.
        let _ = prlimit(pid(child), Resource::Fsize, limit);
    }

    fn wait(
        &self,
        child: &mut Child,
        from: From<'_>,
        signs: &Signs,
    ) -> Result<ExitStatus, GitError> {
        loop {
            if let Some(status) = child.try_wait().map_err(GitError::Wait)? {
                return Ok(status);
            }
            if let Some(error) = self.over(from, signs) {
                end(child);
                let _ = child.wait();
                return Err(error);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Why it may go on no longer.
    fn over(&self, from: From<'_>, signs: &Signs) -> Option<GitError> {
        let is_silent = from.is_network() && signs.silence() > self.limits.idle;
        match () {
            () if self.cancel.is_cancelled() => Some(GitError::Interrupted),
            () if Instant::now() > self.end => Some(GitError::Slow(self.limits.total)),
            () if is_silent => Some(GitError::Silent(self.limits.idle)),
            () if signs.is_endless() => Some(GitError::Endless(MAX_RESULT)),
            () => None,
        }
    }

    fn failed(
        &self,
        from: From<'_>,
        args: &[&str],
        status: ExitStatus,
        messages: &[u8],
    ) -> GitError {
        const SIGXFSZ: i32 = 25;
        let said = said(messages);
        if status.signal() == Some(SIGXFSZ) || said.contains("File too large") {
            return GitError::Large(self.limits.bytes);
        }
        let refused = match from {
            From::Network(access) => refusal::of(&said, access),
            From::Mirror => None,
        };
        let verb = args.iter().find(|arg| !arg.starts_with('-')).copied().unwrap_or_default();
        refused.unwrap_or_else(|| GitError::Failed { verb: verb.to_owned(), said })
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Ends git and what it started, which is in its process group.
fn end(child: &Child) {
    if let Some(group) = pid(child) {
        // It may be gone already.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn missing(error: io::Error) -> GitError {
    match error.kind() {
        io::ErrorKind::NotFound => GitError::Missing,
        _ => GitError::Wait(error),
    }
}

/// ssh that asks nobody. In a user namespace it takes root's home for ours, so it is told where
/// keys and known hosts are.
fn ssh(limits: &Limits) -> OsString {
    let seconds = limits.connect.as_secs().max(1);
    let mut command = OsString::from(format!(
        "ssh -o BatchMode=yes -o ConnectTimeout={seconds} -o ServerAliveInterval={seconds} \
         -o ServerAliveCountMax=4"
    ));
    let Some(home) = std::env::var_os("HOME").map(PathBuf::from) else { return command };
    let folder = home.join(".ssh");
    let mut add = |flag: &str, name: &str| {
        let file = folder.join(name);
        if let Some(path) = file.to_str().filter(|_| file.exists()) {
            command.push(format!(" {flag}'{}'", path.replace('\'', "'\\''")));
        }
    };
    add("-F ", "config");
    add("-o UserKnownHostsFile=", "known_hosts");
    ["id_ed25519", "id_ecdsa", "id_rsa"].iter().for_each(|key| add("-i ", key));
    command
}
