//! `ADD` of an archive: its members, put below the destination.
//!
//! Archives can be hostile. Names with `..` that lead out are refused; links, those of the image
//! and those of the archive, are followed as if the destination were the root. A member takes the
//! place of what is there, also of a directory, as tar does it. `--chown` sets the owner of every
//! member; `--chmod` does nothing to them, as in Docker, and we say so.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use rbuild_cache::archive::{self, ArchiveError, BadMember, Compression, Count, Members};
use rbuild_cache::layer::{Entry, Kind};
use rbuild_cache::tree::{Hashing, Node, NodeKind, read_xattrs};

use super::plan::Made;
use super::target::{NewDir, There, absolute, join, split};
use super::{CopyError, Run, Source};
use crate::worker::owner::Owner;

impl Source<'_> {
    /// Whether it is a file, and by its bytes an archive.
    pub(super) fn is_archive(&self) -> Result<bool, CopyError> {
        Ok(self.one.top.node.is_file() && archive::is_archive(self.open()?))
    }

    fn open(&self) -> Result<File, CopyError> {
        let open = self.selection.open(self.one, &self.one.found());
        open.map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> CopyError {
        CopyError::Read { path: self.shown(&self.one.found()), source }
    }
}

impl Run<'_, '_> {
    /// Unpacks one archive into the destination.
    pub(super) fn unpack(&mut self, source: &Source<'_>) -> Result<(), CopyError> {
        let archive = source.shown(&source.one.found());
        let root = self.target.resolve(b"", &self.dest.path)?;
        // Modes are the members' own, so that of a new destination is the usual one.
        let new = NewDir { mode: 0o755, ..self.rules.new_dir() };
        self.parents(&join(&root, b"."), new)?;
        self.flush()?;
        if self.rules.mode.is_some() {
            let warning = format!("`--chmod` does nothing to what is unpacked from `{archive}`");
            self.copied.warnings.push(warning);
        }
        let file = source.open()?;
        let xattrs = read_xattrs(&file).map_err(|error| source.unreadable(error))?;
        let mut reader = Hashing::new(file);
        Unpacking { run: self, root, archive: &archive }.all(&mut reader)?;
        io::copy(&mut reader, &mut io::sink()).map_err(|error| source.unreadable(error))?;
        if source.digest(0).is_some_and(|expected| expected != reader.finish(&xattrs)) {
            self.copied.changed.push(archive);
        }
        Ok(())
    }
}

/// One archive on its way into a directory of the image.
struct Unpacking<'r, 'a, 's> {
    run: &'r mut Run<'a, 's>,
    /// The destination, which is `/` for everything in the archive.
    root: Vec<u8>,
    archive: &'r str,
}

