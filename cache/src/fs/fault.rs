//! Makes disk operations of this thread fail, for tests.
//!
//! A test arms it with the number of the operation that fails. `Then::GoOn` is an error that the
//! program lives through (a full disk); `Then::Die` is a crash: nothing is changed after it.
//! `power_cut` then takes away what was never synced, the meanest way a disk is allowed to.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What happens after the operation that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Later operations work again.
    GoOn,
    /// All later operations fail too.
    Die,
}

#[derive(Default)]
struct State {
    armed: Option<(u64, Then, Errno)>,
    done: u64,
    dirty: Vec<File>,
    names: Vec<(PathBuf, PathBuf)>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Lets operation number `at` (from 1) fail with `errno`. Forgets what was watched before.
pub(crate) fn arm(at: u64, then: Then, errno: Errno) {
    STATE.set(State { armed: Some((at, then, errno)), ..State::default() });
}

/// Ends it, and tells whether the operation was reached.
pub(crate) fn disarm() -> bool {
    STATE.with_borrow_mut(|state| {
        let armed = state.armed.take();
        armed.is_some_and(|(at, ..)| state.done >= at)
    })
}

/// What a power cut takes of what was not synced. A disk may do either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lose {
    /// Files lose their second half, and keep their names.
    Bytes,
    /// New names are undone too.
    BytesAndNames,
}

/// Takes away what was not synced since `arm`.
pub(crate) fn power_cut(lose: Lose) {
    let state = STATE.take();
    for file in state.dirty {
        let size = file.metadata().unwrap().len();
        file.set_len(size / 2).unwrap();
    }
    for (from, to) in state.names.iter().rev() {
        if lose == Lose::BytesAndNames && to.exists() {
            std::fs::rename(to, from).unwrap();
        }
    }
}

pub(super) fn point() -> Result<(), Errno> {
    STATE.with_borrow_mut(|state| {
        let Some((at, then, errno)) = state.armed else { return Ok(()) };
        state.done += 1;
        match then {
            Then::GoOn if state.done == at => Err(errno),
            Then::Die if state.done >= at => Err(errno),
            _ => Ok(()),
        }
    })
}

fn watch(change: impl FnOnce(&mut State)) {
    STATE.with_borrow_mut(|state| {
        if state.armed.is_some() {
            change(state);
        }
    });
}

pub(super) fn wrote(file: &File) {
    watch(|state| state.dirty.push(file.try_clone().unwrap()));
}

pub(super) fn synced(file: &File) {
    let inode = file.metadata().unwrap().ino();
    watch(|state| state.dirty.retain(|dirty| dirty.metadata().unwrap().ino() != inode));
}

pub(super) fn renamed(from: &Path, to: &Path) {
    // A name that was taken before cannot be given back; those are not undone.
    if !to.exists() && from.exists() {
        watch(|state| state.names.push((from.to_owned(), to.to_owned())));
    }
}

pub(super) fn synced_dir(dir: &Path) {
    watch(|state| state.names.retain(|(_, to)| to.parent() != Some(dir)));
}

pub(super) fn synced_everything() {
    watch(|state| {
        state.dirty.clear();
        state.names.clear();
    });
}
