//! One member of an archive, as its headers tell it (POSIX ustar and pax, GNU).

use std::io::{self, Read};

use rbuild_cache::layer::keeps_xattr;
use rbuild_cache::tree::Xattrs;
use tar::{Entry, EntryType};

use crate::worker::owner::Owner;

/// What an archive says about one path.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// Clean, relative to where the archive is unpacked; never empty.
    pub path: Vec<u8>,
    /// What it is.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// Numbers; the names that an archive may hold too are not asked.
    pub owner: Owner,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Those that a layer keeps, sorted.
    pub xattrs: Xattrs,
}

/// What a member is.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Dir,
    /// A file of so many bytes.
    File { size: u64 },
    /// A symbolic link.
    Symlink { target: Vec<u8> },
    /// Another name for the member or file at this path, which is clean as a member's is.
    HardLink { target: Vec<u8> },
    /// A character device.
    Char { major: u32, minor: u32 },
    /// A block device.
    Block { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
}

const XATTR: &str = "SCHILY.xattr.";

impl Member {
    /// Reads the headers. Nothing for the root itself, whose attributes stay, and for headers that
    /// are no members.
    pub fn read(entry: &mut Entry<'_, impl Read>) -> Result<Option<Member>, String> {
        let flag = entry.header().entry_type();
        if flag == EntryType::XGlobalHeader {
            return Ok(None);
        }
        let raw = entry.path_bytes().into_owned();
        let name = String::from_utf8_lossy(&raw).into_owned();
        let bad = |what: &str| format!("its member `{name}` has {what}");
        let path = clean(&raw).ok_or_else(|| bad("a name that leads out"))?;
        if path.is_empty() {
            return Ok(None);
        }
        let Extensions { mtime, xattrs, sparse } =
            extensions(entry).map_err(|error| bad(&error.to_string()))?;
        if sparse {
            return Err(bad("the pax form of a sparse file, which is not supported"));
        }
        let content = content(flag, &raw, entry).map_err(bad)?;
        let header = entry.header();
        let number = |field: io::Result<u64>| field.ok().and_then(|id| u32::try_from(id).ok());
        let owner = number(header.uid()).zip(number(header.gid()));
        let (uid, gid) = owner.ok_or_else(|| bad("an owner that is no number of 32 bits"))?;
        let seconds = header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
        Ok(Some(Member {
            path,
            content,
            mode: header.mode().map_err(|_| bad("no valid mode"))? & 0o7777,
            owner: Owner { uid, gid },
            mtime: mtime.unwrap_or((seconds.unwrap_or_default(), 0)),
            xattrs,
        }))
    }
}

fn content(
    flag: EntryType,
    raw: &[u8],
    entry: &Entry<'_, impl Read>,
) -> Result<Content, &'static str> {
    let link = || entry.link_name_bytes().filter(|l| !l.is_empty()).ok_or("a link to nowhere");
    let device = || {
        let header = entry.header();
        let number = |field: io::Result<Option<u32>>| field.ok().flatten();
        number(header.device_major())
            .zip(number(header.device_minor()))
            .ok_or("no valid device number")
    };
    Ok(match flag {
        EntryType::Directory => Content::Dir,
        // Before there was a type for directories, a slash told them.
        EntryType::Regular if raw.ends_with(b"/") => Content::Dir,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            Content::File { size: entry.size() }
        }
        EntryType::Symlink => Content::Symlink { target: link()?.into_owned() },
        EntryType::Link => {
            Content::HardLink { target: clean(&link()?).ok_or("a hard link that leads out")? }
        }
        EntryType::Char => device().map(|(major, minor)| Content::Char { major, minor })?,
        EntryType::Block => device().map(|(major, minor)| Content::Block { major, minor })?,
        EntryType::Fifo => Content::Fifo,
        _ => return Err("a type that cannot be unpacked"),
    })
}

/// What the pax header adds.
#[derive(Default)]
struct Extensions {
    /// To the nanosecond.
    mtime: Option<(i64, u32)>,
    xattrs: Xattrs,
    /// The bytes that follow begin with a map of the file's holes.
    sparse: bool,
}

fn extensions(entry: &mut Entry<'_, impl Read>) -> io::Result<Extensions> {
    let mut found = Extensions::default();
    let Some(records) = entry.pax_extensions()? else { return Ok(found) };
    for record in records {
        let record = record?;
        let Ok(key) = record.key() else { continue };
        if key == "mtime" {
            found.mtime = record.value().ok().and_then(time);
        } else if let Some(name) = key.strip_prefix(XATTR).filter(|n| keeps_xattr(n.as_bytes())) {
            found.xattrs.push((name.into(), record.value_bytes().to_vec()));
        }
        found.sparse |= key.starts_with("GNU.sparse.");
    }
    found.xattrs.sort();
    Ok(found)
}

/// `1700000000.123456789`
fn time(text: &str) -> Option<(i64, u32)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let digits = format!("{fraction:0<9}");
    let nanos: u32 = digits.get(..9)?.parse().ok()?;
    match text.starts_with('-') && nanos > 0 {
        true => Some((seconds - 1, 1_000_000_000 - nanos)),
        false => Some((seconds, nanos)),
    }
}

/// The path without `.`, doubled and leading slashes, and `..` resolved; none if it leads out.
fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
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
            assert_eq!(time(text), expected, "{text}");
        }
    }

    #[test]
    fn names_stay_inside() {
        let rows: &[(&[u8], Option<&[u8]>)] = &[
            (b"a/b", Some(b"a/b")),
            (b"./a//b/.", Some(b"a/b")),
            (b"/a", Some(b"a")),
            (b"a/../b", Some(b"b")),
            (b"./", Some(b"")),
            (b"..", None),
            (b"/../a", None),
            (b"a/../../b", None),
        ];
        for (path, expected) in rows {
            assert_eq!(clean(path).as_deref(), *expected, "{}", String::from_utf8_lossy(path));
        }
    }
}