impl Unpacking<'_, '_, '_> {
    fn all(&mut self, mut from: &mut dyn Read) -> Result<(), CopyError> {
        let mut start = [0; 6];
        from.read_exact(&mut start).map_err(|error| self.bad(BadMember::Archive(error)))?;
        let all = start.as_slice().chain(&mut from);
        let plain = Compression::of(&start).reader(all);
        let plain = plain.map_err(|error| self.bad(BadMember::Archive(error)))?;
        let limits = self.run.limits;
        let (mut members, mut count) =
            (Members::new(plain.take(limits.stream())), Count::up_to(limits));
        while let Some(member) = members.next().map_err(|cause| self.bad(cause))? {
            count.add(&member).map_err(|cause| self.too_much(cause))?;
            // The destination's own attributes stay.
            if !member.path.is_empty() {
                self.member(member, &mut *members.data())?;
            }
        }
        Ok(())
    }

    fn member(&mut self, member: Entry, data: &mut dyn Read) -> Result<(), CopyError> {
        let at = self.place(&member.path)?;
        let there = self.run.target.look(&at)?;
        let (kind, made) = match &member.kind {
            Kind::Dir | Kind::OpaqueDir => return self.directory(at, there, member),
            Kind::HardLink { target } => match self.link(target)? {
                Linked::File(target) if target == at => return Ok(()),
                Linked::File(target) => (Kind::HardLink { target }, Made::File),
                Linked::Symlink(target) => {
                    (Kind::Symlink { target: target.to_vec() }, Made::Symlink(target))
                }
            },
            Kind::Char { major: 0, minor: 0 } | Kind::Whiteout => {
                return Err(CopyError::DeletionMark(absolute(&at)));
            }
            Kind::Symlink { target } => (member.kind.clone(), Made::symlink(target)),
            Kind::File { .. } => (member.kind.clone(), Made::File),
            Kind::Char { .. } | Kind::Block { .. } | Kind::Fifo => {
                (member.kind.clone(), Made::Other)
            }
        };
        match there {
            Some(there) if there.is_dir() => self.run.target.plan.put_in_place(&at, made),
            _ => self.run.target.plan.put(&at, made),
        }
        let entry = self.entry(at, kind, member);
        Ok(self.run.sink.add(&entry, Some(data))?)
    }

    /// Where a member goes. The directories above it are there then.
    fn place(&mut self, path: &[u8]) -> Result<Vec<u8>, CopyError> {
        let (parent, name) = split(path);
        let at = join(&self.run.target.resolve(&self.root, parent)?, name);
        let (mode, mtime) = (0o755, self.run.rules.time);
        let new = NewDir { mode, uid: 0, gid: 0, mtime };
        for entry in self.run.target.parents(&at, new)? {
            self.run.sink.add(&entry, None)?;
        }
        Ok(at)
    }

    fn directory(
        &mut self,
        at: Vec<u8>,
        there: Option<There>,
        member: Entry,
    ) -> Result<(), CopyError> {
        let (kind, made) = match &there {
            None | Some(There::Made(Made::NewDir)) => (Kind::Dir, Made::NewDir),
            Some(there) if there.is_dir() => (Kind::Dir, Made::Dir),
            // What the base had there could be a directory, and must not come back.
            Some(There::Made(_)) => (Kind::OpaqueDir, Made::NewDir),
            Some(There::Base(_)) => (Kind::Dir, Made::NewDir),
        };
        self.run.target.plan.put(&at, made);
        let entry = self.entry(at, kind, member);
        Ok(self.run.sink.add(&entry, None)?)
    }

    /// What a hard link leads to: a file of this layer, or something that becomes one.
    fn link(&mut self, path: &[u8]) -> Result<Linked, CopyError> {
        let (parent, name) = split(path);
        let at = join(&self.run.target.resolve(&self.root, parent)?, name);
        match self.run.target.look(&at)? {
            Some(There::Made(Made::File)) => Ok(Linked::File(at)),
            Some(There::Made(Made::Symlink(target))) => Ok(Linked::Symlink(target)),
            Some(There::Base(found)) => match &found.node.kind {
                NodeKind::Symlink { target } => Ok(Linked::Symlink(Arc::new(target.clone()))),
                NodeKind::File => self.copy_up(&at, &found.node).map(|()| Linked::File(at)),
                _ => Err(self.bad_link(path)),
            },
            _ => Err(self.bad_link(path)),
        }
    }

    /// A layer cannot link to a file of another one: it gets the file too.
    fn copy_up(&mut self, path: &[u8], node: &Node) -> Result<(), CopyError> {
        self.place_in_base(path)?;
        let base = self.run.target.base().map(|base| base.open_file(path)).transpose()?.flatten();
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let unreadable = |source| CopyError::Read { path: absolute(path), source };
        let mut file = base.ok_or_else(|| unreadable(gone()))?;
        let mut entry = Entry::new(path, Kind::File { size: node.size }, node.mode);
        (entry.uid, entry.gid) = (node.uid, node.gid);
        entry.mtime = (node.mtime.seconds, node.mtime.nanos);
        entry.xattrs = read_xattrs(&file).map_err(unreadable)?;
        self.run.target.plan.put(path, Made::File);
        Ok(self.run.sink.add(&entry, Some(&mut file))?)
    }

    fn place_in_base(&mut self, path: &[u8]) -> Result<(), CopyError> {
        for entry in self.run.target.parents(path, self.run.rules.new_dir())? {
            self.run.sink.add(&entry, None)?;
        }
        Ok(())
    }

    /// What goes into the layer for a member.
    fn entry(&self, path: Vec<u8>, kind: Kind, member: Entry) -> Entry {
        let own = Owner { uid: member.uid, gid: member.gid };
        let Owner { uid, gid } = self.run.rules.owner.unwrap_or(own);
        Entry { path, kind, uid, gid, ..member }
    }

    fn bad_link(&self, path: &[u8]) -> CopyError {
        let target = String::from_utf8_lossy(path).into_owned();
        CopyError::HardLink { archive: self.archive.to_owned(), target }
    }

    fn too_much(&self, cause: ArchiveError) -> CopyError {
        CopyError::TooMuch { archive: self.archive.to_owned(), cause }
    }

    fn bad(&self, cause: BadMember) -> CopyError {
        CopyError::Archive { archive: self.archive.to_owned(), cause }
    }
}

/// What a hard link of an archive leads to.
enum Linked {
    /// A file of this layer, with its path in the image.
    File(Vec<u8>),
    /// A symbolic link, which a second one is as good as.
    Symlink(Arc<Vec<u8>>),
}
