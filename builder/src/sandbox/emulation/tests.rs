use super::*;

fn platform(architecture: &str) -> Platform {
    Platform { os: "linux".into(), architecture: architecture.into(), variant: String::new() }
}

/// What is tried, and what comes of it, on a machine whose kernel runs nothing but its own programs.
fn tried(architecture: &str, emulator: Option<&str>, registered: Result<(), Errno>) -> String {
    let register = |_: &Machine, _: &Path| {
        registered.map_err(|errno| Failure::setup("make a table", errno).into())
    };
    let kernel = |machine: &Machine| machine.architecture == "amd64";
    match way(&platform(architecture), kernel, |_| emulator.map(PathBuf::from), register) {
        Ok(Way::Kernel) => "kernel".to_owned(),
        Ok(Way::Registered(())) => "registered".to_owned(),
        Ok(Way::Host(why)) => format!("host: {why}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn the_host_s_registration_is_the_last_resort() {
    let qemu = Some("/usr/bin/qemu");
    let rows = [
        ("amd64", None, Ok(()), "kernel"),
        ("amd64", qemu, Ok(()), "kernel"),
        ("arm64", qemu, Ok(()), "registered"),
        ("arm64", None, Ok(()), "host: `qemu-aarch64-static` is not installed"),
        ("s390x", None, Ok(()), "host: `qemu-s390x-static` is not installed"),
        // Before Linux 6.7, only root of the host may mount the one table that there is.
        ("arm64", qemu, Err(Errno::PERM), "host: cannot make a table: operation not permitted"),
        ("arm64", qemu, Err(Errno::NODEV), "host: cannot make a table: no such device"),
        ("wasm", qemu, Ok(()), "host: no emulator of wasm is known"),
    ];
    for (architecture, emulator, registered, expected) in rows {
        assert_eq!(tried(architecture, emulator, registered), expected, "{architecture}");
    }
}

#[test]
fn a_sandbox_that_is_gone_is_no_reason_for_another_way() {
    let gone = |_: &Machine, _: &Path| Err::<(), _>(SandboxError::ServerGone);
    let found = way(&platform("arm64"), |_| false, |_| Some("/qemu".into()), gone);
    assert!(matches!(found, Err(SandboxError::ServerGone)), "{found:?}");
}

#[test]
fn a_registration_has_seven_fields_and_fits_the_kernel_s_limit() {
    let machine = Machine::named("arm64").unwrap();
    let line = line(machine, "/usr/bin/qemu-aarch64-static");
    let fields: Vec<&str> = line.split(':').collect();
    assert_eq!(fields[..4], ["", "rbuild-arm64", "M", "0"]);
    assert_eq!(fields[6..], ["/usr/bin/qemu-aarch64-static", "POCF"]);
    assert!(fields[4].starts_with("\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00"));
    assert!(fields[4].ends_with("\\x02\\x00\\xb7\\x00"));
    assert!(fields[5].ends_with("\\x00\\xfe\\xff\\xff\\xff"));
    assert!(line.len() < 1920);
}
