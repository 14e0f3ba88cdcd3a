//! What bytes are by their looks: compressed, an archive, or neither. Names are never asked.

use std::io::{self, Read};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The xz container.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// What a stream that begins with `start` is compressed with; six bytes are enough.
    pub fn of(start: &[u8]) -> Compression {
        const MAGIC: [(&[u8], Compression); 4] = [
            (b"\x1f\x8b\x08", Compression::Gzip),
            (b"BZh", Compression::Bzip2),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
        ];
        let found = MAGIC.iter().find(|(magic, _)| start.starts_with(magic));
        found.map_or(Compression::None, |(_, compression)| *compression)
    }

    /// The bytes behind the compression. Members that follow each other are one stream.
    pub fn reader<'a>(self, from: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Compression::None => Box::new(from),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(from)),
            Compression::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(from)),
            Compression::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(from)),
            Compression::Zstd => Box::new(zstd::Decoder::new(from)?),
        })
    }
}

/// Whether the stream is a tar archive, compressed or not: whether it begins with a header whose
/// checksum is right (POSIX ustar). An empty archive is none.
pub fn is_archive(mut from: impl Read) -> bool {
    let mut start = [0; 6];
    let Ok(length) = fill(&mut from, &mut start) else { return false };
    let start = &start[..length];
    let all = start.chain(from);
    let mut block = [0; 512];
    let read = Compression::of(start).reader(all).and_then(|mut all| fill(&mut all, &mut block));
    read.is_ok_and(|length| length == block.len()) && is_header(&block)
}

/// The checksum is the sum of all bytes, its own eight taken as blanks.
fn is_header(block: &[u8; 512]) -> bool {
    let field = String::from_utf8_lossy(&block[148..156]);
    let field = field.trim_matches([' ', '\0']);
    let Ok(claimed) = u32::from_str_radix(field, 8) else { return false };
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    claimed == sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..])
}

/// Reads until `space` is full or the input ends; gives how many bytes were read.
pub fn fill(from: &mut impl Read, space: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < space.len() {
        match from.read(&mut space[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_path("a").unwrap();
        header.set_size(0);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, io::empty()).unwrap();
        archive.into_inner().unwrap()
    }

    /// The same bytes in every compression that there is.
    pub fn compressed(bytes: &[u8]) -> Vec<(Compression, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(bytes).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(bytes).unwrap();
        vec![
            (Compression::None, bytes.to_vec()),
            (Compression::Gzip, gzip.finish().unwrap()),
            (Compression::Bzip2, bzip2.finish().unwrap()),
            (Compression::Xz, xz.finish().unwrap()),
            (Compression::Zstd, zstd::encode_all(bytes, 1).unwrap()),
        ]
    }

    #[test]
    fn an_archive_is_one_however_it_is_compressed() {
        for (compression, bytes) in compressed(&archive()) {
            assert_eq!(Compression::of(&bytes), compression);
            assert!(is_archive(bytes.as_slice()), "{compression:?}");
            // Members that follow each other are one stream.
            let twice = [bytes.clone(), bytes].concat();
            let mut text = Vec::new();
            compression.reader(twice.as_slice()).unwrap().read_to_end(&mut text).unwrap();
            assert_eq!(text.len(), 2 * archive().len(), "{compression:?}");
        }
    }

    #[test]
    fn other_bytes_are_none() {
        for bytes in [&b""[..], b"FROM scratch\n", &[0; 1024], b"BZh", b"\x1f\x8b\x08\0"] {
            assert!(!is_archive(bytes), "{bytes:?}");
            for (compression, bytes) in compressed(bytes) {
                assert!(!is_archive(bytes.as_slice()), "{compression:?}");
            }
        }
        let mut damaged = archive();
        damaged[0] ^= 1;
        assert!(!is_archive(damaged.as_slice()));
    }
}
