//! Reading a layer's archive: `.wh.` names and device 0:0 turned into the kinds that they mean.
//!
//! Nothing here touches the disk. What an archive may say is decided here; that a path stays inside
//! the layer is made sure again where it is written.

use super::entry::{BadEntry, Entry, Kind, OPAQUE_MARK, WHITEOUT_PREFIX, join, shown, split};
use crate::archive::{BadMember, Found, entry};

/// What aufs kept for itself in layers: names that no container engine unpacks.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

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

/// What a member is in a layer.
pub(crate) fn member(found: &Found) -> Result<Member, BadMember> {
    let Some(entry) = entry(found)? else { return Ok(Member::Ignored) };
    if let Some(marked) = mark(&entry)? {
        return Ok(marked);
    }
    entry.check()?;
    Ok(Member::Entry(entry))
}

/// What a `.wh.` name, or the device that overlayfs marks deletions with, stands for.
fn mark(entry: &Entry) -> Result<Option<Member>, BadEntry> {
    let (parent, name) = split(&entry.path);
    let aufs = |name: &[u8]| name.starts_with(AUFS_PREFIX);
    if parent.split(|b| *b == b'/').any(aufs) {
        return Ok(Some(Member::Ignored));
    }
    if name == OPAQUE_MARK {
        return Ok(Some(Member::Opaque(parent.to_vec())));
    }
    if aufs(name) {
        return Ok(Some(Member::Ignored));
    }
    let hidden = match name.strip_prefix(WHITEOUT_PREFIX) {
        Some(b"" | b"." | b"..") => return Err(BadEntry::Reserved(shown(&entry.path))),
        Some(hidden) => join(parent, hidden),
        None if entry.kind == (Kind::Char { major: 0, minor: 0 }) => entry.path.clone(),
        None => return Ok(None),
    };
    let whiteout = Entry::whiteout(hidden);
    whiteout.check()?;
    Ok(Some(Member::Entry(whiteout)))
}
