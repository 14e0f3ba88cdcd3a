//! Both forms of a layer show the same: to this program, and to whoever looks at the mounted tree.

use super::support::{dir, file, hard_link, symlink_to};
use super::*;
use crate::ContentDigest;
use crate::layer::marks::Rights;
use crate::layer::walk::walk;

/// Everything about a layer: its entries with what their files hold.
type Listing = Vec<(Entry, Vec<u8>)>;

fn read(entry: &Entry, body: Option<super::super::source::Body>) -> Vec<u8> {
    let mut data = Vec::new();
    if let (Kind::File { size }, Some(body)) = (&entry.kind, body) {
        body.reader(*size).read_to_end(&mut data).unwrap();
        assert_eq!(data.len() as u64, *size);
    }
    data
}

/// What the store says of the layer.
fn told(fresh: &Fresh, layer: &LayerId) -> Listing {
    let mut all = Vec::new();
    let each = fresh.layers().each(layer, &mut |entry, body| {
        let data = read(&entry, body);
        all.push((entry, data));
        Ok(())
    });
    each.unwrap();
    all
}

/// What the kernel shows of the layer.
fn shown(fresh: &Fresh, layer: &LayerId) -> Listing {
    let lower = fresh.layers().lowers(&Snapshot::default().with(*layer)).unwrap();
    let mut all = Vec::new();
    let walked = walk(&lower[0], Rights::Host, &mut |entry, body| {
        let data = read(&entry, body);
        all.push((entry, data));
        Ok(())
    });
    walked.unwrap();
    all
}

/// Archives keep whole seconds only.
fn whole_seconds(mut listing: Listing) -> Listing {
    listing.iter_mut().for_each(|(entry, _)| entry.mtime.1 = 0);
    listing
}

/// Writes the entries in both forms and compares all that there is to compare.
pub(super) fn check_both(entries: &[(Entry, Vec<u8>)]) {
    let stores = FORMS.map(Fresh::of);
    let layers = stores.each_ref().map(|fresh| {
        let mut writer = fresh.layers().begin().unwrap();
        for (entry, data) in entries {
            writer.add(entry, Some(&mut data.as_slice())).unwrap();
            writer.digested(entry, &ContentDigest::of(data));
        }
        writer.finish().unwrap()
    });
    let [directory, indexed] = [0, 1].map(|n| shown(&stores[n], &layers[n]));
    assert_eq!(directory, indexed);
    let listings = [0, 1].map(|n| whole_seconds(told(&stores[n], &layers[n])));
    assert_eq!(listings[0], listings[1]);
    assert_eq!(listings[0], whole_seconds(directory));
    let contents = [0, 1].map(|n| stores[n].layers().content(&layers[n]).unwrap());
    assert_eq!(contents[0], contents[1]);
    let read = [0, 1].map(|n| stores[n].layers().read_content(&layers[n]).unwrap());
    assert_eq!(read, contents);
    for clamp in [None, Some(1000)] {
        let tars = [0, 1].map(|n| stores[n].layers().tar(&layers[n], clamp).unwrap());
        assert_eq!(tars[0], tars[1]);
        check_import(&stores[0].blob(&tars[0].diff_id), &tars[0].diff_id, contents[0]);
    }
}

/// An archive that was written, imported in both forms, is the same layer again.
fn check_import(bytes: &[u8], diff_id: &Digest, content: ContentDigest) {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = fresh.layers().import(&mut &bytes[..], diff_id).unwrap();
        assert_eq!(fresh.layers().content(&layer).unwrap(), content);
        assert_eq!(fresh.layers().tar(&layer, None).unwrap().diff_id, *diff_id);
    }
}

