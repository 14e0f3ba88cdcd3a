//! RUN: a process on a root file system, and what it leaves behind as a layer.

use rbuild_solver::event::Event;
use rbuild_solver::op::ExecOp;
use rbuild_solver::worker::Made;

use super::mount::{self, Prepared};
use super::{BuildWorker, Inputs, Output, WorkError};
use crate::sandbox::{End, Exit, Root, Spec, Stdio};

/// Runs the process; what it wrote becomes the top layer.
pub fn run(
    worker: &BuildWorker<'_>,
    op: &ExecOp,
    inputs: &Inputs<'_, '_>,
) -> Result<Made<Output>, WorkError> {
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
    let prepared = mount::prepare(worker, op, inputs)?;
    let spec = spec(worker, op, root, &prepared);
    let ended = worker.sandbox.run(&spec, &mut output, job.cancel);
    drop((spec, prepared));
    let (log, tail) = log.finish();
    // They may say why it could not be run.
    for text in worker.sandbox.notices() {
        (job.events)(Event::Notice { vertex: Some(job.id), text });
    }
    let End { exit, memory } = ended?;
    match exit {
        Exit::Code(0) => {
            let snapshot = base.with(worker.store.layers().commit(active)?);
            Ok(Made { output: Output::Snapshot(snapshot), memory: memory.peak })
        }
        _ => Err(WorkError::Exited { exit, memory, log, tail }),
    }
}

fn spec(worker: &BuildWorker<'_>, op: &ExecOp, root: Root, prepared: &Prepared) -> Spec {
    let hosts = worker.extra_hosts.iter();
    Spec {
        root,
        args: op.args.clone(),
        env: op.env.iter().chain(&op.unkeyed_env).chain(&prepared.env).cloned().collect(),
        cwd: op.cwd.clone(),
        user: op.user.clone(),
        hostname: op.hostname.clone(),
        network: op.network,
        platform: op.platform.clone(),
        security: op.security,
        resources: op.resources.clone(),
        limits: worker.limits,
        extra_hosts: hosts.map(|(name, address)| (name.clone(), address.to_string())).collect(),
        mounts: prepared.mounts.clone(),
        stdio: Stdio::Piped,
    }
}
