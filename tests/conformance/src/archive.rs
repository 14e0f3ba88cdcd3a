//! Archives for the cases to add and for the bases to be loaded from: the same bytes every time.

use std::io::{Read, Write};

use tar::{Builder, EntryType, Header};

use crate::file::{self, File, TIME};

/// A tar of these files, in this order; nothing is checked, so that an archive may be hostile.
pub fn tar(files: &[File]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for file in files {
        add(&mut builder, file);
    }
    builder.into_inner().unwrap()
}

fn add(builder: &mut Builder<Vec<u8>>, file: &File) {
    let mut header = Header::new_gnu();
    header.set_mode(file.mode());
    header.set_uid(file.uid.into());
    header.set_gid(file.gid.into());
    header.set_mtime(TIME.try_into().unwrap());
    set(&mut header.as_old_mut().name, &file.path);
    let mut data = Vec::new();
    if let Some(target) = file.link.as_ref().or(file.hardlink.as_ref()) {
        let is_symlink = file.link.is_some();
        header.set_entry_type(if is_symlink { EntryType::Symlink } else { EntryType::Link });
        set(&mut header.as_old_mut().linkname, target);
    } else if let Some(kind) = &file.kind {
        header.set_entry_type(match kind.as_str() {
            "fifo" => EntryType::Fifo,
            "char" => EntryType::Char,
            other => panic!("a tar has no `{other}`"),
        });
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    } else if file.is_dir() {
        header.set_entry_type(EntryType::Directory);
    } else {
        data = file.bytes();
    }
    header.set_size(data.len() as u64);
    header.set_cksum();
    if !file.xattrs.is_empty() {
        let records: Vec<(String, Vec<u8>)> = file
            .xattrs
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), file::bytes(value)))
            .collect();
        let records = records.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        builder.append_pax_extensions(records).unwrap();
    }
    builder.append(&header, data.as_slice()).unwrap();
}

fn set(field: &mut [u8; 100], text: &str) {
    let bytes = file::bytes(text);
    field[..bytes.len()].copy_from_slice(&bytes);
}

/// Compresses.
pub fn compress(how: &str, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match how {
        "gzip" => {
            let mut encoder = flate2::GzBuilder::new().write(&mut out, flate2::Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap();
        }
        "bzip2" => {
            let mut encoder = bzip2::read::BzEncoder::new(plain, bzip2::Compression::fast());
            encoder.read_to_end(&mut out).unwrap();
        }
        "xz" => {
            liblzma::read::XzEncoder::new(plain, 1).read_to_end(&mut out).unwrap();
        }
        "zstd" => out = zstd::encode_all(plain, 1).unwrap(),
        other => panic!("`{other}` is no compression"),
    }
    out
}
