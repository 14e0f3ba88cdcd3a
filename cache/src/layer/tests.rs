//! Layers as their callers use them.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::*;
use crate::store::Store;

mod compress;
mod forms;
mod generated;
mod hostile;
pub(super) mod support;

use support::{FORMS, Fresh, dir, file, hard_link, list, symlink_to, tar_entries};

#[test]
fn entries_become_a_layer_and_its_archive_says_the_same() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = fresh.layer(&[
            (dir("bin", 0o755), ""),
            (file("bin/tool", 0o4755, 4), "tool"),
            (symlink_to("bin/link", "tool"), ""),
            (hard_link("bin/twin", "bin/tool"), ""),
            (Entry { uid: 7, gid: 8, mtime: (1_700_000_000, 5), ..file("b", 0o640, 1) }, "b"),
            (Entry::whiteout("gone"), ""),
            (Entry::new("hidden", Kind::OpaqueDir, 0o700), ""),
            (Entry::new("pipe", Kind::Fifo, 0o600), ""),
        ]);
        let blob = fresh.layers().tar(&layer, None).unwrap();
        let listed = tar_entries(&fresh.blob(&blob.diff_id));
        let expected = [
            "0 b 640 7:8 1700000000 `b`",
            "5 bin/ 755 0:0 0",
            "2 bin/link 777 0:0 0 -> tool",
            "0 bin/tool 4755 0:0 0 `tool`",
            "1 bin/twin 4755 0:0 0 -> bin/tool",
            "0 .wh.gone 0 0:0 0 ``",
            "5 hidden/ 700 0:0 0",
            "0 hidden/.wh..wh..opq 0 0:0 0 ``",
            "6 pipe 600 0:0 0",
        ];
        assert_eq!(listed, expected);
        assert_eq!(blob.size, fresh.blob(&blob.diff_id).len() as u64);
        assert_eq!(fresh.layers().tar(&layer, None).unwrap(), blob);
    }
}

#[test]
fn an_archive_can_be_imported_and_is_found_by_its_diff_id() {
    for form in FORMS {
        let (fresh, other) = (Fresh::of(form), Fresh::of(form));
        let layer = fresh.layer(&[
            (dir("d", 0o711), ""),
            (
                Entry {
                    xattrs: vec![(b"user.k".to_vec(), b"v\0".to_vec())],
                    ..file("d/f", 0o600, 3)
                },
                "abc",
            ),
            (Entry::whiteout("d/x"), ""),
            (file("d/\u{e9}".repeat(90).as_str(), 0o644, 0), ""),
        ]);
        let blob = fresh.layers().tar(&layer, None).unwrap();
        let bytes = fresh.blob(&blob.diff_id);
        let imported = other.layers().import(&mut bytes.as_slice(), &blob.diff_id).unwrap();
        assert_eq!(other.layers().by_diff_id(&blob.diff_id), Some(imported));
        assert_eq!(
            other.layers().content(&imported).unwrap(),
            fresh.layers().content(&layer).unwrap()
        );
        let again = other.layers().import(&mut std::io::empty(), &blob.diff_id).unwrap();
        assert_eq!(again, imported);
    }
}

#[test]
fn bytes_after_the_archives_end_count_and_others_are_refused() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = fresh.layer(&[(file("f", 0o644, 1), "x")]);
        let blob = fresh.layers().tar(&layer, None).unwrap();
        let mut bytes = fresh.blob(&blob.diff_id);
        bytes.extend([0; 10_000]);
        let other = Fresh::of(form);
        let refused = other.layers().import(&mut bytes.as_slice(), &blob.diff_id);
        assert!(matches!(refused, Err(ImportError::Mismatch { .. })), "{refused:?}");
        assert_eq!(list(&other.path().join("layers")), [""; 0]);
        assert_eq!(list(&other.path().join("tmp")), [""; 0]);
        let diff_id = Digest::of(&bytes);
        other.layers().import(&mut bytes.as_slice(), &diff_id).unwrap();
    }
}

