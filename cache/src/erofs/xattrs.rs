//! Extended attributes behind an inode.

use std::io;

use super::unsupported;
use crate::layer::tree::{Inode, What};

/// What precedes the attributes: nothing in it is used.
const HEAD: usize = 12;
/// Prefixes that are written as a number. Those of POSIX ACLs are the whole name.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];

/// All attributes of an inode with the mark of an opaque directory; empty if there are none.
pub(super) fn bytes(inode: &Inode) -> io::Result<Vec<u8>> {
    let opaque = matches!(inode.what, What::Dir { opaque: true, .. });
    if inode.xattrs.is_empty() && !opaque {
        return Ok(Vec::new());
    }
    let mut out = vec![0; HEAD];
    for (name, value) in &inode.xattrs {
        add(&mut out, name, value)?;
    }
    if opaque {
        add(&mut out, b"trusted.overlay.opaque", b"y")?;
    }
    Ok(out)
}

fn add(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> io::Result<()> {
    let known = PREFIXES
        .iter()
        .find_map(|(prefix, number)| name.strip_prefix(*prefix).map(|rest| (*number, rest)));
    let (number, rest) = known.ok_or_else(|| unsupported("such an attribute"))?;
    let length = u8::try_from(rest.len()).map_err(|_| unsupported("so long an attribute"))?;
    let size = u16::try_from(value.len()).map_err(|_| unsupported("so large an attribute"))?;
    out.extend([length, number]);
    out.extend(size.to_le_bytes());
    out.extend_from_slice(rest);
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(())
}
