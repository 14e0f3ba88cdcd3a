//! Writing a layer as a tar archive, the same bytes for the same entries everywhere.
//!
//! The format is POSIX ustar; an entry gets a pax extended header only where ustar cannot hold it:
//! long or non-ASCII names, large numbers, extended attributes. Nothing of the host enters: no user
//! names, no access times, no device numbers of the files' disks. Reading is `crate::archive`'s.

use std::io::{self, Read, Write};

use super::entry::{Entry, Kind, OPAQUE_MARK, WHITEOUT_PREFIX, join, split};
use crate::archive::BLOCK;

/// The largest number that 7 octal digits hold.
const MAX_OCTAL_7: u64 = 0o7_777_777;
/// The largest number that 11 octal digits hold.
const MAX_OCTAL_11: u64 = 0o77_777_777_777;
const COPY_BUFFER: usize = 256 * 1024;
const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// Writes entries in the order in which they are given.
#[derive(Debug)]
pub(crate) struct TarWriter<W> {
    out: W,
    written: u64,
    buffer: Vec<u8>,
    pax: Vec<u8>,
}

/// The parts of a header that differ between a file, a mark and an extended header.
struct Header<'a> {
    path: &'a [u8],
    link: &'a [u8],
    flag: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i64,
    device: (u32, u32),
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W) -> TarWriter<W> {
        TarWriter { out, written: 0, buffer: Vec::new(), pax: Vec::new() }
    }

    /// Writes one entry and returns where its data begins in the archive. `data` must give exactly
    /// the entry's size for a file and is not read for anything else. Of the root only the mark of an
    /// opaque directory is written.
    pub(crate) fn add(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<u64> {
        if entry.path.is_empty() {
            return if entry.kind == Kind::OpaqueDir {
                self.mark(OPAQUE_MARK)
            } else {
                Ok(self.written)
            };
        }
        if entry.kind == Kind::Whiteout {
            return self.mark(&marked(&entry.path));
        }
        self.headers(entry)?;
        let start = self.written;
        match entry.kind {
            Kind::File { size } => self.body(data, size)?,
            Kind::OpaqueDir => {
                self.mark(&join(&entry.path, OPAQUE_MARK))?;
            }
            _ => {}
        }
        Ok(start)
    }

    /// Ends the archive with its two empty blocks and hands the output back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.put(&ZEROS)?;
        self.put(&ZEROS)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn headers(&mut self, entry: &Entry) -> io::Result<()> {
        let mut path = entry.path.clone();
        if entry.is_dir() {
            path.push(b'/');
        }
        let (flag, link, size, device) = describe(&entry.kind);
        let header = Header {
            path: &path,
            link,
            flag,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size,
            mtime: entry.mtime.0,
            device,
        };
        self.extended(&header, &entry.xattrs)?;
        self.put(&header.block())
    }

    /// The empty file that stands for a deletion.
    fn mark(&mut self, path: &[u8]) -> io::Result<u64> {
        let header = Header { path, ..Header::plain(b'0') };
        self.extended(&header, &[])?;
        self.put(&header.block())?;
        Ok(self.written)
    }

    fn body(&mut self, data: &mut dyn Read, size: u64) -> io::Result<()> {
        copy_exactly(data, size, &mut self.out, &mut self.buffer)?;
        self.written += size;
        self.pad()
    }

    /// The pax header of an entry, if it needs one.
    fn extended(&mut self, header: &Header<'_>, xattrs: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
        let mut pax = std::mem::take(&mut self.pax);
        pax.clear();
        header.records(&mut pax);
        for (name, value) in xattrs {
            record(&mut pax, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
        }
        if !pax.is_empty() {
            let size = pax.len() as u64;
            let own = Header { path: b"PaxHeaders.0", size, mode: 0o644, ..Header::plain(b'x') };
            self.put(&own.block())?;
            self.put(&pax)?;
            self.pad()?;
        }
        self.pax = pax;
        Ok(())
    }

    fn pad(&mut self) -> io::Result<()> {
        let rest = (BLOCK - self.written % BLOCK) % BLOCK;
        self.put(&ZEROS[..rest as usize])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

impl Header<'_> {
    fn plain(flag: u8) -> Header<'static> {
        Header {
            path: b"",
            link: b"",
            flag,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            device: (0, 0),
        }
    }

    /// What the header cannot hold, as pax records.
    fn records(&self, pax: &mut Vec<u8>) {
        if std::str::from_utf8(self.path).is_err() || std::str::from_utf8(self.link).is_err() {
            record(pax, b"hdrcharset", b"BINARY");
        }
        if ustar_name(self.path).is_none() {
            record(pax, b"path", self.path);
        }
        if !self.link.is_ascii() || self.link.len() > 100 {
            record(pax, b"linkpath", self.link);
        }
        let numbers: [(&[u8], u64, u64); 3] = [
            (b"size", self.size, MAX_OCTAL_11),
            (b"uid", u64::from(self.uid), MAX_OCTAL_7),
            (b"gid", u64::from(self.gid), MAX_OCTAL_7),
        ];
        for (key, value, _) in numbers.iter().filter(|(_, value, max)| value > max) {
            record(pax, key, value.to_string().as_bytes());
        }
        if !(0..=MAX_OCTAL_11 as i64).contains(&self.mtime) {
            record(pax, b"mtime", self.mtime.to_string().as_bytes());
        }
    }

    /// The 512 bytes. A field that a pax record overrides is left empty or zero.
    fn block(&self) -> [u8; BLOCK as usize] {
        let mut block = ZEROS;
        if let Some((prefix, name)) = ustar_name(self.path) {
            block[..name.len()].copy_from_slice(name);
            block[345..345 + prefix.len()].copy_from_slice(prefix);
        }
        if self.link.is_ascii() && self.link.len() <= 100 {
            block[157..157 + self.link.len()].copy_from_slice(self.link);
        }
        let mtime = u64::try_from(self.mtime).unwrap_or(0);
        octal(&mut block[100..108], u64::from(self.mode & 0o7777), MAX_OCTAL_7);
        octal(&mut block[108..116], u64::from(self.uid), MAX_OCTAL_7);
        octal(&mut block[116..124], u64::from(self.gid), MAX_OCTAL_7);
        octal(&mut block[124..136], self.size, MAX_OCTAL_11);
        octal(&mut block[136..148], mtime, MAX_OCTAL_11);
        block[156] = self.flag;
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..337], u64::from(self.device.0), MAX_OCTAL_7);
        octal(&mut block[337..345], u64::from(self.device.1), MAX_OCTAL_7);
        seal(&mut block);
        block
    }
}

