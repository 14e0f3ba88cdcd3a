//! Inodes: their size, their place, their 64 bytes.

use std::io;

use rustix::fs::FileType;

use super::{BLOCK, Place, Plan, narrow, unsupported, xattrs};
use crate::layer::tree::{Inode, What};

/// The fixed part of an inode.
const HEAD: u64 = 64;
const CHUNKED: u32 = 0x20;
/// The largest log2 of a chunk's blocks that its 5 bits hold.
const CHUNK_BITS_MAX: u32 = 31;

/// How an inode says where its data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// In blocks of their own, or nowhere.
    Plain,
    /// The target of a link right behind the inode.
    Inline,
    /// In the tar.
    Chunk,
}

impl Layout {
    /// The bytes of an inode with `xattrs` bytes of attributes.
    pub(super) fn size(self, inode: &Inode, xattrs: u64) -> u64 {
        match self {
            Layout::Plain => HEAD + xattrs,
            Layout::Inline => HEAD + xattrs + target(inode).len() as u64,
            Layout::Chunk => (HEAD + xattrs).next_multiple_of(8) + 8,
        }
    }

    fn number(self) -> u16 {
        match self {
            Layout::Plain => 0,
            Layout::Inline => 2,
            Layout::Chunk => 4,
        }
    }
}

/// Where an inode goes that could begin at `from`, and how it is laid out.
pub(super) fn settle(inode: &Inode, xattrs: u64, from: u64) -> (u64, Layout) {
    let layout = match &inode.what {
        What::File { size: 1.., .. } => Layout::Chunk,
        What::Symlink { .. } if Layout::Inline.size(inode, xattrs) <= BLOCK => Layout::Inline,
        _ => Layout::Plain,
    };
    let whole = match layout {
        Layout::Inline => layout.size(inode, xattrs),
        _ => HEAD,
    };
    let from = from.next_multiple_of(32);
    let left = BLOCK - from % BLOCK;
    (if left < whole { from + left } else { from }, layout)
}

/// The inode with its attributes, and what follows it.
pub(super) fn bytes(plan: &Plan<'_>, place: &Place) -> io::Result<Vec<u8>> {
    let inode = plan.tree.inode(place.ino);
    let xattrs = xattrs::bytes(inode)?;
    let mut out = Vec::with_capacity(place.layout.size(inode, xattrs.len() as u64) as usize);
    let words = match xattrs.len() {
        0 => 0,
        length => {
            u16::try_from((length - 12) / 4 + 1).map_err(|_| unsupported("so many attributes"))?
        }
    };
    out.extend((1 | place.layout.number() << 1).to_le_bytes());
    out.extend(words.to_le_bytes());
    out.extend(mode(inode).to_le_bytes());
    out.extend([0; 2]);
    out.extend(size(place, inode).to_le_bytes());
    out.extend(substance(place, inode)?.to_le_bytes());
    out.extend((place.ino + 1).to_le_bytes());
    out.extend(inode.uid.to_le_bytes());
    out.extend(inode.gid.to_le_bytes());
    out.extend(inode.mtime.0.to_le_bytes());
    out.extend(inode.mtime.1.to_le_bytes());
    out.extend(names(plan, inode).to_le_bytes());
    out.extend([0; 16]);
    out.extend_from_slice(&xattrs);
    match (&inode.what, place.layout) {
        (_, Layout::Inline) => out.extend_from_slice(target(inode)),
        (What::File { start, .. }, Layout::Chunk) => {
            out.resize(out.len().next_multiple_of(8), 0);
            out.extend([0, 0, 1, 0]);
            out.extend(narrow(start / BLOCK)?.to_le_bytes());
        }
        _ => {}
    }
    Ok(out)
}

/// Where a link leads; nowhere, if it is none.
fn target(inode: &Inode) -> &[u8] {
    match &inode.what {
        What::Symlink { target } => target,
        _ => &[],
    }
}

fn mode(inode: &Inode) -> u16 {
    let kind = match inode.what {
        What::Dir { .. } => FileType::Directory,
        What::File { .. } => FileType::RegularFile,
        What::Symlink { .. } => FileType::Symlink,
        What::Char { .. } | What::Whiteout => FileType::CharacterDevice,
        What::Block { .. } => FileType::BlockDevice,
        What::Fifo => FileType::Fifo,
    };
    (kind.as_raw_mode() | inode.mode) as u16
}

fn size(place: &Place, inode: &Inode) -> u64 {
    match &inode.what {
        What::File { size, .. } => *size,
        What::Symlink { target } => target.len() as u64,
        _ => place.data.1,
    }
}

fn substance(place: &Place, inode: &Inode) -> io::Result<u32> {
    match &inode.what {
        What::Char { major, minor } | What::Block { major, minor } => device(*major, *minor),
        What::File { size, .. } if place.layout == Layout::Chunk => {
            let bits = size.div_ceil(BLOCK).next_power_of_two().trailing_zeros();
            if bits > CHUNK_BITS_MAX {
                return Err(unsupported("a file of more than 1 TiB"));
            }
            Ok(CHUNKED | bits)
        }
        _ if place.data.1 > 0 => narrow(place.data.0),
        _ => Ok(0),
    }
}

/// Linux's own 32-bit encoding: 12 bits of the driver, 20 of the device.
fn device(major: u32, minor: u32) -> io::Result<u32> {
    if major >= 1 << 12 || minor >= 1 << 20 {
        return Err(unsupported("such a device number"));
    }
    Ok(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// A directory has a name above it, `.`, and the `..` of each directory in it.
fn names(plan: &Plan<'_>, inode: &Inode) -> u32 {
    match &inode.what {
        What::Dir { children, .. } => {
            let dirs = children.values().filter(|ino| plan.tree.inode(**ino).is_dir());
            2 + dirs.count() as u32
        }
        _ => inode.names,
    }
}
