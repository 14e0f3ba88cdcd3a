//! What a step sees besides its root: from the names in its op to mounts of this machine.
//!
//! One file below per kind that needs more than a line. Everything that a mount needs as long as
//! the step runs is kept in [`Prepared`].

mod bind;
mod cache;
mod device;

use std::sync::Arc;

use rbuild_cache::{Draft, View, Volume};
use rbuild_solver::event::Event;
use rbuild_solver::op::ExecOp;
use rbuild_solver::op::mount::{self as op, MountKind};

use super::{BuildWorker, Inputs, WorkError};
use crate::given::agent;
use crate::sandbox::{self, Access, Source};

pub use device::{Allowed, Devices};

/// What `tmpfs(5)` has where nobody says otherwise.
const TMPFS_MODE: u32 = 0o1777;

/// The mounts of a step. Dropped, they are given back.
#[derive(Default)]
pub struct Prepared {
    /// In the order they are mounted.
    pub mounts: Vec<sandbox::Mount>,
    /// Variables that no key sees.
    pub env: Vec<(String, String)>,
    held: Vec<Held>,
}

/// What has to be there until the step has ended.
#[expect(dead_code, reason = "they are kept for what happens when they are dropped")]
enum Held {
    Volume(Volume),
    Draft(Draft),
    View(Arc<View>),
    Agent(agent::Forward),
}

/// Why a mount could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MountFailure {
    /// An agent that the step needs is not given, or does not answer.
    #[error(transparent)]
    Agent(#[from] agent::AgentError),
    /// A device that the step needs.
    #[error(transparent)]
    Device(#[from] device::DeviceError),
    /// A secret in a variable has to be text.
    #[error("the secret `{0}` cannot be a variable: it holds a zero byte or is not UTF-8")]
    NotText(String),
    /// A cache begins with a directory.
    #[error("the cache mount at `{target}` cannot begin with `{path}`: it is not a directory")]
    SeedNotADirectory {
        /// Where it is mounted.
        target: String,
        /// What it should begin with.
        path: String,
    },
}

impl MountFailure {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            MountFailure::Agent(error) => error.help(),
            MountFailure::NotText(_) => Some("mount it as a file".to_owned()),
            MountFailure::Device(error) => error.help(),
            MountFailure::SeedNotADirectory { .. } => None,
        }
    }
}

/// Makes ready what the op asks for.
pub(super) fn prepare(
    worker: &BuildWorker<'_>,
    op: &ExecOp,
    inputs: &Inputs<'_, '_>,
) -> Result<Prepared, WorkError> {
    let mut prepared = Prepared::default();
    let mut volumes = cache::take_all(worker, op, inputs)?;
    for mount in &op.mounts {
        if let Some(kind) = prepared.kind(worker, mount, inputs, &mut volumes)? {
            prepared.mounts.push(sandbox::Mount { target: mount.target.clone(), kind });
        }
    }
    prepared.held.extend(volumes.into_held().map(Held::Volume));
    for variable in &op.secrets {
        let bytes = worker.given.secrets.read(&variable.id, variable.need)?.unwrap_or_default();
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| MountFailure::NotText(variable.id.clone()))?;
        prepared.env.push((variable.name.clone(), text));
    }
    let notices =
        device::prepare(&worker.devices, op, &mut prepared).map_err(MountFailure::from)?;
    for text in notices {
        (inputs.job.events)(Event::Notice { vertex: Some(inputs.job.id), text });
    }
    Ok(prepared)
}

impl Prepared {
    /// None for what is not there and need not be.
    fn kind(
        &mut self,
        worker: &BuildWorker<'_>,
        mount: &op::Mount,
        inputs: &Inputs<'_, '_>,
        volumes: &mut cache::Volumes,
    ) -> Result<Option<sandbox::MountKind>, WorkError> {
        Ok(Some(match &mount.kind {
            MountKind::File { data, mode } => {
                sandbox::MountKind::File { data: data.clone(), mode: *mode, owner: (0, 0) }
            }
            MountKind::Bind { source, access } => {
                let source = self.bind(worker, source.as_ref(), *access, inputs)?;
                sandbox::MountKind::Bind { source, access: (*access).into() }
            }
            MountKind::Cache(cache) => {
                let source = Source::Path(volumes.path(cache, inputs)?);
                sandbox::MountKind::Bind { source, access: cache.access.into() }
            }
            MountKind::Tmpfs { size } => {
                sandbox::MountKind::Tmpfs { size: *size, mode: TMPFS_MODE }
            }
            MountKind::Secret(secret) => {
                let Some(data) = worker.given.secrets.read(&secret.id, secret.need)? else {
                    return Ok(None);
                };
                let owner = secret.owner;
                sandbox::MountKind::File { data, mode: owner.mode, owner: (owner.uid, owner.gid) }
            }
            MountKind::Ssh(ssh) => {
                let forward = worker.given.agents.forward(ssh).map_err(MountFailure::from)?;
                let Some(forward) = forward else { return Ok(None) };
                let source = Source::Path(forward.socket());
                self.held.push(Held::Agent(forward));
                sandbox::MountKind::Bind { source, access: Access::ReadOnly }
            }
        }))
    }
}

impl From<op::Access> for Access {
    fn from(access: op::Access) -> Access {
        match access {
            op::Access::ReadOnly => Access::ReadOnly,
            op::Access::ReadWrite => Access::ReadWrite,
        }
    }
}
