//! Reading tar archives member by member: ustar, pax and GNU's extensions.
//!
//! The fields of a header are decoded by crate `tar`; its iterator is not used, because it takes a
//! line break in a pax value (file capabilities are binary) for the end of the record.
//! What an archive says in two ways is taken as Go's `archive/tar` takes it, which the container
//! engines use: pax before ustar, and no data for links, directories and devices.

use std::fs::File;
use std::io::{self, BufReader, Read};

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use crate::layer::entry::shown;

/// What an archive is made of, in bytes.
pub(crate) const BLOCK: u64 = 512;

/// The longest extended header or name, in bytes: what Go's reader allows. Such a header lies in
/// memory as a whole.
const SPECIAL_MAX: u64 = 1 << 20;
/// The most parts that a sparse file may have: 16 MiB in memory.
const PARTS_MAX: usize = 1 << 20;

/// Bytes in order, of which some are not wanted.
pub(crate) trait Input: Read {
    /// Goes on `bytes` later.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

/// An input that comes by and cannot be wound.
pub(crate) struct Stream<R>(pub(crate) R);

/// Reads an archive.
pub(crate) struct TarReader<I> {
    input: I,
    /// Where the input is, in bytes from the archive's beginning.
    position: u64,
    /// Where the next header is.
    next: u64,
}

/// One member, its data not yet read.
pub(crate) struct Found {
    /// The block itself.
    pub(crate) header: Box<Header>,
    /// As the archive has it.
    pub(crate) path: Vec<u8>,
    /// As the archive has it; empty if there is none.
    pub(crate) link: Vec<u8>,
    /// Of the file, holes included.
    pub(crate) size: u64,
    /// Where the data begins in the archive.
    pub(crate) start: u64,
    /// Extended records; of equal keys the last counts.
    pub(crate) pax: Vec<(Vec<u8>, Vec<u8>)>,
    /// What a sparse file has stored: offset in the file and length, in order.
    pub(crate) sparse: Option<Vec<(u64, u64)>>,
}

/// The data of one member.
pub(crate) struct Data<'a, I> {
    reader: &'a mut TarReader<I>,
    /// What is stored, as for `Found`.
    stored: Vec<(u64, u64)>,
    /// How many of these parts lie before `at`.
    passed: usize,
    at: u64,
    size: u64,
}

