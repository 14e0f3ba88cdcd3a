//! Starting programs, and what is said when that is not possible.

use super::super::error::Failure;
use super::super::{Exit, SandboxError};
use super::lab::{self, Lab};

fn failure(lab: &Lab, args: &[&str]) -> Failure {
    let mut spec = lab.spec("");
    spec.args = args.iter().map(|arg| arg.to_string()).collect();
    match lab.try_run(&spec) {
        Err(SandboxError::Step(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

isolated! {
    fn exit_codes_are_kept(lab) {
        for code in [0, 1, 42, 127, 255] {
            let spec = lab.spec(&format!("exit {code}"));
            assert_eq!(lab.try_run(&spec).unwrap().0, Exit::Code(code));
        }
    }

    fn a_signal_is_no_exit_code(lab) {
        let endless = "f() { f; }; f";
        assert_eq!(lab.try_run(&lab.spec(endless)).unwrap().0, Exit::Signal(libc::SIGSEGV));
    }

    fn a_missing_program_is_named(lab) {
        let error = failure(lab, &["frobnicate", "-x"]).to_string();
        assert!(error.starts_with("`frobnicate`: no such program in PATH `/usr/local"), "{error}");
        assert_eq!(failure(lab, &["/opt/x"]).to_string(), "`/opt/x`: no such program");
        assert!(matches!(failure(lab, &[""]), Failure::NoProgram { .. }));
    }

    fn a_missing_interpreter_is_named(lab) {
        lab.write("run", "#!/usr/bin/python3 -u\nprint()\n");
        lab.write("dos", "#!/bin/sh\r\necho\r\n");
        lab.sh("true");
        for name in ["run", "dos"] {
            executable(lab, name);
        }
        let expected = "`/run` needs `/usr/bin/python3`, which is not in the image";
        assert_eq!(failure(lab, &["/run"]).to_string(), expected);
        assert!(failure(lab, &["/dos"]).to_string().contains("`/bin/sh\\r`"));
    }

    fn a_missing_loader_is_named(lab) {
        std::fs::copy("/proc/self/exe", lab.path("base/dynamic")).unwrap();
        executable(lab, "dynamic");
        let error = failure(lab, &["/dynamic"]).to_string();
        assert!(error.contains("needs `/lib") && error.contains("ld-linux"), "{error}");
    }

    fn other_machines_are_named(lab) {
        let mut elf = std::fs::read("/bin/busybox").unwrap();
        let other = if cfg!(target_arch = "aarch64") { (62, "amd64") } else { (183, "arm64") };
        elf[18] = other.0;
        std::fs::write(lab.path("base/foreign"), elf).unwrap();
        executable(lab, "foreign");
        let error = failure(lab, &["/foreign"]).to_string();
        assert!(error.starts_with(&format!("`/foreign` is a program for {}", other.1)), "{error}");
    }

    fn not_a_program(lab) {
        lab.write("text", "echo hello\n");
        executable(lab, "text");
        assert!(matches!(failure(lab, &["/text"]), Failure::NotExecutable { .. }));
        lab.write("plain", "#!/bin/sh\n");
        let denied = failure(lab, &["/plain"]);
        assert_eq!(denied.to_string(), "cannot execute `/plain`: permission denied");
        assert!(denied.help().unwrap().contains("chmod"));
    }

    fn the_working_directory_is_entered_or_made(lab) {
        let mut spec = lab.spec("pwd");
        spec.cwd = "/bin".into();
        assert_eq!(lab.run(&spec), "/bin\n");
        spec.cwd = "/none/below".into();
        assert_eq!(lab.run(&spec), "/none/below\n");
        spec.cwd = "/bin/busybox".into();
        assert!(lab.try_run(&spec).unwrap_err().to_string().contains("not a directory"));
    }

    fn a_private_working_directory_is_entered(lab) {
        let mut spec = lab.spec("pwd");
        std::fs::create_dir(lab.path("base/private")).unwrap();
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(lab.path("base/private"), closed).unwrap();
        spec.cwd = "/private".into();
        spec.user = "1000".into();
        assert_eq!(lab.run(&spec), "/private\n");
    }
}

fn executable(lab: &Lab, name: &str) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(lab.path("base").join(name), mode).unwrap();
}
