use super::*;

/// An archive with these files.
fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn loaded(files: &[(String, Vec<u8>)]) -> Result<Vec<String>, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    load(&store, archive(files).as_slice())
}

/// So many indexes, each of which names the next; the innermost one names a blob that is missing.
fn nested(count: usize) -> Vec<(String, Vec<u8>)> {
    let mut inner = json!(descriptor(media_type::MANIFEST, Digest::of(b"missing"), 7));
    let mut files = Vec::new();
    for _ in 0..count {
        let index =
            json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [inner]});
        let bytes = index.to_string().into_bytes();
        let top = descriptor(media_type::INDEX, Digest::of(&bytes), bytes.len() as u64);
        files.push((blob_name(&top), bytes));
        inner = json!(top);
    }
    let list = json!({"schemaVersion": 2, "manifests": [inner]});
    files.push(("index.json".to_owned(), list.to_string().into_bytes()));
    files
}

#[test]
fn indexes_are_followed_no_deeper_than_images_have_them() {
    for (count, expected) in [
        (MAX_NESTING - 1, blob_name(&descriptor("", Digest::of(b"missing"), 7))),
        (MAX_NESTING + 1, "an image for this platform".to_owned()),
    ] {
        let missing = loaded(&nested(count)).unwrap_err().to_string();
        assert_eq!(missing, format!("the archive lacks `{expected}`, which it says it has"));
    }
}

#[test]
fn a_list_that_is_too_large_is_not_read_into_memory() {
    let list = vec![b' '; usize::try_from(MAX_SIZE).unwrap() + 1];
    let error = loaded(&[("manifest.json".to_owned(), list)]).unwrap_err().to_string();
    assert_eq!(
        error,
        "`manifest.json` of the archive is not understood: it has more than 16777216 bytes"
    );
}
