//! The tar inside a layer's blob, whatever it is compressed with.
//!
//! The first bytes tell, not the media type: there are registries full of layers whose media type
//! is wrong, and every other builder looks at the bytes.

use std::io::{self, BufReader, Cursor, Read};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER: usize = 128 * 1024;

/// Reads what is in `blob`: several gzip members or zstd frames are one stream.
///
/// # Errors
/// What reading the first bytes ends with.
pub(super) fn decompress<'a>(mut blob: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = Vec::with_capacity(ZSTD.len());
    blob.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head)?;
    let kind = (head.starts_with(GZIP), head.starts_with(ZSTD));
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(blob));
    Ok(match kind {
        (true, _) => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        (_, true) => Box::new(zstd::stream::read::Decoder::with_buffer(whole)?),
        _ => Box::new(whole),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    #[test]
    fn all_parts_of_all_kinds_are_read() {
        let rows: [(&str, Vec<u8>, &[u8]); 8] = [
            ("plain", b"some tar".to_vec(), b"some tar"),
            ("short", b"x".to_vec(), b"x"),
            ("empty", Vec::new(), b""),
            ("gzip", gzip(b"some tar"), b"some tar"),
            ("members", [gzip(b"some "), gzip(b"tar")].concat(), b"some tar"),
            ("zstd", zstd(b"some tar"), b"some tar"),
            ("frames", [zstd(b"some "), zstd(b"tar")].concat(), b"some tar"),
            ("half a magic", vec![0x28, 0xb5], &[0x28, 0xb5]),
        ];
        for (what, blob, expected) in rows {
            let mut all = Vec::new();
            decompress(&blob[..]).unwrap().read_to_end(&mut all).unwrap();
            assert_eq!(all, expected, "{what}");
        }
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        for mut blob in [gzip(b"some tar"), zstd(b"some tar")] {
            blob.truncate(blob.len() - 3);
            let mut all = Vec::new();
            assert!(decompress(&blob[..]).unwrap().read_to_end(&mut all).is_err());
        }
    }
}
