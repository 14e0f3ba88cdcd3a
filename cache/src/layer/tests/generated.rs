//! Properties over generated trees: what a step did to a tree is what its archive does to it, and
//! both forms of a layer agree on any list of entries.

use proptest::collection::vec;
use proptest::prelude::*;

use super::forms::check_both;
use super::*;
use crate::layer::dir::DirWriter;
use crate::layer::marks::Rights;
use crate::layer::tree::Tree;
use crate::layer::walk::walk;

type Data = Vec<u8>;
type Listing = Vec<(Entry, Data)>;

/// One thing that a step does.
#[derive(Debug, Clone)]
enum Deed {
    Put(Entry, Data),
    Remove(Vec<u8>),
}

/// A case costs several stores: a few are tried each time, more with `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.div_ceil(16), failure_persistence: None, ..default }
}

/// Few names, so that they meet; among them odd ones.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c"]).prop_map(Vec::from),
        1 => prop::sample::select(vec!["-", "!", ".wh", "a b", "\u{e9}", "\n", "=", "a.b"]).prop_map(Vec::from),
        1 => Just(b"\xff\xfe".to_vec()),
        1 => Just(vec![b'n'; 255]),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(name(), 1..4).prop_map(|names| names.join(&b'/'))
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        path(),
        path().prop_map(|path| [b"/", path.as_slice()].concat()),
        path().prop_map(|path| [b"../", path.as_slice()].concat()),
        Just(b"..".to_vec()),
        Just(b"/".to_vec()),
    ]
}

fn kind_and_data() -> impl Strategy<Value = (Kind, Data)> {
    let file = prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 500..530)]
        .prop_map(|data| (Kind::File { size: data.len() as u64 }, data));
    let plain = |kind| (kind, Data::new());
    prop_oneof![
        5 => file,
        5 => Just(plain(Kind::Dir)),
        1 => Just(plain(Kind::OpaqueDir)),
        2 => Just(plain(Kind::Whiteout)),
        2 => target().prop_map(move |target| plain(Kind::Symlink { target })),
        3 => path().prop_map(move |target| plain(Kind::HardLink { target })),
        1 => Just(plain(Kind::Fifo)),
        1 => (1u32..300, 0u32..70_000).prop_map(move |(major, minor)| plain(Kind::Char { major, minor })),
    ]
}