#[test]
fn times_are_clamped_and_whole() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let at = |path: &str, seconds| Entry { mtime: (seconds, 9), ..file(path, 0o644, 0) };
        let layer = fresh.layer(&[(at("a", -5), ""), (at("b", 1000), ""), (at("c", 1001), "")]);
        let blob = fresh.layers().tar(&layer, Some(1000)).unwrap();
        let listed = tar_entries(&fresh.blob(&blob.diff_id));
        assert_eq!(listed, ["0 a 644 0:0 -5 ``", "0 b 644 0:0 1000 ``", "0 c 644 0:0 1000 ``"]);
        assert_ne!(fresh.layers().tar(&layer, None).unwrap(), blob);
    }
}

#[test]
fn content_sees_everything_but_times() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let base = || file("f", 0o644, 1);
        let digest = |entry: Entry, data: &str| {
            fresh.layers().content(&fresh.layer(&[(entry, data)])).unwrap()
        };
        let first = digest(base(), "x");
        assert_eq!(digest(Entry { mtime: (77, 7), ..base() }, "x"), first);
        let others = [
            digest(base(), "y"),
            digest(Entry { mode: 0o600, ..base() }, "x"),
            digest(Entry { uid: 1, ..base() }, "x"),
            digest(Entry { gid: 1, ..base() }, "x"),
            digest(file("g", 0o644, 1), "x"),
            digest(Entry { xattrs: vec![(b"user.a".to_vec(), b"1".to_vec())], ..base() }, "x"),
            digest(symlink_to("f", "x"), ""),
            digest(Entry::whiteout("f"), ""),
            digest(dir("f", 0o644), ""),
            digest(Entry::new("f", Kind::OpaqueDir, 0o644), ""),
        ];
        let all: std::collections::BTreeSet<_> = others.into_iter().chain([first]).collect();
        assert_eq!(all.len(), 11);
    }
}

#[test]
fn later_entries_replace_earlier_ones() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = fresh.layer(&[
            (file("a", 0o644, 1), "1"),
            (dir("a", 0o755), ""),
            (file("a/b", 0o644, 1), "2"),
            (file("c/d/e", 0o644, 1), "3"),
            (file("c", 0o600, 1), "4"),
            (Entry::whiteout("w"), ""),
            (dir("w", 0o750), ""),
            (file("x", 0o644, 1), "5"),
            (Entry::whiteout("x"), ""),
            (Entry::whiteout("y"), ""),
            (file("y/z", 0o644, 0), ""),
            (dir("a", 0o700), ""),
        ]);
        let expected = [
            "5 a/ 700 0:0 0",
            "0 a/b 644 0:0 0 `2`",
            "0 c 600 0:0 0 `4`",
            "5 w/ 750 0:0 0",
            "0 w/.wh..wh..opq 0 0:0 0 ``",
            "0 x 644 0:0 0 `5`",
            "5 y/ 755 0:0 0",
            "0 y/.wh..wh..opq 0 0:0 0 ``",
            "0 y/z 644 0:0 0 ``",
        ];
        let blob = fresh.layers().tar(&layer, None).unwrap();
        assert_eq!(tar_entries(&fresh.blob(&blob.diff_id)), expected);
    }
}

#[test]
fn a_directory_made_through_a_link_keeps_its_time() {
    support::private_mounts();
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = fresh.layer(&[
            (dir("d", 0o755), ""),
            (symlink_to("l", "d"), ""),
            (Entry { mtime: (7, 8), ..dir("l/e", 0o755) }, ""),
            (symlink_to("l", "l"), ""),
        ]);
        let lower = fresh.layers().lowers(&Snapshot::default().with(layer)).unwrap();
        let meta = fs::metadata(lower[0].join("d/e")).unwrap();
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (7, 8));
    }
}

#[test]
fn a_file_must_be_as_long_as_announced() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        for data in ["", "x", "xyz"] {
            let mut writer = fresh.layers().begin().unwrap();
            let added = writer.add(&file("f", 0o644, 2), Some(&mut data.as_bytes()));
            assert!(matches!(added, Err(WriteError::Add { .. })), "{data}");
        }
        assert_eq!(list(&fresh.path().join("tmp")), [""; 0]);
    }
}

