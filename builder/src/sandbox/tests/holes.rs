//! Holes that other builders had. Each test is one row of the table in the design.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::error::Failure;
use super::super::start::own_program_for_tests;
use super::super::{Access, Mount, MountKind, SandboxError};
use super::lab;

isolated! {
    /// CVE-2024-21626.
    fn no_descriptor_of_the_host_is_open(lab) {
        // The fourth is that of `ls` itself.
        assert_eq!(lab.sh("ls /proc/self/fd"), "0\n1\n2\n3\n");
    }

    /// CVE-2024-21626: the working directory by way of a descriptor of the host.
    fn a_working_directory_in_proc_leads_nowhere(lab) {
        symlink("/proc/self/fd/7", lab.path("base/link")).unwrap();
        let mut names = vec!["/proc/self/cwd".to_owned(), "/proc/1/root".into(), "/link".into()];
        names.extend((3..30).map(|fd| format!("/proc/self/fd/{fd}")));
        names.extend((3..30).map(|fd| format!("/proc/self/fd/{fd}/../..")));
        for name in names {
            let mut spec = lab.spec("pwd; ls");
            spec.cwd = name.clone();
            let result = lab.try_run(&spec);
            assert!(
                matches!(result, Err(SandboxError::Step(Failure::Cwd { .. }))),
                "{name}: {result:?}"
            );
        }
    }

    /// Neither by `..` nor in the list of mounts.
    fn nothing_of_the_host_is_mounted(lab) {
        let folder = lab.path("");
        let host = folder.to_str().unwrap();
        assert_eq!(lab.sh("ls -A /.. | tr '\\n' ' '; ls -A / | tr '\\n' ' '"),
            "bin dev etc proc sys bin dev etc proc sys ");
        assert_eq!(lab.sh(&format!("ls {host} /../{host} /bin/../..{host} 2>/dev/null; true")), "");
        let mounts = lab.sh("cut -d ' ' -f 5 /proc/self/mountinfo");
        let below = ["/proc", "/dev", "/sys", "/etc/hosts", "/etc/resolv.conf"];
        for mount in mounts.lines() {
            assert!(
                mount == "/" || below.iter().any(|top| mount.starts_with(top)),
                "{mount} in:\n{mounts}"
            );
        }
        assert_eq!(mounts.lines().filter(|mount| *mount == "/").count(), 1, "{mounts}");
    }

    /// CVE-2024-1753, CVE-2024-23651: links as mount targets stay in the root.
    fn mount_targets_stay_in_the_root(lab) {
        std::fs::create_dir(lab.path("outside")).unwrap();
        let outside = lab.path("outside");
        let up = "../".repeat(20) + outside.to_str().unwrap().trim_start_matches('/');
        symlink(&up, lab.path("base/up")).unwrap();
        symlink(&outside, lab.path("base/absolute")).unwrap();
        for name in ["up", "absolute"] {
            let mut spec = lab.spec("true");
            let kind = MountKind::File { data: b"x".to_vec(), mode: 0o644, owner: (0, 0) };
            spec.mounts = vec![Mount { target: format!("/{name}/file"), kind }];
            // Inside the root the link dangles.
            let error = lab.try_run(&spec).unwrap_err().to_string();
            assert!(error.contains("mount point"), "{error}");
            assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        }
    }

    /// CVE-2025-31133, CVE-2025-52565: what covers `/proc` files is not the image's.
    fn the_images_dev_is_not_used(lab) {
        std::fs::create_dir(lab.path("base/dev")).unwrap();
        symlink("/proc/sys/kernel/core_pattern", lab.path("base/dev/null")).unwrap();
        symlink("/proc/sysrq-trigger", lab.path("base/dev/console")).unwrap();
        assert_eq!(lab.sh("stat -c '%t:%T' /dev/null; cat /proc/keys | wc -c"), "1:3\n0\n");
    }

    /// An image whose `/proc` or `/sys` is a link: the mount goes where it leads, in the root.
    fn linked_system_directories_stay_inside(lab) {
        std::fs::create_dir(lab.path("base/elsewhere")).unwrap();
        symlink("/elsewhere", lab.path("base/sys")).unwrap();
        assert_eq!(lab.sh("ls -d /elsewhere/kernel"), "/elsewhere/kernel\n");
    }

    /// CVE-2024-23652: removing mount stubs follows no link out.
    fn removing_stubs_follows_no_link(lab) {
        std::fs::create_dir(lab.path("host")).unwrap();
        std::fs::create_dir_all(lab.path("victim/b")).unwrap();
        std::fs::create_dir_all(lab.path("base/real")).unwrap();
        symlink("real", lab.path("base/link")).unwrap();
        let victim = lab.path("victim").display().to_string();
        // `/link/a/b` has to be made. The step tries to put a link in the place of its parent.
        let mut spec = lab.spec(&format!("rm -rf /real; mv /real /moved; ln -s {victim} /real; true"));
        spec.mounts = vec![lab.bind("host", "/link/a/b", Access::ReadOnly)];
        lab.run(&spec);
        assert!(lab.path("victim/b").is_dir());
    }

    /// CVE-2019-5736: nobody can write to this program by way of a step.
    fn this_program_cannot_be_replaced(lab) {
        lab.write("evil", "#!/proc/self/exe\n");
        let mode = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(lab.path("base/evil"), mode).unwrap();
        let mut spec = lab.spec("");
        spec.args = vec!["/evil".into()];
        // The program that becomes the interpreter is this one, and finds no loader in the image.
        assert!(lab.try_run(&spec).is_err());
        for program in own_program_for_tests() {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&program));
            let written = std::fs::OpenOptions::new().write(true).open(path).and_then(|mut file| {
                std::io::Write::write(&mut file, b"x")
            });
            assert!(written.is_err(), "{written:?}");
        }
    }

    /// A device made by a step, or shipped in a layer, opens no device.
    fn devices_of_the_image_do_not_open(lab) {
        // Rootless, it cannot even be made.
        let text = lab.sh("for d in / /dev/ /dev/shm/ /tmp/; do mkdir -p $d; \
            mknod ${d}disk c 1 5 2>/dev/null && head -c 1 ${d}disk | wc -c; done; true");
        assert!(!text.lines().any(|line| line == "1"), "{text}");
    }

    fn system_calls_that_reach_the_host_are_refused(lab) {
        let text = lab.sh(
            "for c in 'mount -t tmpfs x /bin' 'umount /proc' 'unshare -m true' 'unshare -U true' \
             'hostname x' 'chroot / true'; do $c 2>/dev/null && echo \"$c\"; \
             done; true",
        );
        assert_eq!(text, "chroot / true\n");
    }

    fn changing_devices_changes_none_of_the_host(lab) {
        let before = std::fs::metadata("/dev/null").unwrap().permissions().mode();
        lab.sh("chmod 600 /dev/null 2>/dev/null; rm -f /dev/zero 2>/dev/null; true");
        assert_eq!(std::fs::metadata("/dev/null").unwrap().permissions().mode(), before);
    }

    fn processes_of_the_host_are_out_of_reach(lab) {
        // Signalling -1 reaches everything a process can see.
        assert_eq!(lab.sh("kill -9 -1 2>/dev/null; echo alive"), "alive\n");
    }
}
