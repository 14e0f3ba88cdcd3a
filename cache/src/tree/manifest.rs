//! What a selection held, in few bytes, so that a later miss can name the file that changed.
//!
//! One record for each path: how many bytes it shares with the path before, the others, kind and
//! permission bits, and 8 bytes of the digest of the rest. It explains and decides nothing, so 8
//! bytes are enough.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::digest::attributes;
use super::node::NodeKind;
use super::select::{Found, Selection};
use super::{Owners, join};
use crate::ContentDigest;

/// What one path was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// Kind in the upper bits, permission bits in the lower 12.
    mode: u32,
    /// Of the bytes, the target or the numbers, and of the owner.
    content: [u8; 8],
}

impl Selection {
    /// The paths of the selection, as [`diff`] reads them. Files count with their digests once
    /// [`Selection::digest`] was asked for.
    pub fn manifest(&self) -> Vec<u8> {
        let digests = self.file_digests().unwrap_or_default();
        let digests = digests.iter().copied().chain(std::iter::repeat(None));
        let mut out = Vec::with_capacity(self.len() * 32);
        let mut last = Vec::new();
        for ((one, found), digest) in self.all().zip(digests) {
            if found.path.is_empty() && found.node.is_dir() {
                continue;
            }
            let path = join(&one.path, &found.path);
            let shared = path.iter().zip(&last).take_while(|(a, b)| a == b).count();
            number(&mut out, shared);
            number(&mut out, path.len() - shared);
            out.extend(&path[shared..]);
            let state = self.state(&found, digest);
            out.extend(state.mode.to_le_bytes());
            out.extend(state.content);
            last = path;
        }
        out
    }

    fn state(&self, found: &Found<'_>, file: Option<ContentDigest>) -> State {
        let node = &found.node;
        let mut text = match self.owners {
            Owners::Kept => [node.uid.to_le_bytes(), node.gid.to_le_bytes()].concat(),
            Owners::Root => Vec::new(),
        };
        let kind = match &node.kind {
            NodeKind::Dir => 1,
            NodeKind::File => 2,
            NodeKind::Symlink { target } => {
                text.extend(target);
                3
            }
            NodeKind::Fifo => 4,
            NodeKind::Socket => 5,
            NodeKind::Char { major, minor } | NodeKind::Block { major, minor } => {
                text.extend([major.to_le_bytes(), minor.to_le_bytes()].concat());
                6
            }
        };
        text.extend(file.iter().flat_map(ContentDigest::as_bytes));
        attributes(&mut text, found.xattrs);
        let mut content = [0; 8];
        content.copy_from_slice(&ContentDigest::of(&text).as_bytes()[..8]);
        State { mode: kind << 12 | node.mode, content }
    }
}

/// One line that says how `new` differs from `old`: the first change, and how many more there are.
/// Nothing if they are equal, or if one of them is damaged.
pub fn diff(old: &[u8], new: &[u8]) -> Option<String> {
    let (old, new) = (read(old)?, read(new)?);
    let before: HashMap<&[u8], State> = old.iter().map(|(path, s)| (path.as_slice(), *s)).collect();
    let after: HashMap<&[u8], State> = new.iter().map(|(path, s)| (path.as_slice(), *s)).collect();
    let gone = old.iter().filter(|(path, _)| !after.contains_key(path.as_slice()));
    let changed = new.iter().filter(|(path, s)| before.get(path.as_slice()) != Some(s));
    let mut paths: Vec<&[u8]> = gone.chain(changed).map(|(path, _)| path.as_slice()).collect();
    paths.sort_by(|a, b| contents_first(&before, &after, a, b));
    let first = paths.first()?;
    let what = explain(first, before.get(first), after.get(first));
    Some(match paths.len() {
        1 => what,
        more => format!("{what}, and {} more", more - 1),
    })
}

/// A file whose bytes changed says more than a directory which is there because of a new file.
fn contents_first(
    before: &HashMap<&[u8], State>,
    after: &HashMap<&[u8], State>,
    a: &[u8],
    b: &[u8],
) -> Ordering {
    let rank = |path: &[u8]| match (before.get(path), after.get(path)) {
        (Some(old), Some(new)) if old.content != new.content => 0,
        (Some(old), _) | (_, Some(old)) if old.mode >> 12 == 1 => 2,
        _ => 1,
    };
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

fn explain(path: &[u8], old: Option<&State>, new: Option<&State>) -> String {
    let path = String::from_utf8_lossy(path);
    match (old, new) {
        (None, _) => format!("added {path}"),
        (_, None) => format!("removed {path}"),
        (Some(old), Some(new))
            if old.content == new.content && old.mode >> 12 == new.mode >> 12 =>
        {
            format!("mode {:04o} -> {:04o} on {path}", old.mode & 0o7777, new.mode & 0o7777)
        }
        _ => format!("{path} changed"),
    }
}

fn read(mut bytes: &[u8]) -> Option<Vec<(Vec<u8>, State)>> {
    let mut all: Vec<(Vec<u8>, State)> = Vec::new();
    while !bytes.is_empty() {
        let (shared, length) = (take_number(&mut bytes)?, take_number(&mut bytes)?);
        let last = all.last().map_or(&[][..], |(path, _)| path);
        let mut path = last.get(..shared)?.to_vec();
        path.extend(bytes.split_off(..length)?);
        let mode = u32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?);
        let content = bytes.split_off(..8)?.try_into().ok()?;
        all.push((path, State { mode, content }));
    }
    Some(all)
}

/// Seven bits in each byte, the lowest first; the top bit says that more follow (LEB128).
fn number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let byte = *bytes.split_off_first()?;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
