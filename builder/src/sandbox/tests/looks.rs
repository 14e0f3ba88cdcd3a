//! What a step sees.

use super::lab;

isolated! {
    fn output_is_in_order(lab) {
        assert_eq!(lab.sh("echo one; echo two >&2; echo three"), "one\ntwo\nthree\n");
    }

    fn long_output_is_complete(lab) {
        assert_eq!(lab.sh("yes 0123456789 | head -n 200000").len(), 200_000 * 11);
    }

    fn there_is_no_input(lab) {
        assert_eq!(lab.sh("cat; echo end"), "end\n");
    }

    fn the_environment_is_the_spec_and_two_more(lab) {
        let mut spec = lab.spec("env | sort | grep -v -E '^(SHLVL|PWD)='");
        spec.env = vec![("A".into(), "b c".into()), ("EMPTY".into(), String::new())];
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
        assert_eq!(lab.run(&spec), format!("A=b c\nEMPTY=\nHOME=/\n{path}"));
        spec.env = vec![("PATH".into(), "/bin".into()), ("HOME".into(), "/h".into())];
        assert_eq!(lab.run(&spec), "HOME=/h\nPATH=/bin\n");
    }

    fn names_and_hosts(lab) {
        let mut spec = lab.spec("hostname; cat /etc/hosts");
        spec.extra_hosts = vec![("db".into(), "10.1.2.3".into())];
        let expected = "buildkitsandbox\n127.0.0.1\tlocalhost buildkitsandbox\n\
            ::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tdb\n";
        assert_eq!(lab.run(&spec), expected);
    }

    fn generated_files_cover_those_of_the_image(lab) {
        lab.write("etc/hosts", "of the image");
        lab.write("etc/resolv.conf", "of the image");
        assert!(!lab.sh("cat /etc/hosts /etc/resolv.conf").contains("image"));
        let text = lab.sh("echo x 2>&1 >>/etc/hosts; echo y 2>&1 >>/etc/resolv.conf; true");
        assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }

    /// Images made for systemd have it so.
    fn a_dangling_resolv_conf_is_covered(lab) {
        std::fs::create_dir(lab.path("base/etc")).unwrap();
        let to = "../run/systemd/resolve/stub-resolv.conf";
        std::os::unix::fs::symlink(to, lab.path("base/etc/resolv.conf")).unwrap();
        lab.sh("cat /etc/resolv.conf");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }

    fn devices_work(lab) {
        let text = lab.sh(
            "echo lost >/dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; \
             echo x 2>&1 >/dev/full; echo out >/dev/stdout; echo err >/dev/stderr; \
             echo s >/dev/shm/s; cat /dev/shm/s; ls -d /dev/mqueue /dev/pts/ptmx; stat -c %a /dev/shm",
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["4", "4"]);
        assert!(lines[2].contains("No space left"), "{text}");
        assert_eq!(lines[3..], ["out", "err", "s", "/dev/mqueue", "/dev/pts/ptmx", "1777"]);
    }

    fn proc_shows_only_the_step(lab) {
        assert_eq!(lab.sh("echo $$ /proc/[0-9]*"), "1 /proc/1\n");
    }

    fn what_docker_hides_is_hidden(lab) {
        let text = lab.sh(
            "cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null; \
             ls /proc/acpi /sys/firmware /proc/scsi 2>/dev/null | grep -v : ; \
             for f in /proc/sys/kernel/panic /proc/sysrq-trigger /sys/kernel/uevent_seqnum; do \
             (echo 1 >$f) 2>/dev/null && echo wrote $f; done; true",
        );
        assert_eq!(text.trim(), "");
    }

    fn the_mask_and_signals_are_the_defaults(lab) {
        assert_eq!(lab.sh("umask"), "0022\n");
        // Not from a shell, which ignores some itself.
        let mut spec = lab.spec("");
        spec.args = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"].map(String::from).into();
        let none = "0000000000000000";
        assert_eq!(lab.run(&spec), format!("SigBlk:\t{none}\nSigIgn:\t{none}\nSigCgt:\t{none}\n"));
    }

    fn a_step_leaves_nothing_behind(lab) {
        lab.sh("ls /proc /sys /dev /etc >/dev/null; cat /etc/hosts >/dev/null; touch /dev/x /dev/shm/y");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }

    fn changes_are_in_the_upper_directory(lab) {
        lab.write("a/old", "old");
        lab.write("gone", "gone");
        lab.sh("echo new >/a/new; rm /gone; mkdir -p /b/c; ln -s x /b/link");
        assert_eq!(lab.changes(), ["a", "a/new", "b", "b/c", "b/link", "gone"]);
    }

    fn scratch_has_only_what_is_mounted(lab) {
        let mut spec = lab.spec("ls /");
        let crate::sandbox::Root::Overlay { lowers, .. } = &mut spec.root else { unreachable!() };
        lowers.clear();
        spec.mounts = vec![lab.bind("base/bin", "/bin", crate::sandbox::Access::ReadOnly)];
        assert_eq!(lab.run(&spec), "bin\ndev\netc\nproc\nsys\n");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }

    fn many_layers(lab) {
        let mut spec = lab.spec("cat /n; ls / | wc -l");
        let crate::sandbox::Root::Overlay { lowers, .. } = &mut spec.root else { unreachable!() };
        for n in 0..200 {
            let layer = lab.path(&format!("layer-{n}"));
            std::fs::create_dir(&layer).unwrap();
            std::fs::write(layer.join("n"), format!("{n}\n")).unwrap();
            lowers.insert(0, layer);
        }
        assert_eq!(lab.run(&spec), "199\n6\n");
    }
}