#[test]
fn an_upper_directory_becomes_a_layer_as_it_is() {
    support::private_mounts();
    for form in FORMS {
        let fresh = Fresh::of(form);
        let base = fresh.layer(&[
            (Entry { uid: 5, gid: 6, ..dir("", 0o711) }, ""),
            (dir("d", 0o755), ""),
            (file("d/old", 0o644, 3), "old"),
            (file("keep", 0o644, 4), "keep"),
        ]);
        let below = Snapshot::default().with(base);
        let active = fresh.layers().activate(&below).unwrap();
        let root = fs::metadata(&active.upper).unwrap();
        assert_eq!((root.mode() & 0o7777, root.uid(), root.gid()), (0o711, 5, 6));
        support::with_overlay(&active, |merged| {
            fs::write(merged.join("d/new"), "new").unwrap();
            fs::remove_file(merged.join("d/old")).unwrap();
            fs::remove_file(merged.join("keep")).unwrap();
            symlink("d/new", merged.join("keep")).unwrap();
        });
        let layer = fresh.layers().commit(active).unwrap();
        assert_eq!(list(&fresh.path().join("active")), [""; 0]);
        let above = below.with(layer);
        let view = fresh.layers().view(&above).unwrap();
        assert_eq!(list(view.path()), ["d", "keep"]);
        assert_eq!(list(&view.path().join("d")), ["new"]);
        assert_eq!(fs::read_to_string(view.path().join("keep")).unwrap(), "new");
        assert!(fs::write(view.path().join("x"), "").is_err());
        let blob = fresh.layers().tar(&layer, Some(0)).unwrap();
        let listed = tar_entries(&fresh.blob(&blob.diff_id));
        let expected = [
            "5 d/ 755 0:0 0",
            "0 d/new 644 0:0 0 `new`",
            "0 d/.wh.old 0 0:0 0 ``",
            "2 keep 777 0:0 0 -> d/new",
        ];
        assert_eq!(listed, expected);
    }
}

#[test]
fn a_directory_made_again_hides_the_one_below() {
    support::private_mounts();
    for form in FORMS {
        let fresh = Fresh::of(form);
        let base = fresh.layer(&[(dir("d", 0o755), ""), (file("d/old", 0o644, 0), "")]);
        let below = Snapshot::default().with(base);
        let active = fresh.layers().activate(&below).unwrap();
        support::with_overlay(&active, |merged| {
            fs::remove_dir_all(merged.join("d")).unwrap();
            fs::create_dir(merged.join("d")).unwrap();
        });
        let layer = fresh.layers().commit(active).unwrap();
        let blob = fresh.layers().tar(&layer, Some(0)).unwrap();
        let bytes = fresh.blob(&blob.diff_id);
        assert_eq!(tar_entries(&bytes), ["5 d/ 755 0:0 0", "0 d/.wh..wh..opq 0 0:0 0 ``"]);
        let other = Fresh::of(form);
        let base = other.layer(&[(dir("d", 0o755), ""), (file("d/old", 0o644, 0), "")]);
        let imported = other.layers().import(&mut bytes.as_slice(), &blob.diff_id).unwrap();
        let view = other.layers().view(&Snapshot { layers: vec![base, imported] }).unwrap();
        assert_eq!(list(&view.path().join("d")), [""; 0]);
    }
}

#[test]
fn views_are_shared_and_end_with_their_last_owner() {
    support::private_mounts();
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = fresh.layer(&[(file("f", 0o644, 1), "x"), (Entry::whiteout("w"), "")]);
        let snapshot = Snapshot { layers: vec![layer, layer] };
        let view = fresh.layers().view(&snapshot).unwrap();
        assert_eq!(list(view.path()), ["f"]);
        let again = fresh.layers().view(&snapshot).unwrap();
        assert_eq!(again.path(), view.path());
        let path = view.path().to_owned();
        drop((view, again));
        assert_eq!(list(&path), [""; 0]);
        let scratch = fresh.layers().view(&Snapshot::default()).unwrap();
        assert_eq!(list(scratch.path()), [""; 0]);
        let lowers = fresh.layers().lowers(&Snapshot::default()).unwrap();
        assert_eq!(lowers, [scratch.path()]);
    }
}

