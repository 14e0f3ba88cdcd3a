//! The ids of a user namespace: which there are, and mapping them.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, getegid, geteuid};

use super::super::error::{Doing, Failure};
use super::super::sys::{self, Forked, Namespaces};
use super::super::wire::{self, Ids};
use super::{EnterError, diagnose};

/// An image uses ids below this, but for very few.
const ENOUGH: u64 = 65_536;

/// A range of the host's ids: the first and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub first: u32,
    pub count: u32,
}

/// A process outside the user namespace to come, that maps its ids.
pub struct Mapper {
    socket: OwnedFd,
    pidfd: OwnedFd,
    uid: u32,
    gid: u32,
}

impl Mapper {
    /// Starts it. Before the user namespace is made, because afterwards there is no way out.
    pub fn fork() -> Result<Mapper, EnterError> {
        let (ours, theirs) = wire::pair().map_err(EnterError::Helper)?;
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let parent = rustix::process::getpid().as_raw_nonzero().get();
        match sys::clone_process(Namespaces(0)).map_err(no_helper)? {
            Forked::Parent(pidfd) => Ok(Mapper { socket: ours, pidfd, uid, gid }),
            Forked::Child => {
                drop(ours);
                // No bytes: the parent gave up.
                if wire::receive(theirs.as_fd()).is_ok_and(|(bytes, _)| !bytes.is_empty()) {
                    let answer = map_ranges(parent, uid, gid).err().unwrap_or_default();
                    let _ = wire::send(theirs.as_fd(), format!("{answer}\n").as_bytes(), &[]);
                }
                sys::exit_now(0)
            }
        }
    }

    /// Lets it map this process, which is in its user namespace now. If there are no ranges, the
    /// one id of this user is mapped, with a notice that says so.
    pub fn map(self) -> Result<(Ids, Option<String>), EnterError> {
        let asked = wire::send(self.socket.as_fd(), b"map", &[]);
        let answer = asked.and_then(|()| wire::receive(self.socket.as_fd()));
        let (bytes, _) = answer.map_err(EnterError::Helper)?;
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        let answer = String::from_utf8_lossy(&bytes);
        match answer.trim() {
            "" if !bytes.is_empty() => Ok((Ids::Full, None)),
            "" => self.map_one("the helper that maps ids was killed"),
            reason => self.map_one(reason),
        }
    }

    fn map_one(&self, reason: &str) -> Result<(Ids, Option<String>), EnterError> {
        write_map("/proc/self/setgroups", "deny")?;
        write_map("/proc/self/uid_map", &format!("0 {} 1", self.uid))?;
        write_map("/proc/self/gid_map", &format!("0 {} 1", self.gid))?;
        Ok((Ids::Single, Some(format!("{reason}; {SINGLE}"))))
    }
}

/// In a container that forbids user namespaces, the system call that starts the helper is missing
/// already, because it could make one.
fn no_helper(errno: Errno) -> EnterError {
    match errno {
        Errno::NOSYS | Errno::PERM => diagnose::refused(errno),
        errno => EnterError::Helper(errno),
    }
}

const SINGLE: &str = "only one user id is available: files of an image that belong to other \
                      users, and USER other than root, do not work";

/// A map that the helper has written already stays.
fn write_map(path: &str, text: &str) -> Result<(), EnterError> {
    let written = |path: &str| std::fs::read_to_string(path).is_ok_and(|map| !map.is_empty());
    if path.ends_with("_map") && written(path) {
        return Ok(());
    }
    match std::fs::write(path, text) {
        Err(source) if source.raw_os_error() == Some(libc::EPERM) && path.ends_with("uid_map") => {
            Err(diagnose::powerless(Errno::PERM))
        }
        // Kernels that cannot deny it need no denial.
        Err(source) if path.ends_with("setgroups") && source.kind() == NOT_FOUND => Ok(()),
        result => result.map_err(|source| EnterError::Map { path: path.into(), source }),
    }
}

const NOT_FOUND: std::io::ErrorKind = std::io::ErrorKind::NotFound;

