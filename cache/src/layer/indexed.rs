//! A new layer as a tar with an EROFS index over it.
//!
//! The tar is the layer's archive, byte for byte what its tree gives, so that its digest is the
//! diffID. Where entries come in another order than an archive's, or replace each other, the tar is
//! written a second time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::TarWriter;
use super::dir::room;
use super::entry::{Entry, Kind, order};
use super::pipe::{Pipe, Written};
use super::source::Body;
use super::tree::{Ino, Taken, Tree, What};
use super::unpack::{self, Member};
use crate::archive::{BadMember, TarReader};
use crate::digest::Digest;
use crate::erofs;
use crate::fs::{self, FsError};

/// The names of the two files in a layer's folder.
pub(crate) const TAR: &str = "layer.tar";
pub(crate) const INDEX: &str = "layer.erofs";

/// Writes `layer.tar` in a folder, and at the end `layer.erofs`.
#[derive(Debug)]
pub(crate) struct IndexedWriter {
    folder: PathBuf,
    tar: TarWriter<Pipe>,
    tree: Tree,
    last: Option<Vec<u8>>,
    /// The first name of each file that has more.
    first_names: HashMap<Ino, Vec<u8>>,
    /// Whether the tar so far is the archive of the tree so far.
    is_archive: bool,
}

/// What became of the entries.
pub(crate) enum Finished {
    /// Both files are there; this is the tar's digest.
    Indexed(Digest),
    /// The tree has something that EROFS cannot say. The tar is there.
    Unsupported,
}

impl IndexedWriter {
    pub(crate) fn create(folder: &Path) -> Result<IndexedWriter, FsError> {
        Ok(IndexedWriter {
            folder: folder.to_owned(),
            tar: TarWriter::new(Pipe::create(&folder.join(TAR))?),
            tree: Tree::new(),
            last: None,
            first_names: HashMap::new(),
            is_archive: true,
        })
    }

    /// Adds one checked entry.
    pub(crate) fn add(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        if let Kind::File { size } = entry.kind {
            room(size, || rustix::fs::statvfs(&self.folder))?;
        }
        for parent in self.tree.missing_parents(&entry.path) {
            self.add_one(&parent, &mut io::empty())?;
        }
        self.add_one(entry, data)
    }

    /// Ends the tar and indexes it.
    pub(crate) fn finish(self) -> io::Result<Finished> {
        let path = self.folder.join(TAR);
        let mut written = self.tar.finish()?.finish()?;
        let mut tree = self.tree;
        if !self.is_archive {
            written = rewrite(&mut tree, &path)?;
        }
        index(&tree, written.digest, written.size, &self.folder)
    }

    fn add_one(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        let (taken, ino) = self.tree.add(entry, 0)?;
        let Some(ino) = ino else { return Ok(()) };
        if entry.path.is_empty() && entry.kind == Kind::Dir {
            return Ok(());
        }
        let in_order = self.last.as_ref().is_none_or(|last| order(last, &entry.path).is_lt());
        self.is_archive &= taken == Taken::Plainly && in_order;
        let mut told = self.tree.inode(ino).entry(entry.path.clone());
        if let Kind::HardLink { target } = &entry.kind {
            // Where a link leads to the target, the archive has it by its own name.
            self.is_archive &= self.tree.at(target) == Some(ino);
            let first = self.first_names.entry(ino).or_insert_with(|| target.clone());
            told.kind = Kind::HardLink { target: first.clone() };
        }
        let start = self.tar.add(&told, data)?;
        if matches!(told.kind, Kind::File { .. }) {
            self.tree.set_start(ino, start);
        }
        self.last = Some(entry.path.clone());
        Ok(())
    }
}

/// Indexes a tar that somebody else wrote, `layer.tar` in `folder`.
pub(crate) fn index_tar(folder: &Path, tar: &Written) -> Result<Finished, BadMember> {
    let file = fs::open(&folder.join(TAR)).map_err(|error| BadMember::Archive(error.into()))?;
    let (tree, sparse) = read_tree(file)?;
    if sparse {
        return Ok(Finished::Unsupported);
    }
    index(&tree, tar.digest, tar.size, folder).map_err(BadMember::Archive)
}

/// The tree that a tar describes, and whether it has sparse files: their data is not in one piece.
pub(crate) fn read_tree(tar: File) -> Result<(Tree, bool), BadMember> {
    let mut archive = TarReader::new(BufReader::with_capacity(16 << 10, tar));
    let (mut tree, mut sparse) = (Tree::new(), false);
    while let Some(found) = archive.next().map_err(BadMember::Archive)? {
        sparse |= found.sparse.is_some();
        let done = match unpack::member(&found)? {
            Member::Entry(entry) => tree.add(&entry, found.start).map(|_| ()),
            Member::Opaque(path) => tree.opaque(&path),
            Member::Ignored => Ok(()),
        };
        done.map_err(|error| BadMember::Field {
            path: super::entry::shown(&found.path),
            what: error.to_string(),
        })?;
    }
    Ok((tree, sparse))
}

/// Writes the tree's archive in the place of the tar that has its files.
fn rewrite(tree: &mut Tree, path: &Path) -> io::Result<Written> {
    let new = path.with_extension("new");
    let mut tar = TarWriter::new(Pipe::create(&new)?);
    let old = Arc::new(fs::open(path)?);
    let mut starts = Vec::new();
    tree.each(&mut |entry, ino| {
        let start = match (&entry.kind, &tree.inode(ino).what) {
            (Kind::File { size }, What::File { start, .. }) => {
                let body = Body { file: Arc::clone(&old), offset: *start };
                tar.add(&entry, &mut body.reader(*size))?
            }
            _ => return tar.add(&entry, &mut io::empty()).map(|_| ()),
        };
        starts.push((ino, start));
        Ok::<_, io::Error>(())
    })?;
    for (ino, start) in starts {
        tree.set_start(ino, start);
    }
    let written = tar.finish()?.finish()?;
    fs::rename(&new, path)?;
    Ok(written)
}

fn index(tree: &Tree, digest: Digest, size: u64, folder: &Path) -> io::Result<Finished> {
    let path = folder.join(INDEX);
    let mut out = io::BufWriter::with_capacity(256 << 10, fs::create_file(&path)?);
    match erofs::write(tree, size, &mut out) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            fs::remove_file(&path)?;
            return Ok(Finished::Unsupported);
        }
        done => done?,
    }
    out.flush()?;
    Ok(Finished::Indexed(digest))
}
