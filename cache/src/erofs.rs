//! An EROFS image that indexes a tar: names and attributes are in it, the files' bytes stay in the
//! tar, which is the image's second device. Linux mounts both straight from files since 6.12.
//!
//! The format is the kernel's (`Documentation/filesystems/erofs.rst`, `fs/erofs/erofs_fs.h`). All
//! numbers are little-endian. Of what it offers, an index uses this:
//!
//! ```text
//! block size 512 (a tar's), no compression, no shared xattrs, every address from byte 0
//!
//! 1024  superblock, 128 bytes
//!       0 magic e0f5e1e2   8 compat: 2 (times are modification times)   12 log2 of the block: 9
//!       14 root's nid (2 bytes)   16 number of inodes (8)   36 blocks of the image (4)
//!       40 first block of inodes: 0   80 incompat: 4 (chunked files) | 8 (device table)
//!       86 devices besides the image: 1 (2 bytes)   88 device table: 9, in units of 128 (2 bytes)
//! 1152  device slot, 128 bytes: 64 blocks of the tar (4 bytes)
//! 1536  inodes, aligned to 32; an inode's nid is its offset / 32, the root's comes first
//!       0 format: 1 (64 bytes) | layout << 1   2 xattr words   4 mode   8 size (8)
//!       16 substance (4)   20 number   24 uid   28 gid   32 mtime (8)   40 nanoseconds   44 names
//!       xattrs follow, if there are any: 12 bytes of zeros, then per attribute
//!         length of the name, prefix (1 user., 2 and 3 POSIX ACLs, 4 trusted., 6 security.),
//!         length of the value (2 bytes), name, value, padded to 4.
//!         "xattr words" is 1 + the bytes after the zeros / 4
//!       layout 0 (plain): the substance is the first block of the data, or a device number
//!       layout 2 (inline): the data follows; neither it nor the inode crosses a block
//!       layout 4 (chunks): the substance is 0x20 | log2 of the chunk's blocks; one chunk holds
//!         the whole file: at the next multiple of 8 are 2 zeros, device 1 (2 bytes), block (4)
//! after the last inode, in blocks: directories and long links, in the order of the inodes
//!       a directory's block: per name 12 bytes: nid (8), offset of the name (2), type, 0;
//!       then the names, sorted bytewise with `.` and `..` among them, padded with zeros
//! zeros up to a multiple of 4096
//! ```
//!
//! Whiteouts become character device 0:0 and opaque directories carry `trusted.overlay.opaque`, as
//! overlayfs wants them.

use std::io::{self, Write};

use crate::layer::tree::{Ino, Inode, ROOT, Tree, What};

mod dirs;
mod inodes;
#[cfg(test)]
mod tests;
mod xattrs;

use inodes::Layout;

/// The unit of all addresses, in bytes.
pub(crate) const BLOCK: u64 = 512;
const MAGIC: u32 = 0xe0f5_e1e2;
const COMPAT_MTIME: u32 = 2;
const INCOMPAT_CHUNKS_AND_DEVICES: u32 = 4 | 8;
const SUPERBLOCK: usize = 1024;
const DEVICE_SLOT: usize = 1152;
const INODES: u64 = 1536;
const NOWHERE: u32 = u32::MAX;

/// Where one inode and its data are.
#[derive(Debug, Clone)]
struct Place {
    ino: Ino,
    /// The directory that a directory is in.
    parent: Ino,
    /// The inode's offset in the image.
    offset: u64,
    /// The first block of what a plain inode has, and how long it is in bytes.
    data: (u64, u64),
    layout: Layout,
}

/// The plan of an image.
struct Plan<'a> {
    tree: &'a Tree,
    /// In the order of the image: of several names of an inode the first decides.
    places: Vec<Place>,
    /// Where an inode is in `places`; [`NOWHERE`] if it has no name.
    by_ino: Vec<u32>,
    /// Of the image.
    blocks: u64,
}