#[test]
fn the_kernel_shows_the_same_tree_for_both_forms() {
    support::private_mounts();
    let link = |path: &str, length: usize| symlink_to(path, &"t".repeat(length));
    let full = |path: &str, size: usize| {
        let data: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        (file(path, 0o644, size as u64), data)
    };
    let wide = |n: usize| full(&format!("wide/{n:05}{}", "x".repeat(n % 200)), n % 3);
    let mut marked = file("marked", 0o4755, 0);
    marked.xattrs = vec![
        (
            b"security.capability".to_vec(),
            b"\x01\0\0\x02\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
        ),
        (b"user.big".to_vec(), vec![7; 3000]),
        (b"user.none".to_vec(), vec![]),
    ];
    let mut owned = dir("d/e", 0o2775);
    (owned.uid, owned.gid, owned.mtime) = (70_000, u32::MAX - 1, (-1, 999_999_999));
    let plain = |entry| (entry, Vec::new());
    let cases: Vec<Vec<(Entry, Vec<u8>)>> = vec![
        vec![],
        vec![full("a", 0), full("b", 1), full("c", 511), full("d", 512), full("e", 513)],
        vec![full("m", 4096), full("n", 4097), full("o", 3_000_000), full("p", 1)],
        [1, 447, 448, 449, 511, 512, 513, 4095].map(|n| plain(link(&format!("l{n}"), n))).into(),
        (0..2000).map(wide).collect(),
        vec![plain(marked), plain(Entry::whiteout("w"))],
        vec![
            plain(Entry::new("!before the dots", Kind::Fifo, 0)),
            plain(Entry::new(b"\xff\x01\n".as_slice(), Kind::OpaqueDir, 0o1777)),
            plain(owned),
            plain(Entry::new("d/e/f", Kind::Block { major: 259, minor: 1_000_000 }, 0o600)),
            plain(Entry::new("d/g", Kind::Char { major: 1, minor: 3 }, 0o666)),
            plain(hard_link("d/h", "d/g")),
            plain(Entry::new("n".repeat(255), Kind::Dir, 0o755)),
        ],
    ];
    for case in cases {
        check_both(&case);
    }
}

/// Entries with what their files hold, and whether their content is known then.
type Row = (&'static str, Vec<(Entry, &'static str)>, bool);

#[test]
fn the_content_of_plain_entries_is_known_without_reading_them() {
    support::private_mounts();
    let dir = |path| (Entry::new(path, Kind::Dir, 0o755), "");
    let link = Entry::new("d/l", Kind::Symlink { target: b"f".to_vec() }, 0o777);
    let marked = Entry { xattrs: vec![(b"user.a".to_vec(), b"1".to_vec())], ..file("g", 0o644, 1) };
    let whole = [dir("d"), (file("d/f", 0o640, 3), "one"), (link, ""), (file("e", 0o4755, 0), "")];
    let rows: [Row; 5] = [
        ("in order", whole.to_vec(), true),
        ("in another order", whole.iter().rev().cloned().collect(), false),
        ("without a parent", whole[1..].to_vec(), false),
        ("with attributes", [&whole[..], &[(marked, "x")]].concat(), false),
        ("twice the same", [&whole[..], &whole[3..]].concat(), false),
    ];
    for (case, entries, known) in rows {
        for form in FORMS {
            let fresh = Fresh::of(form);
            let mut writer = fresh.layers().begin().unwrap();
            for (entry, data) in &entries {
                writer.add(entry, Some(&mut data.as_bytes())).unwrap();
                writer.digested(entry, &ContentDigest::of(data.as_bytes()));
            }
            let layer = writer.finish().unwrap();
            let content = fresh.layers().row(&layer).unwrap().unwrap().content;
            let read = fresh.layers().read_content(&layer).unwrap();
            assert_eq!(content, known.then_some(read), "{case}, {form:?}");
        }
    }
}

#[test]
fn what_an_index_cannot_hold_becomes_a_directory() {
    support::private_mounts();
    let fresh = Fresh::of(Form::Erofs);
    let far = Entry::new("far", Kind::Char { major: 5000, minor: 1 }, 0o600);
    let layer = fresh.layer(&[(file("f", 0o644, 1), "x"), (far, "")]);
    assert!(fresh.path().join("layers").join(layer.to_string()).join("fs/f").is_file());
    assert_eq!(told(&fresh, &layer), shown(&fresh, &layer));
    assert_eq!(told(&fresh, &layer).len(), 2);
}

#[test]
fn gnus_sparse_files_are_imported_in_both_forms() {
    support::private_mounts();
    let folder = tempfile::tempdir().unwrap();
    let sparse = fs::File::create(folder.path().join("f")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 1 << 20).unwrap();
    let tar = std::process::Command::new("tar")
        .args(["--format=gnu", "--sparse", "-cf", "-", "f"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(tar.status.success() && tar.stdout.len() < 1 << 20);
    let diff_id = Digest::of(&tar.stdout);
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = fresh.layers().import(&mut tar.stdout.as_slice(), &diff_id).unwrap();
        let listing = shown(&fresh, &layer);
        assert_eq!(listing[0].1, fs::read(folder.path().join("f")).unwrap());
        // The archive that rbuild would write has no sparse files.
        let tar = fresh.layers().tar(&layer, None);
        assert!(matches!(tar, Err(ReadError::NotKept { .. })), "{tar:?}");
    }
}