/// Maps everything that this user may use into the namespace of `pid`, its own id as 0. The error
/// is a sentence for a notice.
fn map_ranges(pid: i32, uid: u32, gid: u32) -> Result<(), String> {
    if uid == 0 {
        return map_as_root(pid);
    }
    let names = names_of(uid);
    let uids = granted("/etc/subuid", &names)?;
    let gids = granted("/etc/subgid", &names)?;
    // At the same time: every build of every user waits for them.
    let calls =
        [Call::start("newuidmap", pid, uid, &uids), Call::start("newgidmap", pid, gid, &gids)];
    calls.map(|call| call?.end()).into_iter().collect()
}

/// The ranges that a subuid file has for this user.
fn granted(file: &str, names: &[String]) -> Result<Vec<Range>, String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let ranges = ranges(&text, names);
    let name = names.first().map_or("this user", String::as_str);
    match ranges.is_empty() {
        false => Ok(ranges),
        true => Err(format!(
            "`{file}` has no range for `{name}` (`usermod --add-subuids 100000-165535 \
             --add-subgids 100000-165535 {name}` as root adds one)"
        )),
    }
}

/// Root without mounting rights, in an ordinary container, may map whatever it has itself.
fn map_as_root(pid: i32) -> Result<(), String> {
    map_same(&pid.to_string()).map_err(|failure| failure.to_string())
}

/// Maps every id that this process has to itself, in the namespace of process `pid`, which is one
/// below.
pub fn map_same(pid: &str) -> Result<(), Failure> {
    for map in ["uid_map", "gid_map"] {
        let own = std::fs::read_to_string(format!("/proc/self/{map}")).unwrap_or_default();
        let lines = own.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (first, count) = (words.next()?, words.nth(1)?);
            Some(format!("{first} {first} {count}\n"))
        });
        let path = format!("/proc/{pid}/{map}");
        let written = std::fs::write(&path, lines.collect::<String>());
        written
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .doing(|| format!("write `{path}`"))?;
    }
    Ok(())
}

/// A running `newuidmap` or `newgidmap`.
struct Call {
    tool: &'static str,
    child: Child,
}

impl Call {
    fn start(tool: &'static str, pid: i32, own: u32, ranges: &[Range]) -> Result<Call, String> {
        let mut command = Command::new(tool);
        command.args([pid.to_string(), "0".into(), own.to_string(), "1".into()]);
        let mut next = 1;
        for range in ranges {
            command.args([next, range.first, range.count].map(|number| number.to_string()));
            next = next.saturating_add(range.count);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => Ok(Call { tool, child }),
            Err(error) if error.kind() == NOT_FOUND => Err(format!(
                "{tool} is not installed (`apt install uidmap`; elsewhere the package is shadow-utils)"
            )),
            Err(error) => Err(format!("cannot run {tool}: {error}")),
        }
    }

    fn end(self) -> Result<(), String> {
        let tool = self.tool;
        match self.child.wait_with_output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
                Err(format!("{tool} failed: {said}"))
            }
            Err(error) => Err(format!("cannot wait for {tool}: {error}")),
        }
    }
}

/// What subuid files may call a user: by name or by number.
fn names_of(uid: u32) -> Vec<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    let named = named.or_else(|| std::env::var("USER").ok());
    named.into_iter().chain([uid.to_string()]).collect()
}

/// The lines of a subuid file for one user: `name:first:count`.
pub fn ranges(text: &str, names: &[String]) -> Vec<Range> {
    let parse = |line: &str| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let range =
            Range { first: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
        (names.iter().any(|n| n == name) && range.count > 0).then_some(range)
    };
    text.lines().filter_map(parse).collect()
}

/// Whether this process is in the user namespace of the host.
pub fn is_host() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The ids that this process has in the namespace it is in.
pub fn present() -> (Ids, Option<String>) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}"));
    let groups = read("setgroups").unwrap_or_default();
    let enough =
        ["uid_map", "gid_map"].iter().all(|name| count(&read(name).unwrap_or_default()) >= ENOUGH);
    match enough && groups.trim() != "deny" {
        true => (Ids::Full, None),
        false => (Ids::Single, Some(format!("this user namespace has few ids; {SINGLE}"))),
    }
}

/// How many ids a map has.
pub fn count(map: &str) -> u64 {
    map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum()
}
