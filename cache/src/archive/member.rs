//! One member of an archive, as its headers tell it (POSIX ustar and pax, GNU).

use std::collections::BTreeMap;
use std::io;

use tar::{EntryType, Header};

use super::reader::Found;
use crate::layer::entry::{clean, shown};
use crate::layer::{BadEntry, Entry, Kind, keeps_xattr};

const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// Why a member of an archive cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum BadMember {
    /// Its name.
    #[error(transparent)]
    Entry(#[from] BadEntry),
    /// Sparse files in pax format are written by GNU tar with `--sparse` only, and never by
    /// container engines.
    #[error("`{0}` is a sparse file in pax format, which is not supported")]
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
    #[error("it is not a sound tar archive: {0}")]
    Archive(io::Error),
}

/// What a member is; none for headers that are no members.
pub(crate) fn entry(found: &Found) -> Result<Option<Entry>, BadMember> {
    let raw = found.path.as_slice();
    if found.header.entry_type() == EntryType::XGlobalHeader {
        return Ok(None);
    }
    let path = clean(raw)?;
    let (mtime, xattrs) = extensions(found)?;
    let header = &found.header;
    let field = |text: &[u8], value: io::Result<u64>, what: &str| match value {
        _ if is_unset(text) => Ok(0),
        value => {
            value.ok().and_then(|value| u32::try_from(value).ok()).ok_or_else(|| bad(raw, what))
        }
    };
    Ok(Some(Entry {
        path,
        kind: kind(found)?,
        mode: header.mode().map_err(|_| bad(raw, "no valid mode"))? & 0o7777,
        uid: field(&header.as_old().uid, header.uid(), "an owner beyond 32 bits")?,
        gid: field(&header.as_old().gid, header.gid(), "a group beyond 32 bits")?,
        mtime: mtime.unwrap_or_else(|| (header_mtime(header), 0)),
        xattrs,
    }))
}

/// Whether a number was left out, which tar programs take for 0.
fn is_unset(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, 0 | b' '))
}

fn kind(found: &Found) -> Result<Kind, BadMember> {
    let (raw, link, size) = (found.path.as_slice(), &found.link, found.size);
    let device = || {
        let number = |field: io::Result<Option<u32>>| field.ok().flatten();
        number(found.header.device_major())
            .zip(number(found.header.device_minor()))
            .ok_or_else(|| bad(raw, "no valid device number"))
    };
    Ok(match found.header.entry_type() {
        EntryType::Directory => Kind::Dir,
        // Before there was a type for directories, a slash told them.
        EntryType::Regular if raw.ends_with(b"/") && size == 0 => Kind::Dir,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File { size },
        EntryType::Symlink if link.is_empty() || link.contains(&0) => {
            return Err(bad(raw, "a link that leads nowhere"));
        }
        EntryType::Symlink => Kind::Symlink { target: link.clone() },
        EntryType::Link => Kind::HardLink { target: clean(link)? },
        EntryType::Char => device().map(|(major, minor)| Kind::Char { major, minor })?,
        EntryType::Block => device().map(|(major, minor)| Kind::Block { major, minor })?,
        EntryType::Fifo => Kind::Fifo,
        _ => return Err(bad(raw, "a type that cannot be unpacked")),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_fraction() {
        let rows = [
            ("1700000000", Some((1_700_000_000, 0))),
            ("1700000000.5", Some((1_700_000_000, 500_000_000))),
            ("1.1234567891", Some((1, 123_456_789))),
            ("-1.25", Some((-2, 750_000_000))),
            ("x", None),
            ("1.x", None),
        ];
        for (text, expected) in rows {
            assert_eq!(pax_time(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn an_owner_that_was_left_out_is_root() {
        for (uid, expected) in
            [(*b"\0\0\0\0\0\0\0\0", Some(0)), (*b"0000017\0", Some(15)), (*b"no owner", None)]
        {
            let mut header = Header::new_gnu();
            header.as_old_mut().uid = uid;
            header.set_mode(0o644);
            let (path, link, pax) = (b"a".to_vec(), Vec::new(), Vec::new());
            let found = Found {
                header: Box::new(header),
                path,
                link,
                size: 0,
                start: 0,
                pax,
                sparse: None,
            };
            let entry = entry(&found).ok().map(|entry| entry.unwrap().uid);
            assert_eq!(entry, expected, "{uid:?}");
        }
    }
}