fn xattrs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let value = vec(any::<u8>(), 0..40);
    prop::collection::btree_map(prop::sample::select(vec!["user.a", "user.\u{e9}"]), value, 0..2)
        .prop_map(|map| map.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn entry() -> impl Strategy<Value = (Entry, Data)> {
    let owner = prop::sample::select(vec![0u32, 1, 70_000, 3_000_000]);
    let time = (-3i64..3_000_000_000, 0u32..1_000_000_000);
    (path(), kind_and_data(), 0u32..0o10000, (owner.clone(), owner), time, xattrs()).prop_map(
        |(path, (kind, data), mode, (uid, gid), mtime, xattrs)| {
            // Linux keeps user attributes for files and directories only.
            let bears = matches!(kind, Kind::File { .. } | Kind::Dir | Kind::OpaqueDir);
            let xattrs = if bears { xattrs } else { Vec::new() };
            (Entry { path, kind, mode, uid, gid, mtime, xattrs }, data)
        },
    )
}

fn deed() -> impl Strategy<Value = Deed> {
    let is_mark = |entry: &Entry| matches!(entry.kind, Kind::Whiteout | Kind::OpaqueDir);
    prop_oneof![
        3 => entry()
            .prop_filter("a step makes no marks", move |(entry, _)| !is_mark(entry))
            .prop_map(|(entry, data)| Deed::Put(entry, data)),
        2 => path().prop_map(Deed::Remove),
    ]
}

/// Parts the entries that a layer takes one after the other from those it refuses.
fn sort_out(entries: Listing) -> (Listing, Listing) {
    let mut tree = Tree::new();
    entries.into_iter().partition(|(entry, _)| {
        let mut next = tree.clone();
        let taken = next.add(entry, 0).is_ok();
        if taken {
            tree = next;
        }
        taken
    })
}

/// Everything that is to be seen below a directory, in whole seconds. A second name is shown as
/// what it names: while overlayfs is mounted it does not always tell that two names are one file.
fn seen(root: &Path) -> Listing {
    let mut all: Listing = Vec::new();
    let walked = walk(root, Rights::Host, &mut |mut entry, body| {
        let mut data = Data::new();
        if let (Kind::File { size }, Some(body)) = (&entry.kind, body) {
            body.reader(*size).read_to_end(&mut data).unwrap();
        }
        entry.mtime.1 = 0;
        if let Kind::HardLink { target } = &entry.kind {
            let named = all.iter().find(|(entry, _)| entry.path == *target);
            (entry.kind, data) =
                named.map(|(entry, data)| (entry.kind.clone(), data.clone())).unwrap();
        }
        all.push((entry, data));
        Ok(())
    });
    walked.unwrap();
    all
}

/// Removes what is at `path`, unless a link leads there.
fn remove(root: &Path, path: &[u8]) {
    use std::os::unix::ffi::OsStrExt;
    let mut here = root.to_owned();
    let names: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    for (n, name) in names.iter().enumerate() {
        here.push(std::ffi::OsStr::from_bytes(name));
        let Ok(meta) = fs::symlink_metadata(&here) else { return };
        match (n + 1 == names.len(), meta.is_dir()) {
            (true, true) => fs::remove_dir_all(&here).unwrap(),
            (true, false) => fs::remove_file(&here).unwrap(),
            (false, true) => {}
            (false, false) => return,
        }
    }
}

fn perform(root: &Path, deeds: &[Deed]) {
    let mut writer = DirWriter::open(root, Rights::Host).unwrap();
    for deed in deeds {
        match deed {
            // What is impossible stays undone.
            Deed::Put(entry, data) => drop(writer.add(entry, &mut data.as_slice())),
            Deed::Remove(path) => {
                // The writer remembers the directory it was in.
                writer.finish().unwrap();
                writer = DirWriter::open(root, Rights::Host).unwrap();
                remove(root, path);
            }
        }
    }
    writer.finish().unwrap();
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_forms_agree_on_any_entries(entries in vec(entry(), 0..25)) {
        support::private_mounts();
        let (taken, refused) = sort_out(entries);
        check_both(&taken);
        for form in FORMS {
            let fresh = Fresh::of(form);
            if let Some((entry, data)) = refused.first() {
                let mut writer = fresh.layers().begin().unwrap();
                for (entry, data) in &taken {
                    writer.add(entry, Some(&mut data.as_slice())).unwrap();
                }
                let again = sort_out(taken.iter().chain([&(entry.clone(), data.clone())]).cloned().collect());
                let added = writer.add(entry, Some(&mut data.as_slice()));
                prop_assert_eq!(added.is_ok(), again.1.is_empty());
            }
        }
    }

    #[test]
    fn what_a_step_did_is_what_its_archive_does(
        before in vec(entry(), 0..25),
        deeds in vec(deed(), 0..15),
    ) {
        support::private_mounts();
        let (before, _) = sort_out(before);
        for form in FORMS {
            let (fresh, other) = (Fresh::of(form), Fresh::of(form));
            let [base, others_base] = [&fresh, &other].map(|fresh| {
                let mut writer = fresh.layers().begin().unwrap();
                for (entry, data) in &before {
                    writer.add(entry, Some(&mut data.as_slice())).unwrap();
                }
                Snapshot::default().with(writer.finish().unwrap())
            });
            let active = fresh.layers().activate(&base).unwrap();
            let mut after = Vec::new();
            support::with_overlay(&active, |merged| {
                perform(merged, &deeds);
                after = seen(merged);
            });
            let layer = fresh.layers().commit(active).unwrap();
            let view = fresh.layers().view(&base.with(layer)).unwrap();
            prop_assert_eq!(&seen(view.path()), &after);
            let tar = fresh.layers().tar(&layer, None).unwrap();
            let bytes = fresh.blob(&tar.diff_id);
            let imported = other.layers().import(&mut bytes.as_slice(), &tar.diff_id).unwrap();
            let view = other.layers().view(&others_base.with(imported)).unwrap();
            prop_assert_eq!(&seen(view.path()), &after);
            let contents = (fresh.layers().content(&layer).unwrap(), other.layers().content(&imported).unwrap());
            prop_assert_eq!(contents.0, contents.1);
        }
    }

    #[test]
    fn squashed_layers_show_what_they_show_apart(
        layers in vec(vec(entry(), 0..12), 3..6),
    ) {
        support::private_mounts();
        for form in FORMS {
            let fresh = Fresh::of(form);
            let write = |entries: &Listing| {
                let mut writer = fresh.layers().begin().unwrap();
                for (entry, data) in sort_out(entries.clone()).0 {
                    writer.add(&entry, Some(&mut data.as_slice())).unwrap();
                }
                writer.finish().unwrap()
            };
            let stack = Snapshot { layers: layers.iter().map(write).collect() };
            let apart = fresh.layers().view(&stack).unwrap();
            let squashed = fresh.layers().squash(&stack.layers[1..]).unwrap();
            prop_assert_eq!(squashed.lowers.len(), 1);
            let bottom = fresh.layers().lower(&stack.layers[0]).unwrap();
            let together = fresh.layers().mount_lowers(vec![squashed.lowers[0].clone(), bottom]).unwrap();
            prop_assert_eq!(seen(together.path()), seen(apart.path()));
        }
    }
}
