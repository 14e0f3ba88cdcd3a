//! Compressed archives, read by other readers.

use std::process::{Command, Stdio};

use super::support::file;
use super::*;

/// An archive of several pieces, compressible and not.
fn archive(fresh: &Fresh) -> Digest {
    let mut noise = Vec::new();
    let mut state = 1u64;
    while noise.len() < 3_000_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.extend_from_slice(&state.to_le_bytes()[4..]);
    }
    let mut writer = fresh.layers().begin().unwrap();
    let size = noise.len() as u64;
    writer.add(&file("noise", 0o644, size), Some(&mut noise.as_slice())).unwrap();
    let text = "the same again ".repeat(400_000);
    let size = text.len() as u64;
    writer.add(&file("text", 0o644, size), Some(&mut text.as_bytes())).unwrap();
    let layer = writer.finish().unwrap();
    fresh.layers().tar(&layer, None).unwrap().diff_id
}

fn filtered(command: &str, args: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new(command)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn others_read_what_was_compressed() {
    let fresh = Fresh::of(Form::Directory);
    let diff_id = archive(&fresh);
    let original = fresh.blob(&diff_id);
    let (digest, size) = fresh.layers().compressed(&diff_id, Compression::GZIP).unwrap();
    let gzip = fresh.blob(&digest);
    assert_eq!((size, &gzip[4..8]), (gzip.len() as u64, [0; 4].as_slice()));
    assert!(filtered("gzip", &["-dc"], gzip.clone()) == original);
    let mut inflated = Vec::new();
    flate2::read::MultiGzDecoder::new(gzip.as_slice()).read_to_end(&mut inflated).unwrap();
    assert!(inflated == original);
    let (digest, _) = fresh.layers().compressed(&diff_id, Compression::ZSTD).unwrap();
    assert!(zstd::stream::decode_all(fresh.blob(&digest).as_slice()).unwrap() == original);
}

#[test]
fn the_number_of_threads_does_not_show() {
    for how in [Compression::GZIP, Compression::ZSTD, Compression::Gzip { level: 1 }] {
        let digests: Vec<_> = [1, 2, 7]
            .into_iter()
            .map(|threads| {
                let fresh = Fresh::of(Form::Directory);
                let diff_id = archive(&fresh);
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| fresh.layers().compressed(&diff_id, how).unwrap())
            })
            .collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{how:?}");
    }
}

#[test]
fn compressing_is_remembered_until_the_blob_is_gone() {
    let fresh = Fresh::of(Form::Erofs);
    let diff_id = archive(&fresh);
    let first = fresh.layers().compressed(&diff_id, Compression::GZIP).unwrap();
    fresh.blobs().remove(&diff_id).unwrap();
    assert_eq!(fresh.layers().compressed(&diff_id, Compression::GZIP).unwrap(), first);
    assert!(!fresh.blobs().contains(&diff_id));
    fresh.blobs().remove(&first.0).unwrap();
    // The layer still has its archive.
    assert_eq!(fresh.layers().compressed(&diff_id, Compression::GZIP).unwrap(), first);
}

/// How many bytes of members two compressed archives share.
fn shared(one: &[u8], other: &[u8]) -> usize {
    // A member without name and time begins so (RFC 1952, section 2.3).
    let begins = |bytes: &[u8]| bytes.starts_with(b"\x1f\x8b\x08\0\0\0\0\0");
    let members = |bytes: &[u8]| {
        let starts = (0..bytes.len()).filter(|at| begins(&bytes[*at..])).collect::<Vec<_>>();
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        let member = |(start, end): (&usize, usize)| bytes[*start..end].to_vec();
        starts.iter().zip(ends).map(member).collect::<std::collections::HashSet<_>>()
    };
    members(one).intersection(&members(other)).map(Vec::len).sum()
}

/// A layer of files without a pattern, of which one has other bytes and another length.
fn changed(fresh: &Fresh, seed: u64) -> Digest {
    let mut writer = fresh.layers().begin().unwrap();
    for number in 0..12_u64 {
        let mut state = number + if number == 5 { seed } else { 0 };
        let length = if number == 5 { 500_000 + seed } else { 500_000 };
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.push((state >> 56) as u8);
        }
        let entry = file(&format!("file-{number:02}"), 0o644, length);
        writer.add(&entry, Some(&mut bytes.as_slice())).unwrap();
    }
    let layer = writer.finish().unwrap();
    fresh.layers().tar(&layer, None).unwrap().diff_id
}

#[test]
fn what_did_not_change_is_compressed_as_before_and_only_once() {
    let fresh = Fresh::of(Form::Directory);
    let (before, after) = (changed(&fresh, 100), changed(&fresh, 2_000));
    let gzip = |diff_id| fresh.layers().compressed(diff_id, Compression::GZIP).unwrap();
    let (first, size) = gzip(&before);
    let (second, _) = gzip(&after);
    let [one, other] = [&first, &second].map(|blob| fresh.blobs().read(blob).unwrap());
    let same = shared(&one, &other) as u64;
    assert!(same > size / 2, "{same} of {size}");
    // What a store that knew nothing makes is the same.
    let alone = Fresh::of(Form::Directory);
    let diff_id = changed(&alone, 2_000);
    assert_eq!(alone.layers().compressed(&diff_id, Compression::GZIP).unwrap().0, second);
}

#[test]
fn a_damaged_blob_gives_no_pieces() {
    let fresh = Fresh::of(Form::Directory);
    let (before, after) = (changed(&fresh, 100), changed(&fresh, 2_000));
    let (first, size) = fresh.layers().compressed(&before, Compression::GZIP).unwrap();
    let path = fresh.blobs().path(&first);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&path, vec![0; size as usize]).unwrap();
    let (second, _) = fresh.layers().compressed(&after, Compression::GZIP).unwrap();
    let bytes = fresh.blobs().read(&second).unwrap();
    assert_eq!(Digest::of(&filtered("gzip", &["-d"], bytes)), after);
}

#[test]
fn levels_that_no_compressor_has_and_archives_that_nobody_has_are_refused() {
    let fresh = Fresh::of(Form::Directory);
    let diff_id = archive(&fresh);
    for how in [Compression::Gzip { level: 13 }, Compression::Zstd { level: 0 }] {
        let refused = fresh.layers().compressed(&diff_id, how);
        assert!(matches!(refused, Err(CompressError::Level(_))), "{refused:?}");
    }
    let refused = fresh.layers().compressed(&Digest::of(b"other"), Compression::GZIP);
    assert!(matches!(refused, Err(CompressError::Read(ReadError::ReadBlob(_)))), "{refused:?}");
}