#[test]
fn an_active_snapshot_that_is_dropped_leaves_nothing() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let active = fresh.layers().activate(&Snapshot::default()).unwrap();
        assert_eq!(fs::metadata(&active.upper).unwrap().permissions().mode() & 0o7777, 0o755);
        fs::write(active.upper.join("f"), "x").unwrap();
        drop(active);
        assert_eq!(list(&fresh.path().join("active")), [""; 0]);
    }
}

#[test]
fn a_socket_is_left_out_and_a_reserved_name_refused() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let active = fresh.layers().activate(&Snapshot::default()).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(active.upper.join("s")).unwrap();
        assert!(fs::metadata(active.upper.join("s")).unwrap().file_type().is_socket());
        let layer = fresh.layers().commit(active).unwrap();
        let blob = fresh.layers().tar(&layer, None).unwrap();
        assert_eq!(fresh.blob(&blob.diff_id), [0; 1024]);
        let active = fresh.layers().activate(&Snapshot::default()).unwrap();
        fs::write(active.upper.join(".wh.x"), "").unwrap();
        let layer = fresh.layers().commit(active).unwrap();
        assert!(matches!(fresh.layers().tar(&layer, None), Err(ReadError::Entry(_))));
    }
}

#[test]
fn second_names_are_not_mixed_up_between_layers() {
    support::private_mounts();
    let fresh = Fresh::of(Form::Erofs);
    let pair = |first: &str, second: &str, data: &str| {
        fresh.layer(&[(file(first, 0o644, 1), data), (hard_link(second, first), "")])
    };
    let layers = vec![pair("a", "b", "1"), pair("c", "d", "2")];
    let mut tar = Vec::new();
    fresh.layers().write_trees(&[("", &Snapshot { layers })], Some(0), &mut tar).unwrap();
    let expected =
        ["0 a 644 0:0 0 `1`", "1 b 644 0:0 0 -> a", "0 c 644 0:0 0 `2`", "1 d 644 0:0 0 -> c"];
    assert_eq!(tar_entries(&tar), expected);
}

#[test]
fn several_trees_of_an_archive_have_a_folder_each() {
    support::private_mounts();
    let fresh = Fresh::of(Form::Erofs);
    let tree = |data: &str| {
        let layer = fresh.layer(&[(file("a", 0o644, 1), data), (hard_link("b", "a"), "")]);
        Snapshot { layers: vec![layer] }
    };
    let (one, two) = (tree("1"), tree("2"));
    let mut tar = Vec::new();
    fresh.layers().write_trees(&[("one", &one), ("two", &two)], Some(0), &mut tar).unwrap();
    let expected = [
        "5 one/ 755 0:0 0",
        "0 one/a 644 0:0 0 `1`",
        "1 one/b 644 0:0 0 -> one/a",
        "5 two/ 755 0:0 0",
        "0 two/a 644 0:0 0 `2`",
        "1 two/b 644 0:0 0 -> two/a",
    ];
    assert_eq!(tar_entries(&tar), expected);
}

#[test]
fn many_layers_can_be_stacked() {
    support::private_mounts();
    for form in FORMS {
        let fresh = Fresh::of(form);
        let names: Vec<String> = (0..120).map(|n| format!("f{n:03}")).collect();
        let layers = names.iter().map(|name| fresh.layer(&[(file(name, 0o644, 0), "")])).collect();
        let view = fresh.layers().view(&Snapshot { layers }).unwrap();
        assert_eq!(list(view.path()), names);
    }
}