/// Writes the index of `tree`, whose files are in a tar of `tar_size` bytes. Fails with
/// [`io::ErrorKind::Unsupported`] if the format cannot say it.
pub(crate) fn write(tree: &Tree, tar_size: u64, out: &mut dyn Write) -> io::Result<()> {
    let plan = Plan::new(tree)?;
    let tar_blocks = narrow(tar_size.div_ceil(BLOCK))?;
    out.write_all(&plan.head(tar_blocks)?)?;
    let mut at = INODES;
    for place in &plan.places {
        pad(out, &mut at, place.offset)?;
        let bytes = inodes::bytes(&plan, place)?;
        out.write_all(&bytes)?;
        at += bytes.len() as u64;
    }
    for place in plan.places.iter().filter(|place| place.data.1 > 0) {
        pad(out, &mut at, place.data.0 * BLOCK)?;
        let bytes = plan.data(place)?;
        out.write_all(&bytes)?;
        at += bytes.len() as u64;
    }
    pad(out, &mut at, plan.blocks * BLOCK)
}

impl<'a> Plan<'a> {
    fn new(tree: &'a Tree) -> io::Result<Plan<'a>> {
        let by_ino = vec![NOWHERE; tree.len()];
        let mut plan = Plan { tree, places: Vec::new(), by_ino, blocks: 0 };
        plan.collect(ROOT, ROOT);
        let mut offset = INODES;
        for place in &mut plan.places {
            let inode = tree.inode(place.ino);
            let xattrs = xattrs::bytes(inode)?.len() as u64;
            (place.offset, place.layout) = inodes::settle(inode, xattrs, offset);
            offset = place.offset + place.layout.size(inode, xattrs);
        }
        let mut block = offset.div_ceil(BLOCK);
        for place in &mut plan.places {
            let length = data_size(tree.inode(place.ino), place.layout);
            place.data = (block, length);
            block += length.div_ceil(BLOCK);
        }
        // Readers take 4 KiB at a time.
        plan.blocks = block.next_multiple_of(8);
        Ok(plan)
    }

    /// Lists `ino` and, if it is a directory, all below it.
    fn collect(&mut self, ino: Ino, parent: Ino) {
        if self.by_ino[ino as usize] != NOWHERE {
            return;
        }
        self.by_ino[ino as usize] = self.places.len() as u32;
        self.places.push(Place { ino, parent, offset: 0, data: (0, 0), layout: Layout::Plain });
        for child in self.tree.children(ino).into_iter().flat_map(|children| children.values()) {
            self.collect(*child, ino);
        }
    }

    fn place(&self, ino: Ino) -> &Place {
        &self.places[self.by_ino[ino as usize] as usize]
    }

    fn nid(&self, ino: Ino) -> u64 {
        self.place(ino).offset / 32
    }

    /// Superblock and device table, up to the first inode.
    fn head(&self, tar_blocks: u32) -> io::Result<Vec<u8>> {
        let mut head = vec![0; INODES as usize];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(SUPERBLOCK, &MAGIC.to_le_bytes());
        put(SUPERBLOCK + 8, &COMPAT_MTIME.to_le_bytes());
        put(SUPERBLOCK + 12, &[9]);
        put(SUPERBLOCK + 14, &((INODES / 32) as u16).to_le_bytes());
        put(SUPERBLOCK + 16, &(self.places.len() as u64).to_le_bytes());
        put(SUPERBLOCK + 36, &narrow(self.blocks)?.to_le_bytes());
        put(SUPERBLOCK + 80, &INCOMPAT_CHUNKS_AND_DEVICES.to_le_bytes());
        put(SUPERBLOCK + 86, &1u16.to_le_bytes());
        put(SUPERBLOCK + 88, &((DEVICE_SLOT / 128) as u16).to_le_bytes());
        put(DEVICE_SLOT + 64, &tar_blocks.to_le_bytes());
        Ok(head)
    }

    fn data(&self, place: &Place) -> io::Result<Vec<u8>> {
        match &self.tree.inode(place.ino).what {
            What::Symlink { target } => Ok(target.clone()),
            _ => Ok(dirs::bytes(self, place)),
        }
    }
}

/// The bytes of an inode's data that are in the image's blocks.
fn data_size(inode: &Inode, layout: Layout) -> u64 {
    match &inode.what {
        What::Dir { children, .. } => dirs::size(children.keys().map(AsRef::as_ref)),
        What::Symlink { target } if layout == Layout::Plain => target.len() as u64,
        _ => 0,
    }
}

/// Zeros up to `to`.
fn pad(out: &mut dyn Write, at: &mut u64, to: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), to - *at), out)?;
    *at = to;
    Ok(())
}

/// Addresses have 32 bits: images and tars end at 2 TiB.
fn narrow(blocks: u64) -> io::Result<u32> {
    u32::try_from(blocks).map_err(|_| unsupported("more than 2 TiB"))
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("an EROFS index cannot hold {what}"))
}
