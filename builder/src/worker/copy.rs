//! `COPY` and `ADD`: what was selected, put onto an image, as the entries of one layer.
//!
//! The rules are BuildKit's:
//! - The destination is followed through links, inside of the image's root; what lies below a
//!   copied directory is not: there a file takes the place of a link.
//! - A directory's contents are copied. The destination keeps its mode and owner if it is there,
//!   and does not get those of the source if it is new; directories below get them.
//! - A file never takes the place of a directory, nor the other way round; in archives they do.
//! - Directories that have to be made are 0755 and root's, or what `--chmod` (octal) and `--chown`
//!   say. Where the destination is a directory, such a mode lets nobody but the owner write.
//!
//! A file that an image cannot hold is an error here and passes in Docker. Of what Docker does and the
//! author hardly meant, the user is warned: an owner that the image does not know, several files
//! onto one.

mod mode;
mod plan;
mod rules;
pub(super) mod target;
mod unpack;
mod write;

use std::io::{self, Read};
use std::sync::Arc;

use rbuild_cache::ContentDigest;
use rbuild_cache::LayerWriter;
use rbuild_cache::archive::{self, ArchiveError, BadMember};
use rbuild_cache::layer::{Entry, Kind, WriteError};
use rbuild_cache::tree::{self, Found, Match, NodeKind, Reason, SelectError, Selection};
use rbuild_solver::op::{CopyOp, CopySource, Unpack};

use self::mode::BadMode;
use self::plan::{Made, Origin};
use self::rules::{Destination, Rules};
use self::target::{Below, NewDir, Target, There, absolute, join};
use self::write::{Origins, write};
use super::owner::OwnerError;
use crate::source::limits::BYTES;

/// One `COPY` or `ADD` with everything that it needs.
pub struct Copy<'a> {
    /// What to do.
    pub op: &'a CopyOp,
    /// The tree that the files go onto.
    pub below: Below<'a>,
    /// What was selected, for each [`CopySource::Input`] in order.
    pub selections: &'a [Arc<Selection>],
    /// The time of what has none of its own: directories that have to be made, inline files.
    pub time: (i64, u32),
    /// How much each archive may hold.
    pub limits: archive::Limits,
}

/// What a copy was like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Source files whose bytes were not those that the selection's digest stands for. If there are
    /// any, the layer must not be recorded under a key that was made of the digest.
    pub changed: Vec<String>,
    /// What the user should know of the result: one line each.
    pub warnings: Vec<String>,
    /// Where the image, as far as it was not fetched, was taken to have nothing.
    pub guessed: Vec<Vec<u8>>,
}

/// Takes the entries of a layer.
pub trait Sink: Send {
    /// Adds one. It takes the place of an earlier one at its path.
    fn add(&mut self, entry: &Entry, data: Option<&mut dyn Read>) -> Result<(), WriteError>;
}

impl Sink for LayerWriter {
    fn add(&mut self, entry: &Entry, data: Option<&mut dyn Read>) -> Result<(), WriteError> {
        LayerWriter::add(self, entry, data)
    }
}

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// `--chown`.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// `--chmod`.
    #[error(transparent)]
    Mode(#[from] BadMode),
    /// A directory would go onto a file, or a path leads through one.
    #[error("`{0}` is not a directory")]
    NotADirectory(String),
    /// A file would go onto a directory.
    #[error("cannot replace the directory `{0}` with a file")]
    ReplacesDirectory(String),
    /// What is there has to be looked up in layers that were not fetched.
    #[error("what the image has at `{0}` was not fetched")]
    Unseen(String),
    /// Links of the image that lead to each other.
    #[error("`{0}` leads through too many symbolic links")]
    Loop(String),
    /// In an overlay file system it is the mark of a deleted file.
    #[error("cannot copy `{0}`: a character device 0:0 stands for a deleted file in an image")]
    DeletionMark(String),
    /// A source cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An archive is damaged, or holds what no image may.
    #[error("cannot unpack `{archive}`: {cause}")]
    Archive {
        /// Which.
        archive: String,
        /// What is wrong with it.
        cause: BadMember,
    },
    /// An archive holds more than it may.
    #[error("cannot unpack `{archive}`: {cause}; {BYTES} sets the limit of bytes")]
    TooMuch {
        /// Which.
        archive: String,
        /// What it has too much of.
        cause: ArchiveError,
    },
    /// A hard link of an archive has no file to be another name of.
    #[error(
        "cannot unpack `{archive}`: it has a hard link to `{target}`, and there is no such file"
    )]
    HardLink {
        /// Which.
        archive: String,
        /// The path as the archive has it.
        target: String,
    },
    /// The image's tree cannot be opened.
    #[error(transparent)]
    Open(#[from] tree::OpenError),
    /// The image's tree cannot be read.
    #[error(transparent)]
    Image(#[from] SelectError),
    /// The layer cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Copies, into `sink`.
pub fn copy(copy: &Copy<'_>, sink: &mut dyn Sink) -> Result<Copied, CopyError> {
    let target = Target::new(copy.below)?;
    let mut copied = Copied::default();
    let rules = Rules::new(copy, target.base(), &mut |line| copied.warnings.push(line))?;
    let dest = Destination::new(&copy.op.dest);
    let (sources, single) = (Vec::new(), Single::None);
    let limits = copy.limits;
    let mut run = Run { rules, dest, target, sources, sink, single, copied, limits };
    let mut selections = copy.selections.iter();
    for source in &copy.op.sources {
        match source {
            CopySource::Input { unpack, .. } => {
                let all = |selection| Source::all(selection, *unpack);
                for source in selections.next().into_iter().flat_map(|s| all(s)) {
                    run.sources.push(source);
                    run.place(&source)?;
                }
            }
            CopySource::Inline { name, data } => run.inline(name.as_bytes(), data)?,
        }
    }
    run.flush()?;
    run.copied.guessed = run.target.guessed();
    Ok(run.copied)
}

/// One match of a selection.
#[derive(Clone, Copy)]
struct Source<'a> {
    selection: &'a Selection,
    one: &'a Match,
    unpack: Unpack,
    /// Of the match and what is below it, once they are known.
    digests: Option<&'a [Option<ContentDigest>]>,
}

struct Run<'a, 's> {
    rules: Rules,
    dest: Destination,
    target: Target<'a>,
    /// Those that were placed so far; the last one is being placed.
    sources: Vec<Source<'a>>,
    sink: &'s mut dyn Sink,
    single: Single,
    copied: Copied,
    limits: archive::Limits,
}

/// How many files went to the destination by its own name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Single {
    None,
    One,
    Several,
}

