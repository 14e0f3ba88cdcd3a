//! Archives that want out of their layer.

use proptest::prelude::*;

use super::*;

/// Builds an archive member by member, with names that a decent writer refuses.
#[derive(Default)]
struct Forge(Vec<u8>);

impl Forge {
    fn add(mut self, flag: u8, path: &str, link: &str, data: &[u8]) -> Forge {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_link_name_literal(link).unwrap();
        header.set_entry_type(tar::EntryType::new(flag));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        if matches!(flag, b'3' | b'4') {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn pax(self, key: &str, value: &str) -> Forge {
        let rest = key.len() + value.len() + 3;
        let length = (rest..).find(|n| *n == rest + n.to_string().len()).unwrap();
        self.add(b'x', "pax", "", format!("{length} {key}={value}\n").as_bytes())
    }

    fn import(mut self, fresh: &Fresh) -> Result<LayerId, ImportError> {
        self.0.extend([0; 1024]);
        fresh.layers().import(&mut self.0.as_slice(), &Digest::of(&self.0))
    }

    /// What the archive's layer holds, as lines of its archive.
    fn lines(self, form: Form) -> Vec<String> {
        let fresh = Fresh::of(form);
        let layer = self.import(&fresh).unwrap();
        let mut tar = super::super::archive::TarWriter::new(Vec::new());
        let added = fresh.layers().each(&layer, &mut |entry, body| {
            let size = if let Kind::File { size } = entry.kind { size } else { 0 };
            match body {
                Some(body) => tar.add(&entry, &mut body.reader(size)).unwrap(),
                None => tar.add(&entry, &mut std::io::empty()).unwrap(),
            };
            Ok(())
        });
        added.unwrap();
        tar_entries(&tar.finish().unwrap())
    }
}

#[test]
fn paths_that_lead_out_are_refused_and_leave_nothing() {
    for form in FORMS {
        let rows = [
            Forge::default().add(b'0', "../x", "", b"x"),
            Forge::default().add(b'0', "a/../../x", "", b"x"),
            Forge::default().add(b'5', "..", "", b""),
            Forge::default().add(b'1', "x", "../../etc/passwd", b""),
            Forge::default().add(b'0', "a", "", b"").add(b'0', "a/b", "", b"x"),
            Forge::default().add(b'2', "l", "/nowhere", b"").add(b'0', "l/b", "", b"x"),
            Forge::default().add(b'1', "x", "etc/passwd", b""),
            Forge::default().add(b'5', "d", "", b"").add(b'1', "x", "d", b""),
            Forge::default().add(b'0', ".wh..", "", b""),
            Forge::default().add(b'0', ".wh...", "", b""),
            Forge::default().add(b'0', "a/.wh.", "", b""),
            Forge::default().pax("GNU.sparse.major", "1").add(b'0', "s", "", b"x"),
            Forge::default().pax("mtime", "soon").add(b'0', "s", "", b"x"),
            Forge(vec![7; 5000]),
        ];
        for (row, forge) in rows.into_iter().enumerate() {
            let fresh = Fresh::of(form);
            let refused = forge.import(&fresh);
            assert!(refused.is_err(), "row {row}");
            assert_eq!(list(&fresh.path().join("tmp")), [""; 0], "row {row}");
            assert_eq!(list(&fresh.path().join("layers")), [""; 0], "row {row}");
        }
    }
}

#[test]
fn links_of_the_layer_are_followed_inside_it_only() {
    for form in FORMS {
        let outside = tempfile::tempdir().unwrap();
        let to = outside.path().to_str().unwrap();
        let climbing = format!("../../../../../../../../../..{to}");
        let lines = Forge::default()
            .add(b'5', &to[1..], "", b"")
            .add(b'2', "abs", to, b"")
            .add(b'0', "abs/one", "", b"1")
            .add(b'2', "up", &climbing, b"")
            .add(b'0', "up/two", "", b"2")
            .add(b'1', "up/three", "abs/one", b"")
            .lines(form);
        assert_eq!(list(outside.path()), [""; 0]);
        for name in ["one", "two", "three"] {
            let path = format!("{}/{name} ", &to[1..]);
            assert!(lines.iter().any(|line| line.contains(&path)), "{name}: {lines:?}");
        }
    }
}

#[test]
fn an_entry_that_takes_the_place_of_its_own_parent_has_no_parent_any_more() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let climbs = || Forge::default().add(b'2', "a", "..", b"").add(b'0', "a/a/a", "", b"1");
        assert!(climbs().import(&fresh).is_ok());
        assert!(climbs().add(b'0', "a/a/a", "", b"2").import(&fresh).is_err());
    }
}

