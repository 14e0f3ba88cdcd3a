//! Resource limits of a step (`setrlimit(2)`), by docker's names.

use rbuild_solver::op::{Resources, Ulimit};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::error::Failure;

const RESOURCES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// The names of limits that can be set.
pub fn names() -> impl Iterator<Item = &'static str> {
    RESOURCES.iter().map(|(name, _)| *name)
}

/// Sets the limits of this process and of all that it starts.
pub fn set(resources: &Resources) -> Result<(), Failure> {
    for Ulimit { name, soft, hard } in &resources.ulimits {
        let limit = Rlimit { current: *soft, maximum: *hard };
        let known = RESOURCES.iter().find(|(known, _)| known == name);
        let done = known.ok_or(Errno::INVAL).and_then(|(_, one)| setrlimit(*one, limit));
        done.map_err(|errno| {
            let failure = Failure::setup(format!("set the limit `{name}`"), errno);
            match errno {
                Errno::PERM => failure.or_help(
                    "only root can raise a limit above the one that rbuild was started with",
                ),
                _ => failure,
            }
        })?;
    }
    Ok(())
}
