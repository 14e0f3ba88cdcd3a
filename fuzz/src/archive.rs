//! Archives of any compression: build contexts, and what `ADD` unpacks.

use std::io::Read;

use rbuild_cache::archive::{Compression, Limits, Members, is_archive, unpack};

use crate::lab::{self, Lab};
use crate::seal::sealed;

const LIMITS: Limits = Limits { bytes: 1 << 20, files: 64 };
/// The longest path and link that a member can have.
const NAME_MAX: usize = 1 << 20;

/// Whatever the bytes say, a folder that they are unpacked into holds all that comes of them, and
/// their names are clean.
pub fn archive(input: &[u8]) {
    let _ = is_archive(input);
    lab::with(|lab| {
        unpacked(lab, input);
        if Compression::of(input) == Compression::None {
            unpacked(lab, &sealed(input));
        }
    });
}

fn unpacked(lab: &Lab, input: &[u8]) {
    let filled = lab.store.scratch().and_then(|scratch| {
        let mut folder = lab.store.fill(&scratch, "files")?;
        let done = unpack(input, &mut folder, LIMITS);
        Ok((done.is_ok(), folder.finish()))
    });
    let (done, finished) = filled.unwrap_or_else(|error| panic!("no folder: {error}"));
    assert!(!done || finished.is_ok(), "unpacked, and not finished: {finished:?}");
    let Ok(plain) = Compression::of(input).reader(input) else { return };
    let mut members = Members::new(plain.take(LIMITS.bytes));
    while let Ok(Some(member)) = members.next() {
        let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
        let is_clean = |path: &[u8]| path.is_empty() || path.split(|b| *b == b'/').all(is_name);
        assert!(is_clean(&member.path) && member.path.len() <= NAME_MAX);
    }
}
