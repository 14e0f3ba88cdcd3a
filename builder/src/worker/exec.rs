//! RUN: a process on a root file system, and what it leaves behind as a layer.

use std::sync::{Arc, Mutex};

use rbuild_cache::Snapshot;
use rbuild_solver::event::Event;
use rbuild_solver::op::{ExecOp, Mount, MountKind};

use super::{BuildWorker, Inputs, WorkError, lock};
use crate::sandbox::{self, Exit, Isolation, Root, Sandbox, SandboxError, Spec, Stdio};

/// A sandbox that is started when the first step needs it: a build that finds everything in the
/// cache starts no process.
pub struct LazySandbox<'a> {
    isolation: &'a Isolation,
    started: Mutex<Option<Arc<Sandbox>>>,
}

impl LazySandbox<'_> {
    /// Starts nothing yet.
    pub fn new(isolation: &Isolation) -> LazySandbox<'_> {
        LazySandbox { isolation, started: Mutex::new(None) }
    }

    fn get(&self) -> Result<Arc<Sandbox>, SandboxError> {
        let mut started = lock(&self.started);
        if let Some(sandbox) = &*started {
            return Ok(Arc::clone(sandbox));
        }
        let sandbox = Arc::new(Sandbox::start(self.isolation)?);
        *started = Some(Arc::clone(&sandbox));
        Ok(sandbox)
    }
}

/// Runs the process; what it wrote becomes the top layer.
pub fn run(
    worker: &BuildWorker<'_>,
    op: &ExecOp,
    inputs: &Inputs<'_, '_>,
) -> Result<Snapshot, WorkError> {
    let job = inputs.job;
    let base = inputs.base(op.root);
    let active = worker.store.layers().activate(&base)?;
    let root = Root::Overlay {
        lowers: active.lowers.clone(),
        upper: active.upper.clone(),
        work: active.work.clone(),
    };
    let mut log = worker.logs.open(job.id.index());
    let mut output = |bytes: &[u8]| {
        log.write(bytes);
        (job.events)(Event::Output { vertex: job.id, bytes: bytes.to_vec() });
    };
    let sandbox = worker.sandbox.get()?;
    let exit = sandbox.run(&spec(worker, op, root), &mut output, job.cancel)?;
    let (log, tail) = log.finish();
    for text in sandbox.notices() {
        (job.events)(Event::Notice { vertex: Some(job.id), text });
    }
    match exit {
        Exit::Code(0) => Ok(base.with(worker.store.layers().commit(active)?)),
        _ => Err(WorkError::Exited { exit, log, tail }),
    }
}

fn spec(worker: &BuildWorker<'_>, op: &ExecOp, root: Root) -> Spec {
    let hosts = worker.extra_hosts.iter();
    Spec {
        root,
        args: op.args.clone(),
        env: op.env.iter().chain(&op.unkeyed_env).cloned().collect(),
        cwd: op.cwd.clone(),
        user: op.user.clone(),
        hostname: op.hostname.clone(),
        network: op.network,
        extra_hosts: hosts.map(|(name, address)| (name.clone(), address.to_string())).collect(),
        mounts: op.mounts.iter().map(mount).collect(),
        stdio: Stdio::Piped,
    }
}

fn mount(mount: &Mount) -> sandbox::Mount {
    let kind = match &mount.kind {
        MountKind::File { data, mode } => {
            sandbox::MountKind::File { data: data.clone(), mode: *mode, owner: (0, 0) }
        }
    };
    sandbox::Mount { target: mount.target.clone(), kind }
}
