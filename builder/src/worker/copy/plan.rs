//! The entries of a layer before they are written: in order, each path once, files not read yet.
//!
//! Small files are read ahead on all cores while the sink writes those before them; large ones are
//! streamed. All are hashed on the way, and compared with what the key was made of.

use std::collections::HashMap;
use std::collections::hash_map;
use std::fs::File;
use std::io::{self, Read};

use rayon::prelude::*;
use rbuild_cache::ContentDigest;
use rbuild_cache::layer::{Entry, Kind, order};
use rbuild_cache::tree::{Found, Hashing, Match, Selection, Xattrs, read_xattrs};

use super::{CopyError, Sink, shown};

/// What will be written.
#[derive(Default)]
pub struct Plan<'a> {
    planned: Vec<Planned<'a>>,
    positions: HashMap<Vec<u8>, usize>,
}

struct Planned<'a> {
    entry: Entry,
    data: Data<'a>,
}

enum Data<'a> {
    None,
    Inline(&'a [u8]),
    File(FileData<'a>),
}

#[derive(Clone, Copy)]
struct FileData<'a> {
    selection: &'a Selection,
    one: &'a Match,
    found: &'a Found,
    digest: Option<ContentDigest>,
}

/// A small file that was read.
struct Loaded {
    bytes: Vec<u8>,
    xattrs: Xattrs,
    /// Of what was read.
    digest: ContentDigest,
}

/// Files up to this size are read ahead, in batches of this many bytes and paths.
const SMALL: u64 = 256 << 10;
const BATCH_BYTES: u64 = 8 << 20;
const BATCH_PATHS: usize = 1024;

impl<'a> Plan<'a> {
    /// Anything without bytes.
    pub fn plain(&mut self, entry: Entry) {
        self.add(Planned { entry, data: Data::None });
    }

    /// A file whose bytes are known.
    pub fn inline(&mut self, entry: Entry, data: &'a [u8]) {
        self.add(Planned { entry, data: Data::Inline(data) });
    }

    /// A file of a selection, whose bytes should have that digest.
    pub fn file(
        &mut self,
        entry: Entry,
        selection: &'a Selection,
        one: &'a Match,
        found: &'a Found,
        digest: Option<ContentDigest>,
    ) {
        let data = Data::File(FileData { selection, one, found, digest });
        self.add(Planned { entry, data });
    }

    /// What will be at a path, as far as it is known.
    pub fn planned(&self, path: &[u8]) -> Option<&Entry> {
        self.positions.get(path).map(|position| &self.planned[*position].entry)
    }

    /// Gives what will be at a path another time.
    pub fn set_time(&mut self, path: &[u8], mtime: (i64, u32)) {
        if let Some(position) = self.positions.get(path) {
            self.planned[*position].entry.mtime = mtime;
        }
    }

    fn add(&mut self, planned: Planned<'a>) {
        match self.positions.entry(planned.entry.path.clone()) {
            hash_map::Entry::Occupied(position) => self.planned[*position.get()] = planned,
            hash_map::Entry::Vacant(free) => {
                free.insert(self.planned.len());
                self.planned.push(planned);
            }
        }
    }

    /// Writes everything, parents first. Returns the sources that did not have the bytes that they
    /// should have.
    pub fn write(mut self, sink: &mut dyn Sink) -> Result<Vec<String>, CopyError> {
        self.planned.sort_by(|a, b| order(&a.entry.path, &b.entry.path));
        self.link_twins();
        let mut changed = Vec::new();
        let mut batches = batches(&self.planned).into_iter();
        let mut ready = batches.next().map(load).transpose()?;
        while let Some(batch) = ready {
            let next = batches.next();
            let (loaded, written) = rayon::join(
                || next.map(load).transpose(),
                || batch.into_iter().try_for_each(|item| item.write(sink, &mut changed)),
            );
            written?;
            ready = loaded?;
        }
        Ok(changed)
    }

    /// Files that are one file in a source stay one: the first in order keeps the bytes. What a
    /// pattern matches are several sources.
    fn link_twins(&mut self) {
        let mut first: HashMap<(*const Match, (u64, u64)), Vec<u8>> = HashMap::new();
        for planned in &mut self.planned {
            let Data::File(FileData { one, found, .. }) = planned.data else { continue };
            if found.node.links < 2 {
                continue;
            }
            match first.entry((std::ptr::from_ref(one), found.node.identity)) {
                hash_map::Entry::Vacant(free) => drop(free.insert(planned.entry.path.clone())),
                hash_map::Entry::Occupied(twin) => {
                    planned.entry.kind = Kind::HardLink { target: twin.get().clone() };
                    planned.data = Data::None;
                }
            }
        }
    }
}

