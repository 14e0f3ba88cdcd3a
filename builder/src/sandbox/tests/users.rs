//! Whom a step runs as.

use super::super::error::Failure;
use super::super::{Exit, SandboxError};
use super::lab;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\ndockerio:x:1001:1001::/home/dockerio:\n\
    other:x:1003:1001::/home/other:\n";
const GROUP: &str = "root:x:0:root\nwheel:x:10:root,x\ndockerio:x:1001:\nmore:x:1002:dockerio\n";

isolated! {
    fn dockers_rules(lab) {
        lab.write("etc/passwd", PASSWD);
        lab.write("etc/group", GROUP);
        let rows = [
            ("", "0 0 0 10 /root"),
            ("root", "0 0 0 10 /root"),
            ("0", "0 0 0 10 /root"),
            ("0:0", "0 0 0 /root"),
            ("1234", "1234 0 0 /"),
            ("1234:1234", "1234 1234 1234 /"),
            ("dockerio", "1001 1001 1001 1002 /home/dockerio"),
            ("1001", "1001 1001 1001 1002 /home/dockerio"),
            ("dockerio:dockerio", "1001 1001 1001 /home/dockerio"),
            ("dockerio:more", "1001 1002 1002 /home/dockerio"),
            ("other", "1003 1001 1001 /home/other"),
            ("other:5", "1003 5 5 /home/other"),
        ];
        for (user, expected) in rows {
            let mut spec = lab.spec("echo $(id -u) $(id -g) $(id -G) $HOME");
            spec.user = user.into();
            assert_eq!(lab.run(&spec).trim(), expected, "USER {user}");
        }
    }

    fn unknown_names_are_told(lab) {
        lab.write("etc/passwd", PASSWD);
        lab.write("etc/group", GROUP);
        let rows = [
            ("nobody", "no user `nobody`"),
            ("root:nogroup", "no group `nogroup`"),
            ("4294967296", "no user `4294967296`"),
            ("4294967295", "too large"),
            ("-1", "no user `-1`"),
        ];
        for (user, expected) in rows {
            let mut spec = lab.spec("true");
            spec.user = user.into();
            let error = lab.try_run(&spec).unwrap_err().to_string();
            assert!(error.contains(expected), "USER {user}: {error}");
        }
    }

    fn without_passwd_numbers_still_work(lab) {
        let mut spec = lab.spec("id -u; id -G; echo $HOME");
        spec.user = "1000:1000".into();
        assert_eq!(lab.run(&spec), "1000\n1000\n/\n");
        spec.user = "app".into();
        assert!(lab.try_run(&spec).unwrap_err().to_string().contains("no `/etc/passwd`"));
    }

    /// CVE-2024-9676: what is not a plain file of sane size is not read.
    fn hostile_passwd_files(lab) {
        let passwd = lab.path("base/etc/passwd");
        lab.write("etc/group", "");
        let user = |name: &str| {
            let mut spec = lab.spec("id -u");
            spec.user = name.into();
            lab.try_run(&spec)
        };
        let refused = |result: Result<(Exit, String), SandboxError>, why: &str| match result {
            Err(SandboxError::Step(Failure::User { reason, .. })) if reason.contains(why) => {}
            other => panic!("{other:?}"),
        };
        rustix::fs::mknodat(rustix::fs::CWD, &passwd, rustix::fs::FileType::Fifo, 0o644.into(), 0)
            .unwrap();
        refused(user("app"), "not a regular file");
        std::fs::remove_file(&passwd).unwrap();

        std::os::unix::fs::symlink("/dev/zero", &passwd).unwrap();
        refused(user("app"), "not a regular file");
        std::fs::remove_file(&passwd).unwrap();

        // Out of the root it would be the host's, which has other users.
        std::os::unix::fs::symlink("../../../../../../../../etc/real", &passwd).unwrap();
        lab.write("etc/real", "app:x:77:77::/:\n");
        assert_eq!(user("app").unwrap().1, "77\n");
        std::fs::remove_file(&passwd).unwrap();

        let file = std::fs::File::create(&passwd).unwrap();
        file.set_len(1 << 34).unwrap();
        refused(user("app"), "larger than");
    }

    fn streams_belong_to_the_user(lab) {
        let mut spec = lab.spec("echo out >/dev/stdout; echo err >/dev/stderr");
        spec.user = "1000".into();
        assert_eq!(lab.run(&spec), "out\nerr\n");
    }

    fn only_root_has_capabilities(lab) {
        let status = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";
        let mut spec = lab.spec(status);
        let root = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n\
            CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n\
            NoNewPrivs:\t0\nSeccomp:\t2\n";
        assert_eq!(lab.run(&spec), root);
        spec.user = "1000".into();
        let user = root
            .replace("Prm:\t00000000a80425fb", "Prm:\t0000000000000000")
            .replace("Eff:\t00000000a80425fb", "Eff:\t0000000000000000");
        assert_eq!(lab.run(&spec), user);
    }
}