impl<'a> Run<'a, '_> {
    /// Puts one match where it belongs.
    fn place(&mut self, source: &Source<'a>) -> Result<(), CopyError> {
        if source.one.top.node.is_dir() {
            return self.directory(source);
        }
        if source.unpack == Unpack::Archives && source.is_archive()? {
            return self.unpack(source);
        }
        let at = self.file_target(&source.one.name)?;
        self.leaf(at, source, &source.one.found(), 0)
    }

    /// A file that the Dockerfile holds.
    fn inline(&mut self, name: &[u8], data: &'a [u8]) -> Result<(), CopyError> {
        let path = self.file_target(name)?;
        self.occupy(&path)?;
        let mut entry = Entry::new(path, Kind::File { size: data.len() as u64 }, 0o644);
        if let Some(mode) = &self.rules.mode {
            entry.mode = mode.apply(entry.mode, false);
        }
        let owner = self.rules.owner.unwrap_or_default();
        (entry.uid, entry.gid, entry.mtime) = (owner.uid, owner.gid, self.rules.time);
        self.target.plan.entry(entry, data, Made::File);
        Ok(())
    }

    /// Where a file of that name goes; the directories above it are made.
    fn file_target(&mut self, name: &[u8]) -> Result<Vec<u8>, CopyError> {
        let dest = self.target.resolve(b"", &self.dest.path)?;
        let there = self.target.look(&dest)?;
        let into = self.dest.is_dir || there.as_ref().is_some_and(There::is_dir);
        let at = if into { join(&dest, name) } else { dest };
        if !into {
            self.count_single(&at);
        }
        let new = self.rules.new_dir();
        self.parents(&at, if into { new.masked() } else { new })?;
        Ok(at)
    }

    /// Each but the last file is lost. That is said once, however many there are.
    fn count_single(&mut self, at: &[u8]) {
        if self.single == Single::One {
            self.copied.warnings.push(format!(
                "several files are copied to `{}`, and only the last of them stays: if it is to be \
                 a folder, end it with a `/`",
                absolute(at)
            ));
        }
        self.single = if self.single == Single::None { Single::One } else { Single::Several };
    }

    /// Copies the contents of a directory.
    fn directory(&mut self, source: &Source<'a>) -> Result<(), CopyError> {
        let top = &source.one.top.node;
        let dest = self.target.resolve(b"", &self.dest.path)?;
        if !dest.is_empty() {
            let new = self.rules.new_dir().masked();
            self.parents(&dest, new)?;
            if let Some(entry) = self.target.directory(&dest, new)? {
                self.plan_directory(entry);
            }
            self.target.plan.set_time(&dest, (top.mtime.seconds, top.mtime.nanos));
        }
        for (found, position) in source.one.below.iter().zip(1..) {
            let at = join(&dest, &found.path);
            if found.node.is_dir() {
                self.inner_directory(at, source, &found)?;
            } else {
                self.leaf(at, source, &found, position)?;
            }
        }
        Ok(())
    }

    /// A directory below a copied one: whatever it was, it becomes what the source is. One that only
    /// leads to what was asked for, and is there, gets no more than the source's mode.
    fn inner_directory(
        &mut self,
        at: Vec<u8>,
        source: &Source<'a>,
        found: &Found<'_>,
    ) -> Result<(), CopyError> {
        let there = self.target.look(&at)?;
        let made = match &there {
            None | Some(There::Made(Made::NewDir)) => Made::NewDir,
            Some(there) if there.is_dir() => Made::Dir,
            Some(_) => return Err(CopyError::NotADirectory(absolute(&at))),
        };
        let mut entry = self.rules.entry(at, Kind::Dir, found.node, source.selection.owners);
        entry.xattrs = found.xattrs.to_vec();
        if found.reason == Reason::OnTheWay {
            self.keep(&mut entry, there.as_ref(), found.node.mode);
        }
        self.target.plan.entry(entry, &[], made);
        Ok(())
    }

    /// What is there keeps owner and attributes; to Docker `--chmod` does not reach it either.
    fn keep(&self, entry: &mut Entry, there: Option<&There>, mode: u32) {
        let (uid, gid, xattrs) = match there {
            Some(There::Base(found)) => (found.node.uid, found.node.gid, &found.xattrs),
            Some(There::Made(_)) => match self.target.plan.planned(&entry.path) {
                Some(planned) => (planned.uid, planned.gid, &planned.xattrs),
                None => return,
            },
            None => return,
        };
        (entry.mode, entry.uid, entry.gid) = (mode, uid, gid);
        entry.xattrs.clone_from(xattrs);
    }

    /// Anything but a directory.
    fn leaf(
        &mut self,
        at: Vec<u8>,
        source: &Source<'a>,
        found: &Found<'_>,
        position: u32,
    ) -> Result<(), CopyError> {
        self.occupy(&at)?;
        let node = found.node;
        let (kind, made) = match &node.kind {
            NodeKind::File | NodeKind::Dir => {
                let source = (self.sources.len() - 1) as u32;
                self.target.plan.file(&at, Origin { source, position });
                return Ok(());
            }
            NodeKind::Symlink { target } => {
                (Kind::Symlink { target: target.clone() }, Made::symlink(target))
            }
            NodeKind::Char { major: 0, minor: 0 } => {
                return Err(CopyError::DeletionMark(source.shown(found)));
            }
            NodeKind::Char { major, minor } => {
                (Kind::Char { major: *major, minor: *minor }, Made::Other)
            }
            NodeKind::Block { major, minor } => {
                (Kind::Block { major: *major, minor: *minor }, Made::Other)
            }
            NodeKind::Fifo => (Kind::Fifo, Made::Other),
            // No image holds a socket: it is a thing of the process that listens.
            NodeKind::Socket => (Kind::File { size: 0 }, Made::File),
        };
        let entry = self.rules.entry(at, kind, node, source.selection.owners);
        self.target.plan.entry(entry, &[], made);
        Ok(())
    }

    /// What is no directory may take the place of whatever is at `path`, unless that is one.
    fn occupy(&self, path: &[u8]) -> Result<(), CopyError> {
        match self.target.look(path)? {
            Some(there) if there.is_dir() => Err(CopyError::ReplacesDirectory(absolute(path))),
            _ => Ok(()),
        }
    }

    fn parents(&mut self, path: &[u8], new: NewDir) -> Result<(), CopyError> {
        for entry in self.target.parents(path, new)? {
            self.plan_directory(entry);
        }
        Ok(())
    }

    /// Has a directory written that the target knows of.
    fn plan_directory(&mut self, entry: Entry) {
        let made = self.target.plan.at(&entry.path).unwrap_or(Made::NewDir);
        self.target.plan.entry(entry, &[], made);
    }

    /// Writes what was planned so far.
    fn flush(&mut self) -> Result<(), CopyError> {
        let origins = Origins { sources: &self.sources, rules: &self.rules };
        let changed = write(&self.target.plan, origins, self.sink)?;
        self.target.plan.settle();
        self.copied.changed.extend(changed);
        Ok(())
    }
}

impl<'a> Source<'a> {
    fn all(selection: &'a Selection, unpack: Unpack) -> impl Iterator<Item = Source<'a>> {
        let mut digests = selection.file_digests();
        selection.matches.iter().map(move |one| {
            let own = digests.and_then(|all| all.get(..one.len()));
            digests = digests.and_then(|all| all.get(one.len()..));
            Source { selection, one, unpack, digests: own }
        })
    }

    fn digest(&self, position: usize) -> Option<ContentDigest> {
        self.digests?.get(position).copied().flatten()
    }

    /// The path for people.
    fn shown(&self, found: &Found<'_>) -> String {
        String::from_utf8_lossy(&join(&self.one.path, &found.path)).into_owned()
    }
}

#[cfg(test)]
pub(super) mod tests;
