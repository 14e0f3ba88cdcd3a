//! SSH agents: the user's keys for a step, without the keys.
//!
//! A step never gets the agent's own socket, whose owner and mode are the user's business, but one
//! of ours that passes everything on. Keys in files are given to an `ssh-agent` that lives as long
//! as the step.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rbuild_solver::op::mount::{Need, SshMount};
use rustix::event::{PollFd, PollFlags, poll};
use tempfile::TempDir;

/// The agents that the user gives, by name.
#[derive(Debug, Clone, Default)]
pub struct Agents(BTreeMap<String, AgentSource>);

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentSource {
    /// In an agent that listens here.
    Socket(PathBuf),
    /// In files without a passphrase.
    Keys(Vec<PathBuf>),
}

/// Why a step does not get an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The user gives none of this name.
    #[error("the step needs the SSH agent `{0}`, and none of that name is given")]
    Missing(String),
    /// The socket cannot be made.
    #[error("cannot make a socket for the SSH agent `{id}`")]
    Socket {
        /// The agent's name.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing listens.
    #[error("the SSH agent `{id}` does not answer at `{}`", path.display())]
    Silent {
        /// The agent's name.
        id: String,
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `ssh-agent` does not take the keys.
    #[error("the keys of the SSH agent `{id}` cannot be used: {reason}")]
    Keys {
        /// The agent's name.
        id: String,
        /// What was said about it.
        reason: String,
    },
}

impl AgentError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            AgentError::Missing(id) => Some(format!("give it with `--ssh {id}`")),
            AgentError::Keys { .. } => {
                Some("a key with a passphrase has to be in an agent: `ssh-add FILE`".to_owned())
            }
            AgentError::Socket { .. } | AgentError::Silent { .. } => None,
        }
    }
}

/// Runs an agent for keys in files and says when it is ready. It ends with its input.
const OWN_AGENT: &str = "ssh-add -q -- \"$@\" </dev/null && echo ready && cat >/dev/null; \
     kill \"$SSH_AGENT_PID\"";

/// How long to wait where nobody can be let in.
const PAUSE: Duration = Duration::from_millis(20);

/// A socket that passes everything on to an agent, until it is dropped.
#[derive(Debug)]
pub struct Forward {
    folder: TempDir,
    /// When this is closed, nobody is let in any more.
    open: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    _own: Option<OwnAgent>,
}

/// An agent of ours.
#[derive(Debug)]
struct OwnAgent {
    shell: Child,
    input: Option<ChildStdin>,
    socket: PathBuf,
}

impl Agents {
    /// Adds one; a later one takes the place of an earlier one.
    pub fn add(&mut self, id: String, source: AgentSource) {
        self.0.insert(id, source);
    }

    /// A socket for one step; none if there is no such agent and none is needed.
    pub fn forward(&self, mount: &SshMount) -> Result<Option<Forward>, AgentError> {
        let id = &mount.id;
        let failed = |source| AgentError::Socket { id: id.clone(), source };
        let folder = TempDir::with_prefix("rbuild-ssh-").map_err(failed)?;
        let (agent, own) = match (self.0.get(id), mount.need) {
            (None, Need::Optional) => return Ok(None),
            (None, Need::Required) => return Err(AgentError::Missing(id.clone())),
            (Some(AgentSource::Socket(path)), _) => (path.clone(), None),
            (Some(AgentSource::Keys(keys)), _) => {
                let own = OwnAgent::start(id, keys, &folder.path().join("own"))?;
                (own.socket.clone(), Some(own))
            }
        };
        // Better no step than one that fails with a message of its own program.
        UnixStream::connect(&agent).map_err(|source| AgentError::Silent {
            id: id.clone(),
            path: agent.clone(),
            source,
        })?;
        let (open, thread) = listen(folder.path(), agent, mount).map_err(failed)?;
        Ok(Some(Forward { folder, open: Some(open), thread: Some(thread), _own: own }))
    }
}