/// What precedes a member and speaks of it.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<I: Input> TarReader<I> {
    pub(crate) fn new(input: I) -> TarReader<I> {
        TarReader { input, position: 0, next: 0 }
    }

    /// The next member; nothing at the archive's end. What was not read of the last one is skipped.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        let (mut extended, mut described) = (Extended::default(), false);
        while let Some(header) = self.header()? {
            let size = header.entry_size()?;
            match header.entry_type() {
                EntryType::XHeader => extended.pax = records(&self.special(&header, size)?)?,
                EntryType::GNULongName => extended.path = Some(name(self.special(&header, size)?)),
                EntryType::GNULongLink => extended.link = Some(name(self.special(&header, size)?)),
                _ => return self.found(header, size, extended).map(Some),
            }
            described = true;
        }
        if described { Err(broken("a description of a member that is missing")) } else { Ok(None) }
    }

    /// The data of the member that came last.
    pub(crate) fn data(&mut self, found: &Found) -> Data<'_, I> {
        let stored = found.sparse.clone().unwrap_or_else(|| vec![(0, found.size)]);
        Data { reader: self, stored, passed: 0, at: 0, size: found.size }
    }

    fn found(&mut self, header: Box<Header>, size: u64, ext: Extended) -> io::Result<Found> {
        let pax = |key: &[u8]| ext.pax.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v);
        let path = pax(b"path").cloned().or(ext.path);
        let link = pax(b"linkpath").cloned().or(ext.link);
        let number = |text: &Vec<u8>| std::str::from_utf8(text).ok()?.parse().ok();
        let mut size = match pax(b"size") {
            Some(text) => number(text).ok_or_else(|| broken("a size that is no number"))?,
            None => size,
        };
        let mut header = header;
        for (key, set) in [
            (b"uid".as_slice(), Header::set_uid as fn(&mut Header, u64)),
            (b"gid", Header::set_gid),
        ] {
            if let Some(text) = pax(key) {
                set(&mut header, number(text).ok_or_else(|| broken("an id that is no number"))?);
            }
        }
        if is_bare(header.entry_type()) {
            size = 0;
        }
        let sparse = self.sparse(&header, &mut size)?;
        let start = self.position;
        let stored = sparse.as_ref().map_or(size, |parts| parts.iter().map(|(_, len)| len).sum());
        self.end_at(stored)?;
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let link = link.unwrap_or_default();
        Ok(Found { header, path, link, size, start, pax: ext.pax, sparse })
    }

    /// The map of a sparse file in GNU's own format, which turns `size` into the file's real one.
    fn sparse(&mut self, header: &Header, size: &mut u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        let Some(gnu) = header.as_gnu().filter(|_| header.entry_type().is_gnu_sparse()) else {
            return Ok(None);
        };
        let mut parts = Vec::new();
        add_parts(&mut parts, &gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.fill(block.as_mut_bytes())?;
            add_parts(&mut parts, &block.sparse)?;
            if parts.len() > PARTS_MAX {
                let name = shown(&header.path_bytes());
                return Err(broken(&format!("`{name}` is a sparse file of too many parts")));
            }
            more = block.is_extended();
        }
        let real = gnu.real_size()?;
        check_parts(&parts, *size, real)?;
        *size = real;
        Ok(Some(parts))
    }

    /// The next header block; nothing after two empty ones, or where the input ends instead.
    fn header(&mut self) -> io::Result<Option<Box<Header>>> {
        let unread = self.next.saturating_sub(self.position);
        self.input.skip(unread)?;
        self.position += unread;
        let mut block = [0; BLOCK as usize];
        if !self.fill_or_end(&mut block)? {
            return Ok(None);
        }
        self.next = self.position;
        if block == [0; BLOCK as usize] {
            return match self.fill_or_end(&mut block)? && block != [0; BLOCK as usize] {
                true => Err(broken("an empty block between members")),
                false => Ok(None),
            };
        }
        let header = Box::new(Header::from_byte_slice(&block).clone());
        check_sum(&header)?;
        Ok(Some(header))
    }

    /// The data of a member that describes the next one.
    fn special(&mut self, header: &Header, size: u64) -> io::Result<Vec<u8>> {
        if size > SPECIAL_MAX {
            let name = shown(&header.path_bytes());
            return Err(broken(&format!("`{name}` is an extended header of more than 1 MiB")));
        }
        let mut bytes = vec![0; size as usize];
        self.end_at(size)?;
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Notes where the next header is, after `size` bytes of data.
    fn end_at(&mut self, size: u64) -> io::Result<()> {
        let padded = size.checked_next_multiple_of(BLOCK);
        let next = padded.and_then(|padded| self.position.checked_add(padded));
        self.next = next
            .filter(|next| i64::try_from(*next).is_ok())
            .ok_or_else(|| broken("a size beyond all disks"))?;
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if self.fill_or_end(bytes)? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// False if the input ends before the first byte.
    fn fill_or_end(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += filled as u64;
        Ok(true)
    }
}

impl<I: Input> Read for Data<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.stored[self.passed..].iter();
        self.passed += rest.take_while(|(start, len)| self.at >= start + len).count();
        let part = self.stored.get(self.passed);
        let (start, end) =
            part.map_or((self.size, self.size), |(start, len)| (*start, start + len));
        let upto = if self.at < start { start } else { end };
        let most = usize::try_from(upto - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let got = if self.at < start {
            buffer[..most].fill(0);
            most
        } else {
            let got = self.reader.input.read(&mut buffer[..most])?;
            if got == 0 && most > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.reader.position += got as u64;
            got
        };
        self.at += got as u64;
        Ok(got)
    }
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Input for Stream<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.0).take(bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Input for BufReader<File> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        // Seeking succeeds beyond the end of a file that was cut short; reading there does not.
        let Some(before) = bytes.checked_sub(1) else { return Ok(()) };
        self.seek_relative(before.cast_signed())?;
        self.read_exact(&mut [0])
    }
}

/// Types that have no data, whatever their size field says.
fn is_bare(flag: EntryType) -> bool {
    matches!(
        flag,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}

/// `<length> <key>=<value>\n`, where the value may hold anything.
fn records(mut bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, rest) = record(bytes).ok_or_else(|| broken("a malformed pax record"))?;
        records.push(record);
        bytes = rest;
    }
    Ok(records)
}

type Record = (Vec<u8>, Vec<u8>);

fn record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    Some(((body[..equals].to_vec(), body[equals + 1..].to_vec()), rest))
}

/// GNU writes long names as data that ends with a NUL.
fn name(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn add_parts(parts: &mut Vec<(u64, u64)>, found: &[GnuSparseHeader]) -> io::Result<()> {
    for part in found.iter().filter(|part| !part.is_empty()) {
        parts.push((part.offset()?, part.length()?));
    }
    Ok(())
}

/// The parts lie in order inside the file, and are all that is stored.
fn check_parts(parts: &[(u64, u64)], stored: u64, real: u64) -> io::Result<()> {
    let (mut end, mut sum) = (0u64, 0u64);
    for (start, length) in parts {
        let next = start.checked_add(*length);
        end = next
            .filter(|next| *start >= end && *next <= real)
            .ok_or_else(|| broken("a sparse file whose parts do not fit together"))?;
        sum += length;
    }
    if sum == stored { Ok(()) } else { Err(broken("a sparse file of another size")) }
}

fn check_sum(header: &Header) -> io::Result<()> {
    let bytes = header.as_bytes();
    let all: u32 = bytes.iter().map(|b| u32::from(*b)).sum();
    let field: u32 = bytes[148..156].iter().map(|b| u32::from(*b)).sum();
    let sum = all - field + 8 * u32::from(b' ');
    if header.cksum()? == sum { Ok(()) } else { Err(broken("a header with a wrong checksum")) }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
