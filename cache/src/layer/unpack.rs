//! Reading a layer's archive as others wrote it: names made clean, `.wh.` names turned into kinds.
//!
//! Nothing here touches the disk. What an archive may say is decided here; that a path stays inside
//! the layer is made sure again where it is written.

use std::collections::BTreeMap;
use std::io;

use tar::{EntryType, Header};

use super::entry::{
    BadEntry, Entry, Kind, OPAQUE_MARK, WHITEOUT_PREFIX, clean, join, keeps_xattr, shown, split,
};
use super::reader::Found;

/// What aufs kept for itself in layers: names that no container engine unpacks.
const AUFS_PREFIX: &[u8] = b".wh..wh.";
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// One member of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// Something at a path.
    Entry(Entry),
    /// The directory at this path hides what lower layers have in it.
    Opaque(Vec<u8>),
    /// Nothing that a layer holds.
    Ignored,
}

/// Why a member of an archive cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum BadMember {
    /// Its name.
    #[error(transparent)]
    Entry(#[from] BadEntry),
    /// Sparse files in pax format are written by GNU tar with `--sparse` only, and never by
    /// container engines.
    #[error("`{0}` is a sparse file in pax format, which layers do not have")]
    Sparse(String),
    /// A number, link or type that makes no sense.
    #[error("`{path}` has {what}")]
    Field {
        /// The member.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The archive ended early or is none.
    #[error("the layer is not a sound tar archive: {0}")]
    Archive(io::Error),
}

/// What a member is in a layer.
pub(crate) fn member(found: &Found) -> Result<Member, BadMember> {
    let raw = found.path.as_slice();
    if found.header.entry_type() == EntryType::XGlobalHeader {
        return Ok(Member::Ignored);
    }
    let path = clean(raw)?;
    let (mtime, xattrs) = extensions(found)?;
    let Some(kind) = kind(found)? else {
        return Ok(Member::Ignored);
    };
    if let Some(marked) = mark(&path, &kind)? {
        return Ok(marked);
    }
    let header = &found.header;
    let field = |value: io::Result<u64>, what: &str| {
        value.ok().and_then(|value| u32::try_from(value).ok()).ok_or_else(|| bad(raw, what))
    };
    let entry = Entry {
        path,
        kind,
        mode: header.mode().map_err(|_| bad(raw, "no valid mode"))? & 0o7777,
        uid: field(header.uid(), "an owner beyond 32 bits")?,
        gid: field(header.gid(), "a group beyond 32 bits")?,
        mtime: mtime.unwrap_or_else(|| (header_mtime(header), 0)),
        xattrs,
    };
    entry.check()?;
    Ok(Member::Entry(entry))
}

fn kind(found: &Found) -> Result<Option<Kind>, BadMember> {
    let (raw, link, size) = (found.path.as_slice(), &found.link, found.size);
    let device = || {
        let number = |field: io::Result<Option<u32>>| field.ok().flatten();
        number(found.header.device_major())
            .zip(number(found.header.device_minor()))
            .ok_or_else(|| bad(raw, "no valid device number"))
    };
    Ok(Some(match found.header.entry_type() {
        EntryType::Directory => Kind::Dir,
        // Before there was a type for directories, a slash told them.
        EntryType::Regular if raw.ends_with(b"/") && size == 0 => Kind::Dir,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File { size },
        EntryType::Symlink if link.is_empty() || link.contains(&0) => {
            return Err(bad(raw, "a link that leads nowhere"));
        }
        EntryType::Symlink => Kind::Symlink { target: link.clone() },
        EntryType::Link => Kind::HardLink { target: clean(link)? },
        EntryType::Char => match device()? {
            (0, 0) => Kind::Whiteout,
            (major, minor) => Kind::Char { major, minor },
        },
        EntryType::Block => device().map(|(major, minor)| Kind::Block { major, minor })?,
        EntryType::Fifo => Kind::Fifo,
        _ => return Ok(None),
    }))
}

/// What a `.wh.` name stands for.
fn mark(path: &[u8], kind: &Kind) -> Result<Option<Member>, BadMember> {
    let (parent, name) = split(path);
    if parent.split(|b| *b == b'/').any(|name| name.starts_with(AUFS_PREFIX)) {
        return Ok(Some(Member::Ignored));
    }
    if name == OPAQUE_MARK {
        return Ok(Some(Member::Opaque(parent.to_vec())));
    }
    if name.starts_with(AUFS_PREFIX) {
        return Ok(Some(Member::Ignored));
    }
    match name.strip_prefix(WHITEOUT_PREFIX) {
        Some(b"" | b"." | b"..") => Err(BadEntry::Reserved(shown(path)).into()),
        Some(hidden) => {
            let entry = Entry::whiteout(join(parent, hidden));
            entry.check()?;
            Ok(Some(Member::Entry(entry)))
        }
        None if *kind == Kind::Whiteout => Ok(Some(Member::Entry(Entry::whiteout(path)))),
        None => Ok(None),
    }
}

type Extensions = (Option<(i64, u32)>, Vec<(Vec<u8>, Vec<u8>)>);

/// Time and attributes from the pax header.
fn extensions(found: &Found) -> Result<Extensions, BadMember> {
    let (mut mtime, mut xattrs) = (None, BTreeMap::new());
    for (key, value) in &found.pax {
        if key.starts_with(b"GNU.sparse.") {
            return Err(BadMember::Sparse(shown(&found.path)));
        } else if key == b"mtime" {
            mtime = Some(pax_time(value).ok_or_else(|| bad(&found.path, "no valid time"))?);
        } else if let Some(name) = key.strip_prefix(XATTR_PREFIX)
            && keeps_xattr(name)
        {
            xattrs.insert(name.to_vec(), value.clone());
        }
    }
    Ok((mtime, xattrs.into_iter().collect()))
}

/// Seconds, or seconds and a fraction, as pax writes times: `1700000000.25`, `-1.5`.
fn pax_time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    // The fraction of a time before 1970 points away from it.
    if whole.starts_with('-') && nanos > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos));
    }
    Some((seconds, nanos))
}

/// A header without a readable time is dated 1970, as tar programs do. GNU tar writes times before
/// 1970 as two's complement.
fn header_mtime(header: &Header) -> i64 {
    header.mtime().map_or(0, u64::cast_signed)
}

fn bad(raw: &[u8], what: &str) -> BadMember {
    BadMember::Field { path: shown(raw), what: what.to_owned() }
}
