//! What can be found out about this machine's sandboxes without a program to run in one.
//!
//! Nothing is guessed: a step is prepared as those of a build are, up to the moment in which the
//! kernel is asked to start its program, which is none. What that means for a person is `doctor`'s
//! business.

use std::path::Path;

use rbuild_cache::Active;
use rbuild_solver::op::{Network, Platform, Resources, Security};
use rbuild_solver::worker::Cancel;

use super::error::{Failure, Part, SandboxError};
use super::group::Group;
pub use super::group::{GroupError, Unkept};
use super::spec::{Limits, Root, Spec, Stdio};
use super::start::Sandbox;

/// The name of what the step is asked to start.
const PROGRAM: &str = "rbuild-doctor";

/// Why a step cannot be run here.
#[derive(Debug)]
pub struct Broken {
    /// What of it failed.
    pub part: Part,
    /// Why.
    pub error: SandboxError,
}

/// Prepares a step for a platform, with a network of the build's own, in a new layer. What the
/// network lacks, or the emulator, is one of the sandbox's notices then.
pub fn try_step(sandbox: &Sandbox, active: &Active, platform: &Platform) -> Result<(), Broken> {
    let broken = |error: SandboxError| Broken { part: error.part(), error };
    write_program(&active.upper).map_err(|source| {
        let doing = format!("write to `{}`", active.upper.display());
        broken(SandboxError::Server { doing, source })
    })?;
    let spec = Spec {
        root: Root::Overlay {
            lowers: active.lowers.clone(),
            upper: active.upper.clone(),
            work: active.work.clone(),
        },
        args: vec![format!("/{PROGRAM}")],
        env: Vec::new(),
        cwd: "/".into(),
        user: String::new(),
        hostname: "doctor".into(),
        network: Network::Default,
        platform: platform.clone(),
        security: Security::Confined,
        resources: Resources::default(),
        limits: Limits::default(),
        extra_hosts: Vec::new(),
        mounts: Vec::new(),
        stdio: Stdio::Piped,
    };
    match sandbox.run(&spec, &mut |_| {}, &Cancel::new()) {
        // All that comes before the program has worked.
        Err(SandboxError::Step(Failure::NotExecutable { .. })) | Ok(_) => Ok(()),
        Err(error) => Err(broken(error)),
    }
}

/// Makes, as a step with `--memory` and `--cpus` would, its groups. Gives what cannot be limited.
pub fn try_limits() -> Vec<Unkept> {
    // Limits that no step reaches.
    Group::new(&Limits { memory: Some(1 << 50), cpus: Some(1000) }).1
}

/// Whether there is a system call filter for this architecture.
pub fn has_filter() -> bool {
    super::seccomp::filter().is_some()
}

/// A file that may be executed, and that no kernel can.
fn write_program(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join(PROGRAM);
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
    Ok(())
}