#[test]
fn in_a_user_namespace_owners_and_marks_survive() {
    support::in_user_namespace(
        "layer::tests::in_a_user_namespace_owners_and_marks_survive",
        || {
            support::private_mounts();
            let fresh = Fresh::of(Form::Directory);
            let layer = fresh.layer(&[
                (Entry { uid: 33, gid: 34, ..dir("d", 0o2750) }, ""),
                (Entry { uid: 33, gid: 34, ..file("d/f", 0o4711, 1) }, "x"),
                (Entry::whiteout("d/w"), ""),
                (Entry::new("null", Kind::Char { major: 1, minor: 3 }, 0o666), ""),
                (Entry::new("o", Kind::OpaqueDir, 0o755), ""),
            ]);
            let blob = fresh.layers().tar(&layer, None).unwrap();
            let expected = [
                "5 d/ 2750 33:34 0",
                "0 d/f 4711 33:34 0 `x`",
                "0 d/.wh.w 0 0:0 0 ``",
                "5 o/ 755 0:0 0",
                "0 o/.wh..wh..opq 0 0:0 0 ``",
            ];
            assert_eq!(tar_entries(&fresh.blob(&blob.diff_id)), expected);
            let base = fresh.layer(&[(file("o/old", 0o644, 0), ""), (file("d/w", 0o644, 0), "")]);
            let view = fresh.layers().view(&Snapshot { layers: vec![base, layer] }).unwrap();
            assert_eq!(list(&view.path().join("o")), [""; 0]);
            assert_eq!(list(&view.path().join("d")), ["f"]);
        },
    );
}

#[test]
fn an_opaque_root_hides_all_below() {
    support::private_mounts();
    for form in FORMS {
        let fresh = Fresh::of(form);
        let top = Entry::new("", Kind::OpaqueDir, 0o711);
        let layer = fresh.layer(&[(top, ""), (file("new", 0o644, 0), "")]);
        let blob = fresh.layers().tar(&layer, None).unwrap();
        let bytes = fresh.blob(&blob.diff_id);
        assert_eq!(tar_entries(&bytes), ["0 .wh..wh..opq 0 0:0 0 ``", "0 new 644 0:0 0 ``"]);
        let other = Fresh::of(form);
        let above = other.layer(&[(file("above", 0o644, 0), "")]);
        let imported = other.layers().import(&mut bytes.as_slice(), &blob.diff_id).unwrap();
        let below = other.layer(&[(file("old", 0o644, 0), "")]);
        let stack = Snapshot { layers: vec![below, imported, above] };
        let view = other.layers().view(&stack).unwrap();
        assert_eq!(list(view.path()), ["above", "new"]);
    }
}

#[test]
fn an_archive_is_described_without_being_written_where_it_is_large() {
    let fresh = Fresh::of(Form::Directory);
    let size = 17 << 20;
    let mut writer = fresh.layers().begin().unwrap();
    let large = Entry { mtime: (5, 0), ..file("large", 0o644, size) };
    writer.add(&large, Some(&mut std::io::repeat(b'x').take(size))).unwrap();
    let layer = writer.finish().unwrap();
    for clamp in [None, Some(0)] {
        let archive = fresh.layers().archive(&layer, clamp).unwrap();
        assert!(!fresh.blobs().contains(&archive.diff_id));
        let (gzip, _) = fresh.layers().compressed(&archive.diff_id, Compression::GZIP).unwrap();
        assert!(!fresh.blobs().contains(&archive.diff_id));
        let mut inflated = Vec::new();
        let bytes = fresh.blob(&gzip);
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut inflated).unwrap();
        assert_eq!((Digest::of(&inflated), inflated.len() as u64), (archive.diff_id, archive.size));
        assert!(fresh.layers().restore(&archive.diff_id).unwrap());
        assert!(fresh.blob(&archive.diff_id) == inflated);
    }
    assert!(!fresh.layers().restore(&Digest::of(b"of no layer")).unwrap());
}

#[test]
fn a_small_archive_is_a_blob_at_once() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = fresh.layer(&[(file("small", 0o644, 1), "x")]);
        let archive = fresh.layers().archive(&layer, None).unwrap();
        assert_eq!(fresh.blobs().size(&archive.diff_id), Some(archive.size));
    }
}

