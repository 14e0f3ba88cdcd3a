//! The one table of exit codes.
//!
//! | code | meaning | what a script can do |
//! |---|---|---|
//! | 0 | done | go on |
//! | 1 | the build failed: the Dockerfile, a missing file, a step | show it to the author |
//! | 2 | usage: an unknown flag, a bad value | fix the call |
//! | 3 | the machine: store, disk, network, registry, namespaces | look at the machine, try again |
//! | 130 | interrupted: Ctrl-C, SIGTERM, a closed terminal | nothing |
//!
//! `rbuild run` ends with the code of what it ran, or 128 and the signal's number; what goes wrong
//! before that is 125, as with docker.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Success,
    /// The build failed.
    Build,
    /// The call was wrong.
    Usage,
    /// The machine, the network or the store is at fault.
    Machine,
    /// The user ended it.
    Interrupted,
    /// What `rbuild run` ran ended with this code.
    Step(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Success => 0,
            Exit::Build => 1,
            Exit::Usage => 2,
            Exit::Machine => 3,
            Exit::Interrupted => 130,
            Exit::Step(code) => code,
        })
    }
}
