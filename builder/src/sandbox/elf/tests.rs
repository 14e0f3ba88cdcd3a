use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_pattern_fits_programs_of_its_machine_only() {
    for machine in &MACHINES {
        let (magic, mask) = machine.pattern();
        let fits =
            |head: &[u8]| (0..MACHINE_END).all(|at| head[at] & mask[at] == magic[at] & mask[at]);
        for other in &MACHINES {
            let mut head = other.header();
            assert_eq!(fits(&head), machine == other, "{machine:?} {other:?}");
            // A position-independent program, for Linux explicitly.
            head[TYPE..TYPE + 2].copy_from_slice(&other.bytes(EXECUTABLE + 1));
            head[7] = 3;
            assert_eq!(fits(&head), machine == other, "{machine:?} {other:?}");
            // A relocatable file is no program.
            head[TYPE..TYPE + 2].copy_from_slice(&other.bytes(1));
            assert!(!fits(&head), "{machine:?} {other:?}");
        }
        assert_eq!(Machine::name_of(&machine.header()).as_deref(), Some(machine.architecture));
    }
}

#[test]
fn unknown_machines_are_told_by_number() {
    let mut head = MACHINES[0].header();
    head[18..].copy_from_slice(&999u16.to_le_bytes());
    assert_eq!(Machine::name_of(&head).as_deref(), Some("ELF machine 999"));
    assert_eq!(Machine::name_of(b"#!/bin/sh, and some more bytes"), None);
    assert_eq!(Machine::name_of(b"\x7fELF"), None);
}

#[test]
fn this_machine_is_one_of_them_and_runs_its_own_programs() {
    let this = Machine::named(this_machine()).unwrap();
    assert!(kernel_runs(this));
    assert_eq!(
        Machine::name_of(&std::fs::read("/proc/self/exe").unwrap()).as_deref(),
        Some(this_machine())
    );
    let foreign = Machine::named("s390x").filter(|machine| *machine != this);
    assert!(foreign.is_none_or(|machine| !kernel_runs(machine)));
}

/// The small programs, given to an emulator that knows what they mean.
#[test]
fn the_probes_are_programs() {
    let folder = tempfile::tempdir().unwrap();
    for (name, code) in [("386", &EXIT_386[..]), ("arm", &EXIT_ARM[..])] {
        let machine = Machine::named(name).unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, program(machine, code)).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        let ended = Command::new(format!("qemu-{}-static", machine.qemu)).arg(&file).status();
        match ended {
            Ok(ended) => assert!(ended.success(), "{name}: {ended}"),
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "no emulator of {name}: {error}")
            }
        }
    }
}
