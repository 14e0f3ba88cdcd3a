//! A file tree put together from layers (OCI image specification, "Image Layer Filesystem
//! Changeset"), and written as one line for each file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;

use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType};

/// The longest text that is shown beside its digest.
const SHOWN: usize = 60;

/// A tree: path without a leading slash to what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<Vec<u8>, Node>,
    /// Numbers for the bodies of files, so that hard links can be told from equal files.
    bodies: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    kind: Kind,
    mode: u32,
    uid: u64,
    gid: u64,
    /// Seconds, with a fraction if there is one.
    time: String,
    xattrs: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Dir,
    File { body: usize, text: String },
    Symlink(Vec<u8>),
    Device(char, u32, u32),
    Fifo,
}

impl Tree {
    /// Puts a layer, an uncompressed tar, on top.
    pub fn apply(&mut self, layer: &[u8]) {
        for entry in Archive::new(layer).entries().unwrap() {
            self.put(&mut entry.unwrap());
        }
    }

    fn put(&mut self, entry: &mut Entry<&[u8]>) {
        let path = clean(&entry.path_bytes());
        if path.is_empty() {
            // Whether a layer has an entry for the root is up to whoever writes it.
            return;
        }
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&path[..0], &path[..]),
        };
        if name == b".wh..wh..opq" {
            return self.remove_below(parent);
        }
        if let Some(name) = name.strip_prefix(b".wh.") {
            let hidden =
                if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() };
            return self.remove(&hidden);
        }
        let node = self.node(entry);
        if !path.is_empty() && node.kind != Kind::Dir {
            self.remove(&path);
        }
        self.files.insert(path, node);
    }

    fn node(&mut self, entry: &mut Entry<&[u8]>) -> Node {
        let link = entry.link_name_bytes().map(|it| it.into_owned()).unwrap_or_default();
        let kind = match entry.header().entry_type() {
            EntryType::Directory => Kind::Dir,
            EntryType::Symlink => Kind::Symlink(link),
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => device('c', entry),
            EntryType::Block => device('b', entry),
            EntryType::Link => return self.files[&clean(&link)].clone(),
            _ => {
                self.bodies += 1;
                Kind::File { body: self.bodies, text: describe(entry) }
            }
        };
        let (mut time, mut xattrs) = (entry.header().mtime().unwrap().to_string(), BTreeMap::new());
        for extension in entry.pax_extensions().unwrap().into_iter().flatten() {
            let extension = extension.unwrap();
            let key = extension.key().unwrap();
            if key == "mtime" {
                time = extension.value().unwrap().to_owned();
            } else if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
            }
        }
        let header = entry.header();
        Node {
            kind,
            mode: header.mode().unwrap() & 0o7777,
            uid: header.uid().unwrap(),
            gid: header.gid().unwrap(),
            time,
            xattrs,
        }
    }

    fn remove(&mut self, path: &[u8]) {
        self.files.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, path: &[u8]) {
        let prefix = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        self.files.retain(|path, _| !path.starts_with(&prefix));
    }

    /// A line for each file that is not the same in `base`. The time is told of `times` only.
    pub fn lines(&self, base: &Tree, times: &[String]) -> BTreeMap<String, String> {
        let groups = self.groups();
        let old_groups = base.groups();
        let mut lines = BTreeMap::new();
        for (path, node) in &self.files {
            let shown = shown(path);
            let with_time = times.contains(&shown);
            let line = node.line(path, &groups, with_time);
            let old = base.files.get(path).map(|old| old.line(path, &old_groups, false));
            if with_time || old.as_ref() != Some(&line) {
                lines.insert(shown, line);
            }
        }
        for path in base.files.keys().filter(|path| !self.files.contains_key(*path)) {
            lines.insert(shown(path), "gone".to_owned());
        }
        lines
    }

    /// The first path of each body that has several.
    fn groups(&self) -> BTreeMap<usize, Vec<&Vec<u8>>> {
        let mut groups: BTreeMap<usize, Vec<&Vec<u8>>> = BTreeMap::new();
        for (path, node) in &self.files {
            if let Kind::File { body, .. } = node.kind {
                groups.entry(body).or_default().push(path);
            }
        }
        groups.retain(|_, paths| paths.len() > 1);
        groups
    }
}

