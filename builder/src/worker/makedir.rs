//! `WORKDIR`: a directory that is there afterwards.

use std::path::Path;

use rbuild_cache::tree::{Owners, Tree};
use rbuild_solver::op::MakeDirOp;

use super::copy::target::{NewDir, Target};
use super::copy::{CopyError, Sink};
use super::owner::{self, Owner};

/// Adds what is missing of the directory to `sink`: nothing, if it is there. Links are followed
/// inside of the image's root. `time` is that of what has to be made. Gives what the user is to be
/// warned of.
pub fn make_dir(
    op: &MakeDirOp,
    base: Option<&Path>,
    time: (i64, u32),
    sink: &mut dyn Sink,
) -> Result<Vec<String>, CopyError> {
    let base = base.map(|base| Tree::open(base, Owners::Kept, None)).transpose()?;
    let mut warnings = Vec::new();
    let mut warn = |line| warnings.push(line);
    let Owner { uid, gid } = owner::look_up(&op.user, base.as_ref(), &mut warn)?;
    let new = NewDir { mode: op.mode, uid, gid, mtime: time };
    let mut target = Target::new(base);
    let path = target.resolve(b"", op.path.as_bytes())?;
    if target.is_missing(&path)? {
        let parents = target.parents(&path, new)?;
        for entry in parents.into_iter().chain(target.directory(&path, new)?) {
            sink.add(&entry, None)?;
        }
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests;
