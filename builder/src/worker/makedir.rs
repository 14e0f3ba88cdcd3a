//! `WORKDIR`: a directory that is there afterwards.

use rbuild_solver::op::MakeDirOp;

use super::copy::target::{Below, NewDir, Target};
use super::copy::{Copied, CopyError, Sink};
use super::owner::{self, Owner};

/// Adds what is missing of the directory to `sink`: nothing, if it is there. Links are followed
/// inside of the image's root. `time` is that of what has to be made.
pub fn make_dir(
    op: &MakeDirOp,
    below: Below<'_>,
    time: (i64, u32),
    sink: &mut dyn Sink,
) -> Result<Copied, CopyError> {
    let mut target = Target::new(below)?;
    let mut copied = Copied::default();
    let mut warn = |line| copied.warnings.push(line);
    let Owner { uid, gid } = owner::look_up(&op.user, target.base(), &mut warn)?;
    let new = NewDir { mode: op.mode, uid, gid, mtime: time };
    let path = target.resolve(b"", op.path.as_bytes())?;
    if target.is_missing(&path)? {
        let parents = target.parents(&path, new)?;
        for entry in parents.into_iter().chain(target.directory(&path, new)?) {
            sink.add(&entry, None)?;
        }
    }
    copied.guessed = target.guessed();
    Ok(copied)
}

#[cfg(test)]
mod tests;
