//! One entry of a layer, and the rules that its names must keep.
//!
//! The same type describes what goes into a layer and what comes out of it, whatever form the
//! layer has on disk. A deletion is a [`Kind`], not a magic name: the `.wh.` names of the OCI image
//! specification exist in archives only, and the marks of overlayfs only on disk.

use std::cmp::Ordering;

/// What a deleted name is prefixed with in an archive (OCI image-spec, layer, whiteouts).
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// The file whose presence in an archive hides what lower layers have in its directory.
pub(crate) const OPAQUE_MARK: &[u8] = b".wh..wh..opq";

/// The longest path that a layer may hold, in bytes: what Linux takes in one call.
const PATH_MAX: usize = 4095;
/// The longest name between two slashes, in bytes.
const NAME_MAX: usize = 255;

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root and clean: no leading, doubled or trailing `/`, no `.` or `..`. Empty
    /// for the root itself, whose attributes a layer may set but never exports.
    pub path: Vec<u8>,
    /// What is at the path.
    pub kind: Kind,
    /// The permission bits, with set-id and sticky: at most `0o7777`.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Seconds since 1970 and nanoseconds above them. Archives keep whole seconds.
    pub mtime: (i64, u32),
    /// Extended attributes, sorted by name. Those a layer does not keep are dropped: see
    /// [`keeps_xattr`].
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory that merges with the one below it.
    Dir,
    /// A directory that hides whatever lower layers have at its path.
    OpaqueDir,
    /// A regular file of `size` bytes.
    File {
        /// In bytes.
        size: u64,
    },
    /// A symbolic link; the target is any text.
    Symlink {
        /// As it was written.
        target: Vec<u8>,
    },
    /// Another name of a file in the same layer.
    HardLink {
        /// The path of the first name, in the form of [`Entry::path`].
        target: Vec<u8>,
    },
    /// A character device.
    Char {
        /// The driver.
        major: u32,
        /// The device of that driver.
        minor: u32,
    },
    /// A block device.
    Block {
        /// The driver.
        major: u32,
        /// The device of that driver.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// The path does not exist any more, whatever lower layers have there.
    Whiteout,
}

/// Why an entry cannot be in a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// `..` leads out of the root.
    #[error("`{0}` leads out of where it is unpacked")]
    Outside(String),
    /// An empty, dotted, overlong or NUL-holding name.
    #[error("`{0}` is not a path that a layer can hold")]
    Path(String),
    /// The name means a deletion once it is in an archive, or the device to overlayfs.
    #[error("`{0}` cannot be in a layer: `.wh.` names and device 0:0 mark deletions")]
    Reserved(String),
}

impl Entry {
    /// An entry with the given permission bits, owned by root, dated 1970, without xattrs.
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind, mode: u32) -> Entry {
        Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: (0, 0), xattrs: Vec::new() }
    }

    /// The name that [`Kind::Whiteout`] hides, as an entry.
    pub fn whiteout(path: impl Into<Vec<u8>>) -> Entry {
        Entry::new(path, Kind::Whiteout, 0)
    }

    /// What is told of a root that hides everything below it.
    pub(crate) fn opaque_root() -> Entry {
        Entry::new("", Kind::OpaqueDir, 0o755)
    }

    /// The same in a folder that is not of the layer: empty for the root.
    pub(crate) fn move_below(&mut self, folder: &[u8]) {
        self.path = join(folder, &self.path);
        if let Kind::HardLink { target } = &mut self.kind {
            *target = join(folder, target);
        }
    }

    /// A directory over a directory merges with it; anything else replaces.
    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir | Kind::OpaqueDir)
    }

    /// Checks everything that a caller could get wrong.
    pub(crate) fn check(&self) -> Result<(), BadEntry> {
        check_path(&self.path)?;
        match &self.kind {
            Kind::HardLink { target } => check_path(target),
            Kind::Char { major: 0, minor: 0 } => Err(BadEntry::Reserved(shown(&self.path))),
            _ if self.path.is_empty() && !self.is_dir() => Err(BadEntry::Path("/".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Whether a layer keeps the extended attribute: `user.*`, `security.capability` and POSIX ACLs.
/// Left out are those which describe the host (`security.selinux`, `trusted.*`), and those by which
/// overlayfs and rbuild mark their own files: an archive that brings them must not steer the kernel.
pub fn keeps_xattr(name: &[u8]) -> bool {
    let own = name.starts_with(b"user.overlay.") || name.starts_with(b"user.rbuild.");
    let kept = name.starts_with(b"user.")
        || name == b"security.capability"
        || name == b"system.posix_acl_access"
        || name == b"system.posix_acl_default";
    kept && !own && name.len() <= NAME_MAX && !name.contains(&b'=') && !name.contains(&0)
}

/// Order of a layer's entries: a directory, then everything in it, then its next sibling.
pub fn order(a: &[u8], b: &[u8]) -> Ordering {
    let pieces = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let start = 8 * pieces.take_while(|(a, b)| a == b).count();
    // A name holds no NUL, so a slash taken as NUL sorts before everything that a name can go on
    // with, as the end of the path does.
    let key = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    a[start..].iter().map(key).cmp(b[start..].iter().map(key))
}

/// The parent's path and the last name; the parent of a top-level name is the empty path.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// `name` in the directory `parent`.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

/// A path as archives have it, made relative and clean. `..` is taken back lexically.
pub(crate) fn clean(path: &[u8]) -> Result<Vec<u8>, BadEntry> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop().ok_or_else(|| BadEntry::Outside(shown(path)))?;
            }
            name => names.push(name),
        }
    }
    Ok(names.join(&b'/'))
}