impl Node {
    fn line(&self, path: &[u8], groups: &BTreeMap<usize, Vec<&Vec<u8>>>, time: bool) -> String {
        let Node { kind, mode, uid, gid, .. } = self;
        let mut line = match kind {
            Kind::Dir => format!("dir {mode:04o} {uid}:{gid}"),
            Kind::Fifo => format!("fifo {mode:04o} {uid}:{gid}"),
            Kind::Device(kind, major, minor) => {
                format!("{kind} {mode:04o} {uid}:{gid} {major},{minor}")
            }
            Kind::Symlink(target) => format!("link {uid}:{gid} -> {}", shown(target)),
            Kind::File { text, .. } => format!("file {mode:04o} {uid}:{gid} {text}"),
        };
        for (name, value) in &self.xattrs {
            write!(line, " {name}={}", shown(value)).unwrap();
        }
        if let Kind::File { body, .. } = kind
            && let Some(group) = groups.get(body)
            && group[0] != path
        {
            write!(line, " same file as {}", shown(group[0])).unwrap();
        }
        if time {
            write!(line, " at {}", self.time).unwrap();
        }
        line
    }
}

fn device(kind: char, entry: &Entry<&[u8]>) -> Kind {
    let header = entry.header();
    let number = |it: std::io::Result<Option<u32>>| it.unwrap().unwrap();
    Kind::Device(kind, number(header.device_major()), number(header.device_minor()))
}

/// Size and digest of a file, and its text where that is short.
fn describe(entry: &mut Entry<&[u8]>) -> String {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = String::from_utf8(bytes.clone()).ok();
    let mut described = format!("{} sha256:{digest}", bytes.len());
    if let Some(text) = text.filter(|text| !text.is_empty() && text.len() <= SHOWN) {
        write!(described, " {text:?}").unwrap();
    }
    described
}

/// Without leading `./` or `/`, and without a slash at the end.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut path = path;
    while let Some(rest) = path.strip_prefix(b"./").or_else(|| path.strip_prefix(b"/")) {
        path = rest;
    }
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path == b"." { Vec::new() } else { path.to_vec() }
}

/// A path as text; bytes that are no text are `\xNN`.
fn shown(path: &[u8]) -> String {
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| write!(text, "\\x{byte:02x}").unwrap());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Tree;
    use crate::archive::tar;
    use crate::file::File;

    fn file(path: &str) -> File {
        File { path: path.to_owned(), ..File::default() }
    }

    fn tree(layers: &[&[File]]) -> Tree {
        let mut tree = Tree::default();
        layers.iter().for_each(|layer| tree.apply(&tar(layer)));
        tree
    }

    fn paths(layers: &[&[File]]) -> Vec<String> {
        tree(layers).lines(&Tree::default(), &[]).into_keys().collect()
    }

    #[test]
    fn whiteouts_remove_what_lies_below() {
        let base = [file("a/"), file("a/b"), file("a/c/"), file("a/c/d"), file("e")];
        assert_eq!(paths(&[&base, &[file("a/.wh.c")]]), ["a", "a/b", "e"]);
        assert_eq!(paths(&[&base, &[file("a/"), file("a/.wh..wh..opq")]]), ["a", "e"]);
        assert_eq!(paths(&[&base, &[file(".wh.a")]]), ["e"]);
        assert_eq!(paths(&[&base, &[file("a")]]), ["a", "e"]);
        assert_eq!(paths(&[&base, &[file("a/")]]), ["a", "a/b", "a/c", "a/c/d", "e"]);
    }

    #[test]
    fn only_what_differs_from_the_base_is_told() {
        let base = [file("same"), file("changed"), file("removed")];
        let mut changed = file("changed");
        changed.mode = Some("600".to_owned());
        let top = [changed, file("new"), file(".wh.removed")];
        let lines = tree(&[&base, &top]).lines(&tree(&[&base]), &[]);
        let told: Vec<String> =
            lines.iter().map(|(path, line)| format!("{path}: {}", &line[..4])).collect();
        assert_eq!(told, ["changed: file", "new: file", "removed: gone"]);
    }

    #[test]
    fn hard_links_name_their_group() {
        let mut other = file("b");
        other.hardlink = Some("a".to_owned());
        let lines = tree(&[&[file("a"), other, file("c")]]).lines(&Tree::default(), &[]);
        assert!(lines["b"].ends_with("same file as a"), "{}", lines["b"]);
        assert!(!lines["c"].contains("same file"), "{}", lines["c"]);
    }
}
