//! The content digest of a selection: what an op can see of it, and nothing else.
//!
//! | part | why |
//! |---|---|
//! | path relative to the destination: a file's own name, a directory's inner paths | where it comes from shows nowhere |
//! | kind, permission bits, owner and group where they count | the layer holds them |
//! | bytes and extended attributes of files, targets of links, numbers of devices | the layer holds them |
//! | which paths are one file | the layer keeps hard links |
//! | which directories only lead to others | the destination keeps their owners |
//!
//! Times are left out, and so is everything about a matched directory but that there is one, if its
//! contents are copied: the destination, which is made even for an empty one, has its own mode and
//! owner. A directory that is mounted ([`Top::Itself`]) shows its own.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;

use rayon::prelude::*;

use super::node::{Node, NodeKind, Time, Xattrs};
use super::select::{Found, Match, Reason, Selection};
use super::{Owners, Top, join, root};
use crate::ContentDigest;
use crate::stat::StatCache;

/// The digests of the files of a selection, in the order of [`Selection::all`]; none for others.
pub(super) type Digests = Vec<Option<ContentDigest>>;

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`", path.display())]
pub struct DigestError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Hashes what is read through it: what [`Selection::file_digests`] has for the same file.
pub struct Hashing<R> {
    inner: R,
    hasher: blake3::Hasher,
}

/// Files are read in pieces of at most this many bytes.
const PIECE: u64 = 8 << 20;

/// From this many bytes on, hashing a piece is spread over threads.
const SPREAD: usize = 512 << 10;

impl Selection {
    /// The content digest of everything that was selected. Files that `cache` knows are not read;
    /// the others are, on all cores, and `cache` knows them afterwards.
    pub fn digest(&self, cache: &StatCache) -> Result<ContentDigest, DigestError> {
        let files = self.hash_files(cache)?;
        let (mut hasher, mut text) = (blake3::Hasher::new(), Vec::new());
        let mut groups = HashMap::new();
        for (position, ((one, found), file)) in self.all().zip(files).enumerate() {
            let top = found.path.is_empty();
            if top && found.node.is_dir() {
                bytes(&mut text, b"");
                if self.top == Top::Itself {
                    self.entry(&mut text, &found, *file);
                }
                continue;
            }
            bytes(&mut text, if top { &one.name } else { &found.path });
            let twin = match found.node.is_file() && found.node.links > 1 {
                true => *groups.entry(found.node.identity).or_insert(position),
                false => position,
            };
            self.entry(&mut text, &found, *file);
            // A name alone is a file as any other, whatever else links to it out of sight.
            text.push(u8::from(twin != position));
            if twin != position {
                text.extend((twin as u64).to_le_bytes());
            }
            if text.len() >= SPREAD {
                hasher.update_rayon(&text);
                text.clear();
            }
        }
        hasher.update_rayon(&text);
        Ok(ContentDigest::from_hasher(&hasher))
    }

    /// The digests of the files, in the order of [`Selection::all`], none for what is no file;
    /// nothing before [`Selection::digest`] was asked for.
    pub fn file_digests(&self) -> Option<&[Option<ContentDigest>]> {
        self.digests.get().map(Vec::as_slice)
    }

    fn hash_files(&self, cache: &StatCache) -> Result<&Digests, DigestError> {
        if self.digests.get().is_none() {
            let mut digests = vec![None; self.len()];
            let mut rest = digests.as_mut_slice();
            let own = |one| (one, rest.split_off_mut(..Match::len(one)).unwrap_or_default());
            let matches: Vec<_> = self.matches.iter().map(own).collect();
            matches.into_par_iter().try_for_each(|(one, own)| self.hash_match(one, own, cache))?;
            // Another thread may have been faster: what it read is as good.
            let _ = self.digests.set(digests);
        }
        Ok(self.digests.get_or_init(Digests::new))
    }

    /// Fills in the digests of the files among the paths of a match.
    fn hash_match(
        &self,
        one: &Match,
        digests: &mut [Option<ContentDigest>],
        cache: &StatCache,
    ) -> Result<(), DigestError> {
        digests.par_iter_mut().enumerate().try_for_each(|(position, digest)| {
            if let Some(found) = one.get(position).filter(|found| found.node.is_file()) {
                *digest = Some(self.hash_file(one, &found, cache)?);
            }
            Ok(())
        })
    }

    fn hash_file(
        &self,
        one: &Match,
        found: &Found<'_>,
        cache: &StatCache,
    ) -> Result<ContentDigest, DigestError> {
        if let Some(known) = cache.get(found.node) {
            return Ok(known);
        }
        let looked = Time::now();
        let read = || {
            let file = self.open(one, found)?;
            let before = open_node(&file)?;
            let digest = hash(&file, before.size)?;
            if open_node(&file)? == before {
                cache.put(&before, digest, looked);
            }
            Ok(digest)
        };
        read().map_err(|source| {
            let path = self.root.absolute(&join(&one.path, &found.path));
            DigestError { path, source }
        })
    }

    fn entry(&self, text: &mut Vec<u8>, found: &Found<'_>, file: Option<ContentDigest>) {
        let node = found.node;
        let (uid, gid) = match self.owners {
            Owners::Kept => (node.uid, node.gid),
            Owners::Root => (0, 0),
        };
        for number in [node.mode, uid, gid] {
            text.extend(number.to_le_bytes());
        }
        let device = |text: &mut Vec<u8>, kind: u8, major: u32, minor: u32| {
            text.push(kind);
            text.extend(major.to_le_bytes());
            text.extend(minor.to_le_bytes());
        };
        match &node.kind {
            NodeKind::Dir => {
                text.push(match found.reason {
                    Reason::Asked => b'd',
                    Reason::OnTheWay => b'w',
                });
                attributes(text, found.xattrs);
            }
            NodeKind::File => {
                text.push(b'f');
                text.extend(file.iter().flat_map(ContentDigest::as_bytes));
            }
            NodeKind::Symlink { target } => {
                text.push(b'l');
                bytes(text, target);
            }
            NodeKind::Fifo => text.push(b'p'),
            NodeKind::Socket => text.push(b's'),
            NodeKind::Char { major, minor } => device(text, b'c', *major, *minor),
            NodeKind::Block { major, minor } => device(text, b'b', *major, *minor),
        }
    }
}

impl<R: Read> Hashing<R> {
    /// Nothing read yet.
    pub fn new(inner: R) -> Hashing<R> {
        Hashing { inner, hasher: blake3::Hasher::new() }
    }

    /// The digest of a file with these bytes and extended attributes.
    pub fn finish(self, xattrs: &Xattrs) -> ContentDigest {
        file_digest(&self.hasher, xattrs)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(space)?;
        self.hasher.update(&space[..length]);
        Ok(length)
    }
}

/// The digest of a file with these bytes and extended attributes.
pub fn digest_of(bytes: &[u8], xattrs: &Xattrs) -> ContentDigest {
    let mut hasher = blake3::Hasher::new();
    match bytes.len() {
        SPREAD.. => hasher.update_rayon(bytes),
        _ => hasher.update(bytes),
    };
    file_digest(&hasher, xattrs)
}

/// The bytes of a file that has `size` of them: no more, should it have grown meanwhile, and fewer
/// if it is shorter now. What says to be empty is read to its end, since files of the kernel say so.
pub fn read_sized(mut file: &File, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => bytes.truncate(filled),
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if size == 0 {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The extended attributes of an open file that belong into an image.
pub fn read_xattrs(file: impl AsFd) -> io::Result<Xattrs> {
    Ok(root::xattrs(file)?)
}

fn open_node(file: &File) -> io::Result<Node> {
    let node = Node::new(&rustix::fs::fstat(file)?, || Ok::<_, rustix::io::Errno>(Vec::new()))?;
    match node.kind {
        NodeKind::File => Ok(node),
        _ => Err(io::Error::other("it is no regular file any more")),
    }
}

fn hash(mut file: &File, size: u64) -> io::Result<ContentDigest> {
    let xattrs = root::xattrs(file)?;
    if size <= PIECE {
        return Ok(digest_of(&read_sized(file, size)?, &xattrs));
    }
    let mut hasher = blake3::Hasher::new();
    let mut piece = Vec::with_capacity(PIECE as usize);
    while file.by_ref().take(PIECE).read_to_end(&mut piece)? > 0 {
        hasher.update_rayon(&piece);
        piece.clear();
    }
    Ok(file_digest(&hasher, &xattrs))
}

/// The digest of the bytes alone where there are no attributes, which is nearly always.
fn file_digest(content: &blake3::Hasher, xattrs: &Xattrs) -> ContentDigest {
    if xattrs.is_empty() {
        return ContentDigest::from_hasher(content);
    }
    let mut text = b"with attributes\0".to_vec();
    text.extend(content.finalize().as_bytes());
    attributes(&mut text, xattrs);
    ContentDigest::of(&text)
}

pub(super) fn attributes(text: &mut Vec<u8>, xattrs: &[(Vec<u8>, Vec<u8>)]) {
    text.extend((xattrs.len() as u64).to_le_bytes());
    for (name, value) in xattrs {
        bytes(text, name);
        bytes(text, value);
    }
}

fn bytes(text: &mut Vec<u8>, bytes: &[u8]) {
    text.extend((bytes.len() as u64).to_le_bytes());
    text.extend(bytes);
}