#[test]
fn stacks_are_put_on_one_another() {
    let layers: Vec<LayerId> = std::iter::repeat_with(LayerId::random).take(3).collect();
    let stack = |picked: &[usize]| Snapshot { layers: picked.iter().map(|&n| layers[n]).collect() };
    assert_eq!(Snapshot::stacked([&stack(&[0, 1]), &stack(&[2]), &stack(&[])]), stack(&[0, 1, 2]));
    for held in [&[][..], &[0], &[2], &[1, 2], &[0, 1, 2]] {
        assert!(stack(&[0, 1, 2]).holds(&stack(held)), "{held:?}");
    }
    for other in [&[0, 2][..], &[2, 1], &[0, 1, 2, 0]] {
        assert!(!stack(&[0, 1, 2]).holds(&stack(other)), "{other:?}");
    }
}

#[test]
fn a_stack_may_be_deeper_than_the_kernel_takes_it() {
    support::private_mounts();
    for form in FORMS {
        let fresh = Fresh::of(form);
        let layer = |n: usize| match n % 3 {
            0 => fresh
                .layer(&[(file("last", 0o644, 1), "x"), (file(&format!("f{n}"), 0o644, 1), "x")]),
            1 => fresh.layer(&[(Entry::whiteout(format!("f{}", n - 1)), "")]),
            _ => {
                fresh.layer(&[(Entry { uid: n as u32, ..dir(&format!("d{}", n % 7), 0o700) }, "")])
            }
        };
        let stack = Snapshot { layers: (0..600).map(layer).collect() };
        let lowers = fresh.layers().lowers(&stack).unwrap();
        assert!(lowers.len() < 150, "{}", lowers.len());
        let view = fresh.layers().view(&stack).unwrap();
        assert_eq!(list(view.path()), ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "last"]);
        assert_eq!(fs::metadata(view.path().join("d1")).unwrap().uid(), 596);
        // What is built upon it has the same groups below.
        let above = fresh.layers().lowers(&stack.with(layer(600))).unwrap();
        assert_eq!(above[1..], lowers);
    }
}

#[test]
fn a_layer_that_is_not_here_is_filled_in_when_it_comes() {
    support::private_mounts();
    for form in FORMS {
        let (made, fresh) = (Fresh::of(form), Fresh::of(form));
        let layer = made.layer(&[(file("app", 0o644, 1), "x")]);
        let tar = made.layers().tar(&layer, None).unwrap();
        let bytes = made.blob(&tar.diff_id);
        let base = fresh.layers().announce(&tar.diff_id, (&tar.diff_id, tar.size)).unwrap();
        let top = fresh.layer(&[(file("top", 0o644, 1), "y")]);
        let stack = Snapshot { layers: vec![base, top] };
        for (absent, wrong) in [(&b"other"[..], false), (b"app", true)] {
            let guess = Guess { layer: top, below: vec![base], absent: vec![absent.to_vec()] };
            fresh.layers().put_guess(&guess).unwrap();
            assert_eq!(fresh.layers().guesses(&stack).unwrap(), std::slice::from_ref(&guess));
            if !wrong {
                let missing = fresh.layers().missing(&stack).unwrap();
                assert_eq!((missing.len(), missing[0].blob), (1, tar.diff_id));
                assert!(matches!(fresh.layers().view(&stack), Err(MountError::NotHere(_))));
                assert_eq!(fresh.layers().import(&mut &bytes[..], &tar.diff_id).unwrap(), base);
                assert_eq!(fresh.layers().missing(&stack).unwrap(), []);
            }
            let found = fresh.layers().check_guess(&guess).unwrap();
            assert_eq!(found.is_some(), wrong);
            assert_eq!(fresh.layers().guesses(&stack).unwrap(), []);
            // With a wrong guess goes what was made on it.
            assert_eq!(fresh.layers().missing(&Snapshot { layers: vec![top] }).is_err(), wrong);
        }
    }
}