#[test]
fn a_link_at_the_path_itself_is_replaced_not_followed() {
    for form in FORMS {
        let outside = tempfile::NamedTempFile::new().unwrap();
        let to = outside.path().to_str().unwrap();
        let lines = Forge::default()
            .add(b'2', "f", to, b"")
            .add(b'0', "f", "", b"data")
            .add(b'2', "d", "/etc", b"")
            .add(b'5', "d", "", b"")
            .lines(form);
        assert_eq!(fs::read(outside.path()).unwrap(), b"");
        assert_eq!(lines, ["5 d/ 644 0:0 0", "0 f 644 0:0 0 `data`"]);
    }
}

#[test]
fn absolute_and_dotted_paths_are_taken_from_the_root() {
    for form in FORMS {
        let lines = Forge::default()
            .add(b'5', "./", "", b"")
            .add(b'0', "/etc/x", "", b"x")
            .add(b'0', "./a/../b//c", "", b"c")
            .lines(form);
        let expected =
            ["5 b/ 755 0:0 0", "0 b/c 644 0:0 0 `c`", "5 etc/ 755 0:0 0", "0 etc/x 644 0:0 0 `x`"];
        assert_eq!(lines, expected);
    }
}

#[test]
fn marks_of_overlayfs_and_aufs_do_not_come_in() {
    for form in FORMS {
        let lines = Forge::default()
            .pax("SCHILY.xattr.trusted.overlay.redirect", "/etc")
            .add(b'5', "d", "", b"")
            .pax("SCHILY.xattr.user.overlay.opaque", "y")
            .add(b'5', "e", "", b"")
            .add(b'0', ".wh..wh.aufs", "", b"")
            .add(b'0', ".wh..wh.plnk/1.2", "", b"")
            .add(b'g', "global", "", b"18 path=elsewhere\n")
            .add(b'3', "null", "", b"")
            .lines(form);
        assert_eq!(lines, ["5 d/ 644 0:0 0", "5 e/ 644 0:0 0", "3 null 644 0:0 0"]);
    }
}

#[test]
fn a_file_that_no_disk_holds_is_not_begun() {
    for form in FORMS {
        let fresh = Fresh::of(form);
        let mut header = tar::Header::new_gnu();
        header.set_path("bomb").unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        // 255 * 2^48 bytes, all of them a hole.
        header.as_gnu_mut().unwrap().realsize = [0x80, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0];
        header.set_cksum();
        let archive = [header.as_bytes().as_slice(), &[0; 1024]].concat();
        let error = fresh.layers().import(&mut archive.as_slice(), &Digest::of(&archive));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the disk has room for"), "{error}");
        let mut writer = fresh.layers().begin().unwrap();
        let entry = Entry::new("bomb", Kind::File { size: 1 << 60 }, 0o644);
        let error = writer.add(&entry, Some(&mut std::io::repeat(0))).unwrap_err().to_string();
        assert!(error.contains("the disk has room for"), "{error}");
    }
}

/// Names that lead to a place outside, in whatever way, mixed with harmless ones.
fn names(outside: &str) -> impl Strategy<Value = String> {
    let climbing = format!("../../../../../../../../..{outside}");
    let names = ["a", "b", "a/b", "b/a/b", "/a", "..", "../a", "a/../../b", "./", "", ".wh.a"];
    let names: Vec<String> =
        names.into_iter().map(str::to_owned).chain([outside.to_owned(), climbing]).collect();
    prop::sample::select(names)
}

#[test]
fn no_archive_reaches_a_place_outside() {
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().to_str().unwrap();
    let flags = prop::sample::select(b"0125".to_vec());
    let member = (flags, names(place), names(place));
    let default = ProptestConfig::default();
    let config = ProptestConfig { cases: default.cases / 4, failure_persistence: None, ..default };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let fresh = FORMS.map(Fresh::of);
    let checked = runner.run(&prop::collection::vec(member, 1..12), |members| {
        for fresh in &fresh {
            let mut forge = Forge::default();
            for (flag, path, link) in &members {
                let data: &[u8] = if *flag == b'0' { b"data" } else { b"" };
                forge = forge.add(*flag, path, link, data);
            }
            // Whether it is taken or refused is not the question.
            let _ = forge.import(fresh);
            prop_assert_eq!(list(outside.path()), [""; 0]);
        }
        Ok(())
    });
    checked.unwrap();
}

/// Each link leads on from the folder of the one before.
#[test]
fn folders_are_only_so_deep() {
    let deep = vec!["d"; 40].join("/");
    let mut forge = Forge::default();
    for link in 0..100 {
        let below = if link == 0 { deep.clone() } else { format!("l{}/{deep}", link - 1) };
        // What a link leads to is known: so none of them leads through another one.
        let whole = vec![deep.as_str(); link + 1].join("/");
        forge = forge.add(b'5', &below, "", b"");
        forge = forge.pax("linkpath", &whole).add(b'2', &format!("l{link}"), "", b"");
    }
    let error = forge.import(&Fresh::of(Form::Erofs)).unwrap_err();
    assert!(format!("{error:?}").contains("too many folders"), "{error:?}");
}
