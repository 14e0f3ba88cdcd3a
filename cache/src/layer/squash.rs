//! Several layers as one directory, so that a deep stack stays shallow for the kernel.
//!
//! Overlayfs takes 500 layers, and looks a name up in one after the other. Of a stack of more than
//! a hundred, the lower ones are shown in groups: a group is a directory of hard links, made once
//! per process, with the marks of its layers where they still hide something further below. No
//! bytes are copied, but for small layers that are a tar with an index: those are unpacked first.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::slice::Chunks;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};

use super::dir::DirWriter;
use super::entry::{Entry, Kind, join, shown};
use super::indexed::TAR;
use super::marks::{self, Rights};
use super::walk::{described, walk};
use super::{Layers, MountError};
use crate::db::Form;
use crate::fs::{self, FsError};
use crate::id::LayerId;
use crate::scratch::Scratch;

/// How many layers make a group. As many at least, and less than twice as many, stay as they are at
/// the top of a deep stack, so that a group serves all that is built upon it.
const GROUP: usize = 64;

/// A layer with a tar of more bytes than this is not unpacked: it stays by itself.
const UNPACKED_AT_MOST: u64 = 1 << 20;

/// Directories that show the same as a group of layers.
#[derive(Debug)]
pub(super) struct Squashed {
    /// The topmost first.
    pub(super) lowers: Vec<PathBuf>,
    _made: Scratch,
}

/// One directory of the group.
struct Merged {
    /// As its topmost layer has it; opaque if nothing below the group may show through.
    entry: Entry,
    /// The layers that have a part of it, the topmost first.
    layers: Vec<usize>,
}

/// Puts directories over each other as overlayfs would.
struct Squash {
    /// The topmost first.
    layers: Vec<OwnedFd>,
    out: DirWriter,
    rights: Rights,
}

/// Parts a stack into the groups to squash and the layers above them.
pub(super) fn groups(layers: &[LayerId]) -> (Chunks<'_, LayerId>, &[LayerId]) {
    let below = (layers.len() / GROUP).saturating_sub(1) * GROUP;
    let (below, above) = layers.split_at(below);
    (below.chunks(GROUP), above)
}

impl Layers {
    /// Makes directories that show what `group` shows, whose bottom is first.
    pub(super) fn squash(&self, group: &[LayerId]) -> Result<Squashed, MountError> {
        let made = Scratch::new(&self.inner.root)?;
        let (mut lowers, mut run) = (Vec::new(), Vec::new());
        for (number, layer) in group.iter().enumerate().rev() {
            match self.linkable(layer, &made.path().join(format!("unpacked{number}")))? {
                Some(dir) => run.push(dir),
                None => {
                    self.squash_run(&mut run, &made, &mut lowers)?;
                    lowers.push(self.lower(layer)?);
                }
            }
        }
        self.squash_run(&mut run, &made, &mut lowers)?;
        Ok(Squashed { lowers, _made: made })
    }

    /// A directory whose files can get second names in the store; none for a layer that is better
    /// left as it is.
    fn linkable(&self, layer: &LayerId, unpacked: &Path) -> Result<Option<PathBuf>, MountError> {
        let shown = self.lower(layer)?;
        if self.row(layer)?.is_some_and(|row| row.form == Some(Form::Directory)) {
            return Ok(Some(shown));
        }
        let tar = self.inner.root.layer(layer).join(TAR);
        if fs::file_size(&tar)?.is_none_or(|size| size > UNPACKED_AT_MOST) {
            return Ok(None);
        }
        let failed = |cause| FsError::new("unpack", &shown, cause);
        unpack(&shown, unpacked, self.inner.rights).map_err(failed)?;
        Ok(Some(unpacked.to_owned()))
    }

    /// Turns the directories in `run` into one, and puts that below `lowers`.
    fn squash_run(
        &self,
        run: &mut Vec<PathBuf>,
        made: &Scratch,
        lowers: &mut Vec<PathBuf>,
    ) -> Result<(), FsError> {
        if run.len() > 1 {
            let out = made.path().join(format!("squashed{}", lowers.len()));
            let failed = |cause| FsError::new("squash layers into", &out, cause);
            squash(run, &out, self.inner.rights).map_err(failed)?;
            *run = vec![out];
        }
        lowers.append(run);
        Ok(())
    }
}

