//! Archives of other writers.

use std::process::Command;

use super::*;
use crate::archive::entry;

/// Every member's entry line and data, read as a stream and by seeking: both must agree.
fn read(bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut stream = TarReader::new(Stream(bytes));
    let mut all = Vec::new();
    while let Some(found) = stream.next()? {
        let mut data = Vec::new();
        stream.data(&found).read_to_end(&mut data)?;
        all.push((found.path, data));
    }
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), bytes)?;
    let mut seeking = TarReader::new(BufReader::new(File::open(file.path())?));
    for (path, _) in &all {
        assert_eq!(seeking.next()?.map(|found| found.path).as_ref(), Some(path));
    }
    assert!(seeking.next()?.is_none());
    Ok(all)
}

fn gnu_tar(args: &[&str], dir: &std::path::Path) -> Vec<u8> {
    let output = Command::new("tar").args(args).args(["-cf", "-", "."]).current_dir(dir).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn gnus_formats_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let long = "n".repeat(200);
    std::fs::write(dir.path().join(&long), "long").unwrap();
    std::os::unix::fs::symlink("t".repeat(300), dir.path().join("s")).unwrap();
    for format in ["--format=gnu", "--format=pax"] {
        let all = read(&gnu_tar(&[format, "--sort=name"], dir.path())).unwrap();
        let names: Vec<_> = all.iter().map(|(path, _)| String::from_utf8_lossy(path)).collect();
        assert_eq!(names, ["./".to_owned(), format!("./{long}"), "./s".to_owned()], "{format}");
        assert_eq!(all[1].1, b"long");
    }
}

#[test]
fn gnus_sparse_files_are_expanded_and_those_of_pax_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::create(dir.path().join("f")).unwrap();
    let mut expected = vec![0; 3 << 20];
    for n in 0..40 {
        let at = n << 16;
        expected[at..at + 5].copy_from_slice(b"data!");
        std::os::unix::fs::FileExt::write_all_at(&file, b"data!", at as u64).unwrap();
    }
    file.set_len(expected.len() as u64).unwrap();
    let bytes = gnu_tar(&["--format=gnu", "--sparse"], dir.path());
    assert!(bytes.len() < expected.len());
    let all = read(&bytes).unwrap();
    assert_eq!(all[1].1.len(), expected.len());
    assert!(all[1].1 == expected);
    let bytes = gnu_tar(&["--format=pax", "--sparse"], dir.path());
    let mut reader = TarReader::new(Stream(bytes.as_slice()));
    assert!(matches!(entry(&reader.next().unwrap().unwrap()), Ok(Some(_))));
    assert!(entry(&reader.next().unwrap().unwrap()).is_err());
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "data").unwrap();
    let bytes = gnu_tar(&["--format=pax"], dir.path());
    for cut in (1..bytes.len().min(4096)).step_by(37) {
        // On a boundary between members the end may be missing, as others allow.
        assert!(read(&bytes[..cut]).is_err() || cut % 512 == 0, "cut at {cut}");
    }
    // What ends the field of the checksum is not covered by it.
    for at in (0..512).filter(|at| !(154..156).contains(at)) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        assert!(read(&changed).is_err() || read(&changed).unwrap().is_empty(), "byte {at}");
    }
    let mut lone = bytes.clone();
    lone.splice(0..0, [0; 512]);
    assert!(read(&lone).is_err());
    assert!(read(&[]).unwrap().is_empty());
}

/// A header with its checksum, of nothing but what is given.
fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_path("hostile").unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header
}

#[test]
fn an_extended_header_is_read_up_to_a_mebibyte() {
    for kind in [EntryType::XHeader, EntryType::GNULongName, EntryType::GNULongLink] {
        for size in [SPECIAL_MAX + 1, 1 << 40, u64::MAX >> 1] {
            let archive = header(kind, size);
            // Were it believed, reading would end with the input, not with this message.
            let error = read(archive.as_bytes()).unwrap_err().to_string();
            assert_eq!(error, "`hostile` is an extended header of more than 1 MiB");
        }
    }
}

#[test]
fn a_sparse_file_has_a_limited_number_of_parts() {
    let mut head = header(EntryType::GNUSparse, 0);
    head.as_gnu_mut().unwrap().set_is_extended(true);
    head.set_cksum();
    let mut more = GnuExtSparseHeader::new();
    for part in &mut more.sparse {
        part.offset = *b"00000000001\0";
        part.numbytes = *b"00000000000\0";
    }
    more.isextended[0] = 1;
    let endless = head.as_bytes().as_slice().chain(Endless(more.as_bytes()));
    let error = TarReader::new(Stream(endless)).next().map(drop).unwrap_err();
    assert_eq!(error.to_string(), "`hostile` is a sparse file of too many parts");
}

/// One block over and over again.
struct Endless<'a>(&'a [u8; 512]);

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.as_slice().read(buffer)
    }
}
