//! Following links by hand: `..` and absolute targets stay inside the tree's root.

use rustix::io::Errno;

use super::listing::Presence;
use super::node::{Node, NodeKind};
use super::{SelectError, Tree, join, lock};

/// As many as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// Where a path leads to.
pub(super) enum Resolved {
    /// Something that is there, under the path that has no links in it.
    At { path: Vec<u8>, node: Node, presence: Presence },
    /// `name` is not there in `directory`, maybe because of a rule.
    Absent(Absence),
}

/// Where a path ends before its end: `name` is not there in `directory`.
pub(super) struct Absence {
    pub(super) directory: Vec<u8>,
    pub(super) name: Vec<u8>,
    /// The rule that hides it.
    pub(super) rule: Option<usize>,
    /// The link that led here, and its target.
    pub(super) link: Option<(Vec<u8>, Vec<u8>)>,
}

/// One path, without following anything.
enum Looked {
    There(Node, Presence),
    Absent(Option<usize>),
}

impl Tree {
    /// Follows every link of `path`, the last one too.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Resolved, SelectError> {
        let mut rest: Vec<Vec<u8>> = components(path);
        let mut at = Vec::new();
        let mut here = self.peek(&at)?;
        let (mut links, mut link) = (0, None);
        while let Some(name) = rest.pop() {
            if name == b".." {
                at.truncate(parent_length(&at));
                here = self.peek(&at)?;
                continue;
            }
            let next = join(&at, &name);
            let (node, presence) = match self.peek(&next)? {
                Looked::There(node, presence) => (node, presence),
                Looked::Absent(rule) => {
                    return Ok(Resolved::Absent(Absence { directory: at, name, rule, link }));
                }
            };
            match &node.kind {
                NodeKind::Symlink { target } => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(SelectError::Loop { path: lossy(path) });
                    }
                    if target.starts_with(b"/") {
                        at.clear();
                        here = self.peek(&at)?;
                    }
                    rest.extend(components(target));
                    link = Some((next, target.clone()));
                }
                NodeKind::Dir => {
                    at = next;
                    here = Looked::There(node, presence);
                }
                _ => match rest.pop() {
                    None => return Ok(Resolved::At { path: next, node, presence }),
                    Some(name) => {
                        let absence = Absence { directory: next, name, rule: None, link };
                        return Ok(Resolved::Absent(absence));
                    }
                },
            }
        }
        Ok(match here {
            Looked::There(node, presence) => Resolved::At { path: at, node, presence },
            Looked::Absent(rule) => {
                Resolved::Absent(Absence { directory: at, name: Vec::new(), rule, link })
            }
        })
    }

    fn peek(&self, path: &[u8]) -> Result<Looked, SelectError> {
        if path.is_empty() {
            let root = self.shared.root.node(path).map_err(|e| self.io("stat", path, e))?;
            return Ok(
                root.map_or(Looked::Absent(None), |node| Looked::There(node, Presence::Included))
            );
        }
        let presence = self.presence(path, true);
        if let Presence::Hidden(rule) = presence {
            return Ok(Looked::Absent(Some(rule)));
        }
        Ok(match (self.known_or_stat(path)?, presence) {
            (None, _) => Looked::Absent(None),
            (Some(node), Presence::IfNeeded(rule)) if !node.is_dir() => Looked::Absent(Some(rule)),
            (Some(node), presence) => Looked::There(node, presence),
        })
    }

    /// What an earlier listing said holds: all selections of a build see one state of the tree.
    fn known_or_stat(&self, path: &[u8]) -> Result<Option<Node>, SelectError> {
        let split = parent_length(path);
        let name = path[split..].strip_prefix(b"/").unwrap_or(&path[split..]);
        let listing = lock(&self.shared.listings).get(&path[..split]).cloned();
        match listing {
            Some(listing) => Ok(listing.child(name).map(|child| child.node.clone())),
            None => self.stat(path),
        }
    }

    /// A directory that was swapped for a link meanwhile is as good as gone.
    pub(super) fn stat(&self, path: &[u8]) -> Result<Option<Node>, SelectError> {
        match self.shared.root.node(path) {
            Err(Errno::LOOP | Errno::XDEV) => Ok(None),
            node => node.map_err(|error| self.io("stat", path, error)),
        }
    }
}

/// The components, the first one last, without empty ones and `.`.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .rev()
        .collect()
}

/// How long the path of the parent is; 0 for the root, which is its own parent.
fn parent_length(path: &[u8]) -> usize {
    path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)
}

pub(super) fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