/// Copies all of `data`, which must have `size` bytes: what grew or shrank since it was looked at
/// is an error. `buffer` is scratch space.
pub(super) fn copy_exactly(
    data: &mut dyn Read,
    size: u64,
    out: &mut dyn Write,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.resize(COPY_BUFFER, 0);
    let mut left = size;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(COPY_BUFFER);
        let got = read_some(data, &mut buffer[..want])?;
        if got == 0 {
            return Err(resized());
        }
        out.write_all(&buffer[..got])?;
        left -= got as u64;
    }
    if read_some(data, &mut [0])? == 0 { Ok(()) } else { Err(resized()) }
}

/// The archive's name for the deletion of `path`.
fn marked(path: &[u8]) -> Vec<u8> {
    let (parent, name) = split(path);
    join(parent, &[WHITEOUT_PREFIX, name].concat())
}

/// The type flag, link, size and device of a kind.
fn describe(kind: &Kind) -> (u8, &[u8], u64, (u32, u32)) {
    match kind {
        Kind::File { size } => (b'0', b"", *size, (0, 0)),
        Kind::HardLink { target } => (b'1', target, 0, (0, 0)),
        Kind::Symlink { target } => (b'2', target, 0, (0, 0)),
        Kind::Char { major, minor } => (b'3', b"", 0, (*major, *minor)),
        Kind::Block { major, minor } => (b'4', b"", 0, (*major, *minor)),
        Kind::Dir | Kind::OpaqueDir => (b'5', b"", 0, (0, 0)),
        Kind::Fifo => (b'6', b"", 0, (0, 0)),
        Kind::Whiteout => (b'0', b"", 0, (0, 0)),
    }
}

/// Splits a path into ustar's prefix (155 bytes) and name (100 bytes), if it can be.
fn ustar_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() || path.len() > 256 {
        return None;
    }
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // The slash of a directory's own end must stay with the name.
    let end = path.len() - usize::from(path.ends_with(b"/"));
    let slash = path[..end.min(156)].iter().rposition(|b| *b == b'/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (name.len() <= 100 && !prefix.is_empty()).then_some((prefix, name))
}

/// Digits up to the field's last byte, which stays NUL; zero if a pax record has the number.
fn octal(field: &mut [u8], value: u64, max: u64) {
    let mut left = if value > max { 0 } else { value };
    let digits = field.len() - 1;
    for byte in field[..digits].iter_mut().rev() {
        *byte = b'0' + (left % 8) as u8;
        left /= 8;
    }
}

/// The checksum is the sum of all bytes, its own field taken as blanks.
fn seal(block: &mut [u8; BLOCK as usize]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    octal(&mut block[148..155], sum, MAX_OCTAL_7);
    block[154] = 0;
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn read_some(data: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match data.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn resized() -> io::Error {
    io::Error::other("the file changed its size while it was read")
}

#[cfg(test)]
mod tests;