impl Forward {
    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent")
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.open = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(
    folder: &Path,
    agent: PathBuf,
    mount: &SshMount,
) -> io::Result<(OwnedFd, JoinHandle<()>)> {
    let path = folder.join("agent");
    let listener = UnixListener::bind(&path)?;
    chown(&path, Some(mount.owner.uid), Some(mount.owner.gid))?;
    std::fs::set_permissions(&path, Permissions::from_mode(mount.owner.mode))?;
    let (closed, open) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let thread = thread::spawn(move || serve(&listener, &closed, &agent));
    Ok((open, thread))
}

/// How many may be let in at once: more than any build of many jobs has, and few enough that a step
/// cannot take all files and threads that we may have.
const MAX_CLIENTS: usize = 128;

/// Lets in whoever comes, until the other end of `closed` is closed.
fn serve(listener: &UnixListener, closed: &OwnedFd, agent: &Path) {
    let clients = Arc::new(());
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::new(closed, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) if fds[1].revents().is_empty() => {}
            Err(rustix::io::Errno::INTR) => continue,
            Ok(_) | Err(_) => return,
        }
        let Ok((client, _)) = listener.accept() else {
            // It stays in the queue, and would be accepted again and again.
            thread::sleep(PAUSE);
            continue;
        };
        if Arc::strong_count(&clients) > MAX_CLIENTS {
            continue;
        }
        if let Ok(agent) = UnixStream::connect(agent) {
            let counted = clients.clone();
            let serve = move || {
                join(client, agent);
                drop(counted);
            };
            // Without a thread the client is turned away.
            let _ = thread::Builder::new().spawn(serve);
        }
    }
}

/// Passes bytes on in both directions.
fn join(client: UnixStream, agent: UnixStream) {
    let (Ok(to_client), Ok(from_agent)) = (client.try_clone(), agent.try_clone()) else { return };
    let back = thread::Builder::new().spawn(move || pass(from_agent, to_client));
    let Ok(back) = back else { return };
    pass(client, agent);
    let _ = back.join();
}

fn pass(mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

impl OwnAgent {
    fn start(id: &str, keys: &[PathBuf], socket: &Path) -> Result<OwnAgent, AgentError> {
        let failed = |reason: String| AgentError::Keys { id: id.to_owned(), reason };
        let mut shell = Command::new("ssh-agent")
            .arg("-a")
            .arg(socket)
            .args(["sh", "-c", OWN_AGENT, "sh"])
            .args(keys)
            // Nobody is there to be asked for a passphrase.
            .envs([("SSH_ASKPASS", "false"), ("SSH_ASKPASS_REQUIRE", "force")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("cannot start `ssh-agent`: {error}")))?;
        let (input, output) = (shell.stdin.take(), shell.stdout.take());
        let mut line = String::new();
        if let Some(output) = output {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        if line != "ready\n" {
            let mut said = String::new();
            if let Some(errors) = &mut shell.stderr {
                let _ = errors.read_to_string(&mut said);
            }
            let _ = shell.wait();
            return Err(failed(said.lines().next().unwrap_or("ssh-add failed").to_owned()));
        }
        Ok(OwnAgent { shell, input, socket: socket.to_owned() })
    }
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(socket: &Path) -> bool {
        let mut client = UnixStream::connect(socket).unwrap();
        let asked = client.write_all(b"hello");
        let mut answer = [0; 5];
        asked.is_ok() && client.read_exact(&mut answer).is_ok() && answer == *b"hello"
    }

    #[test]
    fn a_step_cannot_have_endless_connections() {
        let folder = TempDir::new().unwrap();
        let agent = folder.path().join("echo");
        let echo = UnixListener::bind(&agent).unwrap();
        thread::spawn(move || {
            for client in echo.incoming() {
                let client = client.unwrap();
                let to = client.try_clone().unwrap();
                thread::spawn(move || pass(client, to));
            }
        });
        let socket = folder.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let (closed, open) = rustix::pipe::pipe().unwrap();
        let serving = thread::spawn(move || serve(&listener, &closed, &agent));
        let clients: Vec<UnixStream> =
            (0..MAX_CLIENTS).map(|_| UnixStream::connect(&socket).unwrap()).collect();
        assert!(!answers(&socket));
        drop(clients);
        // Who has gone is noticed a little later.
        while !answers(&socket) {
            thread::sleep(PAUSE);
        }
        drop(open);
        serving.join().unwrap();
    }
}