/// An entry that is ready to be written.
struct Item<'a, 'p> {
    planned: &'p Planned<'a>,
    loaded: Option<Loaded>,
}

/// Cuts the plan into pieces that are read ahead at once.
fn batches<'a, 'p>(planned: &'p [Planned<'a>]) -> Vec<&'p [Planned<'a>]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, one) in planned.iter().enumerate() {
        bytes += one.small().map_or(0, |file| file.found.node.size);
        if bytes >= BATCH_BYTES || at + 1 - start >= BATCH_PATHS {
            batches.push(&planned[start..=at]);
            (start, bytes) = (at + 1, 0);
        }
    }
    if start < planned.len() {
        batches.push(&planned[start..]);
    }
    batches
}

fn load<'a, 'p>(batch: &'p [Planned<'a>]) -> Result<Vec<Item<'a, 'p>>, CopyError> {
    let item = |planned: &'p Planned<'a>| {
        let loaded = planned.small().map(FileData::load).transpose()?;
        Ok(Item { planned, loaded })
    };
    batch.par_iter().with_min_len(16).map(item).collect()
}

impl<'a> Planned<'a> {
    fn small(&self) -> Option<&FileData<'a>> {
        match &self.data {
            Data::File(file) if file.found.node.size <= SMALL => Some(file),
            _ => None,
        }
    }
}

impl Item<'_, '_> {
    fn write(self, sink: &mut dyn Sink, changed: &mut Vec<String>) -> Result<(), CopyError> {
        let entry = &self.planned.entry;
        let (file, digest) = match (&self.planned.data, self.loaded) {
            (Data::None, _) => return Ok(sink.add(entry, None)?),
            (Data::Inline(data), _) => {
                let mut data = *data;
                return Ok(sink.add(entry, Some(&mut data))?);
            }
            (Data::File(file), Some(loaded)) => {
                let kind = Kind::File { size: loaded.bytes.len() as u64 };
                let entry = Entry { kind, xattrs: loaded.xattrs, ..entry.clone() };
                sink.add(&entry, Some(&mut loaded.bytes.as_slice()))?;
                (file, loaded.digest)
            }
            (Data::File(file), None) => (file, file.stream(entry, sink)?),
        };
        if file.digest.is_some_and(|expected| expected != digest) {
            changed.push(shown(file.one, file.found));
        }
        Ok(())
    }
}

impl FileData<'_> {
    fn load(&self) -> Result<Loaded, CopyError> {
        let (file, xattrs, size) = self.open()?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
        let mut reader = Hashing::new(file);
        reader.read_to_end(&mut bytes).map_err(|source| self.unreadable(source))?;
        let digest = reader.finish(&xattrs);
        Ok(Loaded { bytes, xattrs, digest })
    }

    fn stream(&self, entry: &Entry, sink: &mut dyn Sink) -> Result<ContentDigest, CopyError> {
        let (file, xattrs, size) = self.open()?;
        let kind = Kind::File { size };
        let entry = Entry { kind, xattrs, ..entry.clone() };
        let mut reader = Exactly { inner: Hashing::new(file), left: size };
        sink.add(&entry, Some(&mut reader))?;
        Ok(reader.inner.finish(&entry.xattrs))
    }

    fn open(&self) -> Result<(File, Xattrs, u64), CopyError> {
        let open = || {
            let file = self.selection.open(self.one, self.found)?;
            let (xattrs, metadata) = (read_xattrs(&file)?, file.metadata()?);
            if !metadata.is_file() {
                return Err(io::Error::other("it is no regular file any more"));
            }
            Ok((file, xattrs, metadata.len()))
        };
        open().map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> CopyError {
        CopyError::Read { path: shown(self.one, self.found), source }
    }
}

/// As many bytes as were announced, whatever happens to the file meanwhile: zeros where it became
/// shorter. Its digest shows it.
struct Exactly<R> {
    inner: Hashing<R>,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(space.len());
        let space = &mut space[..most];
        let length = match self.inner.read(space)? {
            0 => {
                space.fill(0);
                most
            }
            length => length,
        };
        self.left -= length as u64;
        Ok(length)
    }
}