/// A path as messages show it.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn check_path(path: &[u8]) -> Result<(), BadEntry> {
    if path.is_empty() {
        return Ok(());
    }
    let bad = |name: &[u8]| matches!(name, b"" | b"." | b"..") || name.len() > NAME_MAX;
    if path.len() > PATH_MAX || path.contains(&0) || path.split(|b| *b == b'/').any(bad) {
        return Err(BadEntry::Path(shown(path)));
    }
    if path.split(|b| *b == b'/').any(|name| name.starts_with(WHITEOUT_PREFIX)) {
        return Err(BadEntry::Reserved(shown(path)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_comes_before_what_is_in_it_and_that_before_its_sibling() {
        let mut paths: Vec<&[u8]> = vec![b"a.b", b"a/b", b"a", b"a/b/c", b"a-b", b"b", b"a/b.c"];
        paths.sort_by(|a, b| order(a, b));
        let expected: Vec<&[u8]> = vec![b"a", b"a/b", b"a/b/c", b"a/b.c", b"a-b", b"a.b", b"b"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn paths_of_archives_are_made_clean_or_refused() {
        let rows: [(&[u8], Option<&[u8]>); 9] = [
            (b"a/b", Some(b"a/b")),
            (b"./a//b/", Some(b"a/b")),
            (b"/etc/passwd", Some(b"etc/passwd")),
            (b"a/../b", Some(b"b")),
            (b".", Some(b"")),
            (b"./", Some(b"")),
            (b"..", None),
            (b"a/../../b", None),
            (b"/../b", None),
        ];
        for (path, expected) in rows {
            assert_eq!(clean(path).ok().as_deref(), expected, "{}", shown(path));
        }
    }

    #[test]
    fn entries_that_no_layer_can_hold_are_refused() {
        let long = "x".repeat(256);
        for path in ["/a", "a/", "a//b", "a/./b", "..", "a\0b", "a/.wh.b", ".wh.a/b", &long] {
            assert!(Entry::new(path, Kind::Fifo, 0).check().is_err(), "{path:?}");
        }
        assert!(Entry::new("w", Kind::Char { major: 0, minor: 0 }, 0).check().is_err());
        assert!(Entry::new("", Kind::Dir, 0o755).check().is_ok());
        assert!(Entry::new("", Kind::Fifo, 0o755).check().is_err());
        let target = b"../x".to_vec();
        assert!(Entry::new("a", Kind::HardLink { target }, 0).check().is_err());
    }

    #[test]
    fn only_attributes_of_the_image_are_kept() {
        let kept = ["user.x", "security.capability", "system.posix_acl_access"];
        let dropped =
            ["security.selinux", "trusted.overlay.opaque", "user.overlay.redirect", "user.a=b"];
        assert!(kept.iter().all(|name| keeps_xattr(name.as_bytes())));
        assert!(!dropped.iter().any(|name| keeps_xattr(name.as_bytes())));
    }
}
