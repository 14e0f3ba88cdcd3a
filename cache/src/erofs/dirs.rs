//! Directories: blocks of names, each with its own table.

use super::{BLOCK, Place, Plan};
use crate::layer::tree::{Ino, What};

/// What a name costs in the table.
const ENTRY: usize = 12;

/// The size of a directory with these names, `.` and `..` not among them.
pub(super) fn size<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let names = with_dots(names.map(|name| (name, ())), (), ());
    let blocks = blocks(&names);
    let last = blocks.last().map_or(0, |block| used(block));
    (blocks.len() as u64 - 1) * BLOCK + last as u64
}

/// The directory's blocks, the last one not padded.
pub(super) fn bytes(plan: &Plan<'_>, place: &Place) -> Vec<u8> {
    let children = plan.tree.children(place.ino).into_iter().flatten();
    let names = children.map(|(name, ino)| (&**name, *ino));
    let names = with_dots(names, place.ino, place.parent);
    let mut out = Vec::with_capacity(place.data.1 as usize);
    for block in blocks(&names) {
        out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
        let mut offset = block.len() * ENTRY;
        for (name, ino) in block {
            out.extend(plan.nid(*ino).to_le_bytes());
            out.extend((offset as u16).to_le_bytes());
            out.extend([kind(plan, *ino), 0]);
            offset += name.len();
        }
        out.extend(block.iter().flat_map(|(name, _)| *name));
    }
    out
}

/// Adds `.` and `..` where they sort.
fn with_dots<'a, T: Copy>(
    names: impl Iterator<Item = (&'a [u8], T)>,
    own: T,
    parent: T,
) -> Vec<(&'a [u8], T)> {
    let mut all: Vec<(&[u8], T)> =
        [(b".".as_slice(), own), (b"..", parent)].into_iter().chain(names).collect();
    all.sort_by_key(|(name, _)| *name);
    all
}

/// Cuts names into runs that fill a block each.
fn blocks<'n, 'a, T>(names: &'n [(&'a [u8], T)]) -> Vec<&'n [(&'a [u8], T)]> {
    let (mut blocks, mut from, mut room) = (Vec::new(), 0, BLOCK as usize);
    for (at, (name, _)) in names.iter().enumerate() {
        let cost = ENTRY + name.len();
        if cost > room {
            blocks.push(&names[from..at]);
            (from, room) = (at, BLOCK as usize);
        }
        room -= cost;
    }
    blocks.push(&names[from..]);
    blocks
}

fn used<T>(block: &[(&[u8], T)]) -> usize {
    block.iter().map(|(name, _)| ENTRY + name.len()).sum()
}

fn kind(plan: &Plan<'_>, ino: Ino) -> u8 {
    match plan.tree.inode(ino).what {
        What::File { .. } => 1,
        What::Dir { .. } => 2,
        What::Char { .. } | What::Whiteout => 3,
        What::Block { .. } => 4,
        What::Fifo => 5,
        What::Symlink { .. } => 7,
    }
}
