//! Writing what was planned.
//!
//! Small files are read ahead on all cores while the sink writes those before them; large ones are
//! streamed. All are hashed on the way, and compared with what the key was made of.

use std::collections::HashMap;
use std::collections::hash_map;
use std::fs::File;
use std::io::{self, Read};

use rayon::prelude::*;
use rbuild_cache::ContentDigest;
use rbuild_cache::layer::{Entry, Kind};
use rbuild_cache::tree::{Found, Hashing, Match, Xattrs, digest_of, read_sized, read_xattrs};

use super::plan::{Origin, Plan, Planned};
use super::rules::Rules;
use super::{CopyError, Sink, Source};

/// Where planned files come from.
#[derive(Clone, Copy)]
pub struct Origins<'a> {
    /// By their positions.
    pub sources: &'a [Source<'a>],
    /// What becomes of owners and modes.
    pub rules: &'a Rules,
}

/// Cuts the plan into pieces that are read ahead at once.
struct Batches<'p> {
    planned: Box<dyn Iterator<Item = (&'p [u8], Planned<'p>)> + 'p>,
    origins: Origins<'p>,
    /// The first path of each file that has several names.
    first: HashMap<(*const Match, (u64, u64)), Vec<u8>>,
}

/// An entry on its way.
struct Item<'p> {
    entry: Entry,
    data: Data<'p>,
}

enum Data<'p> {
    None,
    Inline(&'p [u8]),
    File(FileData<'p>),
    Loaded(FileData<'p>, Vec<u8>, ContentDigest),
}

/// A file of a source.
struct FileData<'p> {
    source: &'p Source<'p>,
    found: Found<'p>,
    /// Of what it should hold.
    digest: Option<ContentDigest>,
}

/// Files up to this size are read ahead, in batches of this many bytes and paths.
const SMALL: u64 = 256 << 10;
const BATCH_BYTES: u64 = 4 << 20;
const BATCH_PATHS: usize = 512;

/// Writes everything that is planned, parents first. Gives the sources that did not have the bytes
/// that they should have.
pub fn write(
    plan: &Plan<'_>,
    origins: Origins<'_>,
    sink: &mut dyn Sink,
) -> Result<Vec<String>, CopyError> {
    let mut batches = Batches { planned: Box::new(plan.all()), origins, first: HashMap::new() };
    let mut changed = Vec::new();
    let mut ready = load(batches.next())?;
    while !ready.is_empty() {
        let next = batches.next();
        let (loaded, written) = rayon::join(
            || load(next),
            || ready.into_iter().try_for_each(|item| item.write(sink, &mut changed)),
        );
        written?;
        ready = loaded?;
    }
    Ok(changed)
}

fn load(batch: Vec<Item<'_>>) -> Result<Vec<Item<'_>>, CopyError> {
    batch.into_par_iter().with_min_len(16).map(Item::load).collect()
}

impl<'p> Batches<'p> {
    /// The next entries; none at the end.
    fn next(&mut self) -> Vec<Item<'p>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_PATHS && bytes < BATCH_BYTES {
            let Some((path, planned)) = self.planned.next() else { break };
            let item = match planned {
                Planned::Entry(entry, data) => Some(Item::known(entry.clone(), data)),
                Planned::File(origin) => self.file(path, origin),
            };
            bytes += item.as_ref().and_then(Item::small).unwrap_or(0);
            batch.extend(item);
        }
        batch
    }

    /// A file of a source. Those that are one file in their source stay one: the first in order
    /// keeps the bytes. What a pattern matches are several sources.
    fn file(&mut self, path: &[u8], Origin { source, position }: Origin) -> Option<Item<'p>> {
        let Origins { sources, rules } = self.origins;
        let source = sources.get(source as usize)?;
        let found = source.one.get(position as usize)?;
        let (node, owners) = (found.node, source.selection.owners);
        let entry = rules.entry(path.to_vec(), Kind::File { size: node.size }, node, owners);
        if node.links > 1 {
            let twins = (std::ptr::from_ref(source.one), node.identity);
            match self.first.entry(twins) {
                hash_map::Entry::Vacant(free) => drop(free.insert(path.to_vec())),
                hash_map::Entry::Occupied(first) => {
                    let kind = Kind::HardLink { target: first.get().clone() };
                    return Some(Item { entry: Entry { kind, ..entry }, data: Data::None });
                }
            }
        }
        let digest = source.digest(position as usize);
        Some(Item { entry, data: Data::File(FileData { source, found, digest }) })
    }
}

impl<'p> Item<'p> {
    fn known(entry: Entry, data: &'p [u8]) -> Item<'p> {
        let data = match entry.kind {
            Kind::File { .. } => Data::Inline(data),
            _ => Data::None,
        };
        Item { entry, data }
    }

    /// The size of a file that is read ahead.
    fn small(&self) -> Option<u64> {
        match &self.data {
            Data::File(file) => Some(file.found.node.size).filter(|size| *size <= SMALL),
            _ => None,
        }
    }

    fn load(mut self) -> Result<Item<'p>, CopyError> {
        if self.small().is_some()
            && let Data::File(file) = self.data
        {
            let (bytes, digest);
            (bytes, self.entry.xattrs, digest) = file.load()?;
            self.entry.kind = Kind::File { size: bytes.len() as u64 };
            self.data = Data::Loaded(file, bytes, digest);
        }
        Ok(self)
    }

    fn write(self, sink: &mut dyn Sink, changed: &mut Vec<String>) -> Result<(), CopyError> {
        let (file, digest) = match self.data {
            Data::None => return Ok(sink.add(&self.entry, None)?),
            Data::Inline(mut data) => return Ok(sink.add(&self.entry, Some(&mut data))?),
            Data::Loaded(file, bytes, digest) => {
                sink.add(&self.entry, Some(&mut bytes.as_slice()))?;
                (file, digest)
            }
            Data::File(file) => {
                let digest = file.stream(self.entry, sink)?;
                (file, digest)
            }
        };
        if file.digest.is_some_and(|expected| expected != digest) {
            changed.push(file.source.shown(&file.found));
        }
        Ok(())
    }
}

impl FileData<'_> {
    /// The bytes, the attributes and their digest.
    fn load(&self) -> Result<(Vec<u8>, Xattrs, ContentDigest), CopyError> {
        let (file, xattrs, size) = self.open()?;
        let bytes = read_sized(&file, size).map_err(|source| self.unreadable(source))?;
        let digest = digest_of(&bytes, &xattrs);
        Ok((bytes, xattrs, digest))
    }

    fn stream(&self, entry: Entry, sink: &mut dyn Sink) -> Result<ContentDigest, CopyError> {
        let (file, xattrs, size) = self.open()?;
        let entry = Entry { kind: Kind::File { size }, xattrs, ..entry };
        let mut reader = Exactly { inner: Hashing::new(file), left: size };
        sink.add(&entry, Some(&mut reader))?;
        Ok(reader.inner.finish(&entry.xattrs))
    }

    fn open(&self) -> Result<(File, Xattrs, u64), CopyError> {
        let open = || {
            let file = self.source.selection.open(self.source.one, &self.found)?;
            let (xattrs, metadata) = (read_xattrs(&file)?, file.metadata()?);
            if !metadata.is_file() {
                return Err(io::Error::other("it is no regular file any more"));
            }
            Ok((file, xattrs, metadata.len()))
        };
        open().map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> CopyError {
        CopyError::Read { path: self.source.shown(&self.found), source }
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
