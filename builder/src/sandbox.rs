//! One process in a box: the only place where a build's programs run.
//!
//! No container runtime is involved. What a step costs is one fork of a small process, some thirty
//! mounts and an exec, a few milliseconds together; what it may do is what Docker allows by default.
//!
//! # Who does what
//!
//! ```text
//! rbuild ──enter()──▶ root of its own mounts (and, for an ordinary user, of a user namespace)
//!   │ Sandbox::run(Spec)
//!   ├─the first─▶ server                   `start`: our own program from a read-only mount
//!   │                                      `server`: one thread, forks, waits, kills
//!   │   `parcel` ──ask──▶                    ├─clone3─▶ step     `step`: the order below, then exec
//!   │   `run` ◀─ output, report ─────────────┤
//!   │                                        ├─clone3─▶ keeper   `network`: pasta and its namespace
//!   │                                        └─clone3─▶ keeper   `emulation`: where QEMU is registered
//!   └ drop ▶ the server ends, and with it everything it has forked
//! ```
//!
//! A step's own socket carries all that is said about it: its failures and its terminal come from
//! the step itself, its end from the server, and the wish to end it from the caller, by a word or
//! by closing (`wire`).
//!
//! # A step, in order
//!
//! 1. New namespaces for mounts, processes, System V IPC, host name and cgroups; for the network
//!    either a new one, the build's, or the host's. A control group if there are limits (`group`).
//!    Session, mask and signals as of a new process.
//! 2. The stage (`mounts`): a file system in memory, seen by the preparation only. It has the device
//!    files, the generated files, and *stubs*, which are mount points.
//! 3. The root (`root`): an overlay of the layers, with the stubs below all of them. So a mount point
//!    that the image lacks is there and never gets into the layer; `target` makes, and removes
//!    afterwards, the few that links or deletions in the image hide.
//! 4. `/proc`, `/dev`, `/sys`, `/etc/hosts`, `/etc/resolv.conf`, then what the caller mounts. Every
//!    path that an image chose is opened with `openat2` inside the root, and mounts are made on
//!    descriptors.
//! 5. The standard streams, or a terminal of the sandbox's own (`terminal`).
//! 6. `pivot_root`, and the host's root is gone: it is checked that nothing lies above the new one.
//! 7. The user from the image's passwd (`user`), the working directory, opened inside the root.
//! 8. Where the program is for another machine, the user namespace of its emulator.
//! 9. Docker's capabilities at most (`caps`), its system call filter (`seccomp`), the user's ids.
//! 10. The program (`exec`), or a sentence about why it cannot be started.
//!
//! # What holds
//!
//! - No descriptor of the host is open in the program, except streams the caller lends it.
//! - No device of the host can be opened: of all mounts only the six device files, and the one for
//!   terminals, where none can be made, allow devices.
//! - All processes of a step end with its first, and all steps with the server, and the server with
//!   the builder. Nothing stays mounted: all mounts are in namespaces that end with their processes.
//! - Only `sys` has unsafe code.

mod caps;
mod elf;
mod emulation;
mod enter;
mod error;
mod exec;
mod files;
mod group;
mod limits;
mod mounts;
mod network;
mod parcel;
pub mod probe;
mod root;
mod run;
mod seccomp;
mod server;
mod spec;
mod start;
mod step;
mod sys;
mod target;
mod terminal;
mod user;
mod wire;

pub use enter::{EnterError, Isolation, enter};
pub use error::{Part, SandboxError};
pub use limits::names as limit_names;
pub use spec::{
    Access, DeviceLook, End, Entitlement, Exit, Limits, MemoryUse, Mount, MountKind, Root, Source,
    Spec, Stdio,
};
pub use start::{Sandbox, init_hook};

#[cfg(test)]
mod tests;
