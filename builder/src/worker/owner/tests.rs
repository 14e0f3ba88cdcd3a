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
        ("nobody9", Err("no user `nobody9` in the image's `/etc/passwd`")),
        ("app:nogrp", Err("no group `nogrp` in the image's `/etc/group`")),
        ("app:bad", Err("no group `bad` in the image's `/etc/group`")),
        ("-1", Err("no user `-1` in the image's `/etc/passwd`")),
        ("4294967295", Err("`4294967295` is too large for the number of a user or group")),
        ("1:2147483648", Err("`2147483648` is too large for the number of a user or group")),
        (
            "1:2:3",
            Err("`1:2:3` is not an owner: expected `user`, `user:group`, or numbers of them"),
        ),
    ];
    for (written, expected) in rows {
        let got = look_up(written, Some(&image)).map(|o| (o.uid, o.gid)).map_err(|e| e.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{written}");
    }
}

#[test]
fn numbers_need_no_image() {
    assert_eq!(look_up("7:8", None).unwrap(), Owner { uid: 7, gid: 8 });
    assert_eq!(look_up("root:root", None).unwrap(), Owner::default());
    let error = look_up("app", None).unwrap_err().to_string();
    assert_eq!(error, "no user `app`: the image has no `/etc/passwd`; use a number");
}

#[test]
fn hostile_files_are_not_read() {
    let (root, image) = image("");
    let passwd = root.path().join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &passwd).unwrap();
    assert!(matches!(look_up("app", Some(&image)), Err(OwnerError::NoFile { .. })), "outside");

    std::fs::remove_file(&passwd).unwrap();
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &passwd, fifo, mode, 0).unwrap();
    assert!(matches!(look_up("app", Some(&image)), Err(OwnerError::NoFile { .. })), "a pipe");

    std::fs::remove_file(&passwd).unwrap();
    std::fs::File::create(&passwd).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(look_up("app", Some(&image)), Err(OwnerError::Read { .. })), "endless");
}
