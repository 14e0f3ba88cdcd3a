//! What the caller adds to a step's root.

use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;

use super::super::{Access, Mount, MountKind, Root, Source};
use super::lab;

fn file(target: &str, text: &str, mode: u32) -> Mount {
    let kind = MountKind::File { data: text.into(), mode, owner: (0, 0) };
    Mount { target: target.into(), kind }
}

isolated! {
    fn a_script_from_a_heredoc(lab) {
        let mut spec = lab.spec("");
        spec.args = vec!["/dev/pipes/EOF".into(), "a".into()];
        spec.mounts = vec![file("/dev/pipes/EOF", "#!/bin/sh\necho \"$0 $1\"\n", 0o755)];
        assert_eq!(lab.run(&spec), "/dev/pipes/EOF a\n");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }

    fn directories_read_only_and_writable(lab) {
        std::fs::create_dir(lab.path("host")).unwrap();
        std::fs::write(lab.path("host/file"), "text\n").unwrap();
        let mut spec = lab.spec("cat /in/file; touch /in/x 2>/dev/null && echo written; ls /in");
        spec.mounts = vec![lab.bind("host", "/in", Access::ReadOnly)];
        assert_eq!(lab.run(&spec), "text\nfile\n");
        spec.mounts = vec![lab.bind("host", "/in", Access::ReadWrite)];
        assert_eq!(lab.run(&spec), "text\nwritten\nfile\nx\n");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }

    fn a_file_by_descriptor(lab) {
        std::fs::write(lab.path("secret"), "hidden\n").unwrap();
        let fd = Arc::new(std::fs::File::open(lab.path("secret")).unwrap().into());
        let kind = MountKind::Bind { source: Source::Fd(fd), access: Access::ReadOnly };
        let mut spec = lab.spec("cat /run/secrets/s");
        spec.mounts = vec![Mount { target: "/run/secrets/s".into(), kind }];
        assert_eq!(lab.run(&spec), "hidden\n");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }

    fn memory(lab) {
        let mut spec = lab.spec("stat -c %a /t; touch /t/x; df -k /t | tail -n 1");
        let kind = MountKind::Tmpfs { size: Some(1 << 20), mode: 0o1777 };
        spec.mounts = vec![Mount { target: "/t".into(), kind }];
        let text = lab.run(&spec);
        assert!(text.starts_with("1777\n") && text.contains(" 1024 "), "{text}");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }

    fn on_top_of_each_other(lab) {
        std::fs::create_dir_all(lab.path("host/sub")).unwrap();
        let mut spec = lab.spec("ls /in /in/sub");
        spec.mounts = vec![lab.bind("host", "/in", Access::ReadOnly), file("/in/sub/f", "", 0o644)];
        // A mount point inside a read-only mount cannot be made, and that is said.
        let error = lab.try_run(&spec).unwrap_err().to_string();
        assert_eq!(error, "cannot make the mount point `/in/sub/f`: read-only file system");
    }

    /// The image has links and deletions in the way of the stubs: mount points are made in it and
    /// removed, and times are as before.
    fn mount_points_that_had_to_be_made_are_removed(lab) {
        std::fs::create_dir_all(lab.path("base/real")).unwrap();
        symlink("real", lab.path("base/link")).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let real = std::fs::File::open(lab.path("base/real")).unwrap();
        real.set_modified(old).unwrap();
        let mut spec = lab.spec("cat /link/a/b; ls /real");
        spec.mounts = vec![file("/link/a/b", "text\n", 0o644)];
        assert_eq!(lab.run(&spec), "text\na\n");
        assert_eq!(lab.changes(), ["real"]);
        assert_eq!(std::fs::metadata(lab.path("upper/real")).unwrap().mtime(), 1_000_000);
    }

    fn what_a_step_puts_beside_a_mount_point_stays(lab) {
        symlink("real", lab.path("base/link")).unwrap();
        std::fs::create_dir_all(lab.path("base/real")).unwrap();
        let mut spec = lab.spec("touch /real/a/mine");
        spec.mounts = vec![file("/link/a/b", "", 0o644)];
        lab.run(&spec);
        assert_eq!(lab.changes(), ["real", "real/a", "real/a/mine"]);
    }

    fn a_tree_as_it_is(lab) {
        let mut spec = lab.spec("touch /x 2>/dev/null && echo written; cat /etc/hosts | wc -l");
        let source = Source::Path(lab.path("base"));
        spec.root = Root::Tree { source, access: Access::ReadWrite };
        assert_eq!(lab.run(&spec), "written\n2\n");
        assert!(lab.path("base/x").exists());
        let mut left: Vec<_> =
            std::fs::read_dir(lab.path("base")).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["bin", "x"]);
    }
}
