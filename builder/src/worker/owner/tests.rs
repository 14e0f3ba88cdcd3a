//! Names and numbers of owners.

use rbuild_cache::tree::Owners;
use tempfile::TempDir;

use super::*;

fn image(passwd: &str) -> (TempDir, Tree) {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("etc")).unwrap();
    std::fs::write(root.path().join("etc/passwd"), passwd).unwrap();
    std::fs::write(root.path().join("etc/group"), "root:x:0:\nstaff:x:77:app\nbad:x:no:\n")
        .unwrap();
    let tree = Tree::open(root.path(), Owners::Kept, None).unwrap();
    (root, tree)
}

#[test]
fn owners_are_what_docker_makes_of_them() {
    let (_root, image) = image("root:x:0:0::/root:/bin/sh\napp:x:500:600::/:\n");
    let rows = [
        ("app", Ok((500, 600))),
        ("app:staff", Ok((500, 77))),
        ("app:5", Ok((500, 5))),
        ("app:", Ok((500, 600))),
        ("500", Ok((500, 500))),
        ("500:", Ok((500, 0))),
        (":staff", Ok((0, 77))),
        ("0:staff", Ok((0, 77))),
        ("", Ok((0, 0))),
        ("root", Ok((0, 0))),
        ("2147483647", Ok((2_147_483_647, 2_147_483_647))),
        ("nobody9", Ok((0, 0))),
        ("nobody9:staff", Ok((0, 77))),
        ("app:nogrp", Ok((500, 600))),
        ("app:bad", Ok((500, 600))),
        ("5:nogrp", Ok((5, 0))),
        ("-1", Ok((0, 0))),
        ("4294967295", Err("`4294967295` is too large for the number of a user or group")),
        ("1:2147483648", Err("`2147483648` is too large for the number of a user or group")),
        (
            "1:2:3",
            Err("`1:2:3` is not an owner: expected `user`, `user:group`, or numbers of them"),
        ),
    ];
    for (written, expected) in rows {
        let got = look_up(written, Some(&image), &mut |_| ());
        let got = got.map(|o| (o.uid, o.gid)).map_err(|e| e.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{written}");
    }
}

#[test]
fn unknown_names_are_told() {
    let (_root, image) = image("root:x:0:0::/root:/bin/sh\napp:x:500:600::/:\n");
    let empty = TempDir::new().unwrap();
    let bare = Tree::open(empty.path(), Owners::Kept, None).unwrap();
    let rows = [
        (&image, "app:staff", ""),
        (
            &image,
            "ap",
            "user `ap` is not in the image's `/etc/passwd`: it is taken for user 0, root; \
             did you mean `app`?",
        ),
        (
            &image,
            "nobody9",
            "user `nobody9` is not in the image's `/etc/passwd`: it is taken for user 0, root",
        ),
        (
            &image,
            "app:stuff",
            "group `stuff` is not in the image's `/etc/group`: it is taken for group 600; \
             did you mean `staff`?",
        ),
        (&bare, "root", ""),
        (
            &bare,
            "app",
            "user `app` cannot be looked up without the image's `/etc/passwd`: it is taken for \
             user 0, root",
        ),
    ];
    for (image, written, expected) in rows {
        let mut warnings = Vec::new();
        look_up(written, Some(image), &mut |line| warnings.push(line)).unwrap();
        assert_eq!(warnings.join("\n"), expected, "{written}");
    }
}

#[test]
fn numbers_need_no_image() {
    let known = |written| look_up(written, None, &mut |line| panic!("{line}"));
    assert_eq!(known("7:8").unwrap(), Owner { uid: 7, gid: 8 });
    assert_eq!(known("root:root").unwrap(), Owner::default());
    let error = known("app").unwrap_err().to_string();
    let expected = "no user `app`: there is no image with a `/etc/passwd` below; use a number";
    assert_eq!(error, expected);
}

#[test]
fn hostile_files_are_not_read() {
    let (root, image) = image("");
    let is_unknown = || {
        let mut warnings = 0;
        look_up("app", Some(&image), &mut |_| warnings += 1).unwrap();
        warnings == 1
    };
    let passwd = root.path().join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &passwd).unwrap();
    assert!(is_unknown(), "outside");

    std::fs::remove_file(&passwd).unwrap();
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &passwd, fifo, mode, 0).unwrap();
    assert!(is_unknown(), "a pipe");

    std::fs::remove_file(&passwd).unwrap();
    std::fs::File::create(&passwd).unwrap().set_len(1 << 40).unwrap();
    let endless = look_up("app", Some(&image), &mut |_| ());
    assert!(matches!(endless, Err(OwnerError::Read { .. })), "endless");
}