/// Copies what is seen at `from`, a mounted layer, to the new directory `to`.
fn unpack(from: &Path, to: &Path, rights: Rights) -> io::Result<()> {
    let mut out = DirWriter::create(to, rights).map_err(io::Error::other)?;
    let walked = walk(from, rights, &mut |entry, body| {
        let added = match (&entry.kind, body) {
            (Kind::File { size }, Some(body)) => out.add(&entry, &mut body.reader(*size)),
            _ => out.add(&entry, &mut io::empty()),
        };
        added.map_err(|cause| FsError::new("write", &to.join(shown(&entry.path)), cause).into())
    });
    walked.map_err(io::Error::other)?;
    out.finish()
}

/// Makes the new directory `out` show what `layers` show, the topmost first.
fn squash(layers: &[PathBuf], out: &Path, rights: Rights) -> io::Result<()> {
    let layers = layers.iter().map(|path| open_root(path)).collect::<io::Result<_>>()?;
    let out = DirWriter::create(out, rights).map_err(io::Error::other)?;
    let mut squash = Squash { layers, out, rights };
    let mut pending = vec![squash.root()?];
    while let Some(dir) = pending.pop() {
        squash.out.add(&dir.entry, &mut io::empty())?;
        pending.extend(squash.fill(&dir)?);
    }
    squash.out.finish()
}

impl Squash {
    fn root(&self) -> io::Result<Merged> {
        let roots = self.layers.iter().map(|root| dir_entry(root.as_fd(), b"", b"", self.rights));
        let mut merged: Option<Merged> = None;
        for (layer, entry) in roots.enumerate() {
            let entry = entry?;
            match &mut merged {
                None => merged = Some(Merged { entry, layers: vec![layer] }),
                Some(merged) => merged.merge(layer, entry),
            }
        }
        merged.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives the files of `dir` their names, and tells which directories are in it.
    fn fill(&mut self, dir: &Merged) -> io::Result<Vec<Merged>> {
        let path = &dir.entry.path;
        let mut names: HashMap<Vec<u8>, Option<Merged>> = HashMap::new();
        for &layer in &dir.layers {
            let here = open_below(self.layers[layer].as_fd(), path)?;
            for (name, is_dir) in list(&here)? {
                let inner = join(path, &name);
                match (names.get_mut(&name), is_dir) {
                    (None, true) => {
                        let entry = dir_entry(here.as_fd(), &name, &inner, self.rights)?;
                        names.insert(name, Some(Merged { entry, layers: vec![layer] }));
                    }
                    (None, false) => {
                        self.out.adopt(here.as_fd(), &name, &inner)?;
                        names.insert(name, None);
                    }
                    (Some(Some(upper)), true) => {
                        upper.merge(layer, dir_entry(here.as_fd(), &name, &inner, self.rights)?);
                    }
                    (Some(Some(upper)), false) => upper.entry.kind = Kind::OpaqueDir,
                    (Some(None), _) => {}
                }
            }
        }
        Ok(names.into_values().flatten().collect())
    }
}

impl Merged {
    /// The same directory in a lower layer: it shows through unless this one hides it, and hides
    /// what is below if it is opaque itself.
    fn merge(&mut self, layer: usize, below: Entry) {
        if self.entry.kind == Kind::Dir {
            self.layers.push(layer);
            self.entry.kind = below.kind;
        }
    }
}

/// The directory `name` in `dir`, or `dir` itself, as an entry.
fn dir_entry(dir: BorrowedFd<'_>, name: &[u8], path: &[u8], rights: Rights) -> io::Result<Entry> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let stat = rustix::fs::statat(dir, name, flags)?;
    let found = marks::read(dir, name, rights)?;
    let kind = if found.opaque { Kind::OpaqueDir } else { Kind::Dir };
    Ok(described(path, kind, &stat, found))
}

/// The names in a directory, and which are directories.
fn list(dir: &OwnedFd) -> io::Result<Vec<(Vec<u8>, bool)>> {
    let mut names = Vec::new();
    for item in rustix::fs::Dir::read_from(dir)? {
        let item = item?;
        let name = item.file_name();
        let kind = match item.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push((name.to_bytes().to_vec(), kind == FileType::Directory));
        }
    }
    Ok(names)
}

fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// A directory of one layer, which no link in the layer leads away from.
fn open_below(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?)
}
