//! The generated program, run by an interpreter of the kernel's filter machine.

use super::*;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0x8000_0000;

/// What a program returns for a call, and how many instructions it took.
fn run(program: &[Instruction], audit: u32, number: u32, args: [u64; 6]) -> (u32, usize) {
    let mut data = [number, audit, 0, 0].to_vec();
    data.extend(args.iter().flat_map(|arg| [*arg as u32, (*arg >> 32) as u32]));
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        steps += 1;
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => accumulator = data[k as usize / 4],
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => branch(accumulator == k),
            0x25 => branch(accumulator > k),
            0x35 => branch(accumulator >= k),
            0x06 => return (k, steps),
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}

const ALL: [Architecture; 5] = [X86_64, I386, AARCH64, ARM, RISCV64];

fn programs() -> Vec<(Architecture, Vec<Instruction>)> {
    let program = |archs: &[Architecture]| {
        let tables = archs.iter().map(|arch| (arch.audit, profile::calls(arch.column)));
        bpf::program(&tables.collect::<Vec<_>>())
    };
    let (intel, arm, riscv) =
        (program(&[X86_64, I386]), program(&[AARCH64, ARM]), program(&[RISCV64]));
    vec![
        (X86_64, intel.clone()),
        (I386, intel),
        (AARCH64, arm.clone()),
        (ARM, arm),
        (RISCV64, riscv),
    ]
}

#[test]
fn every_number_has_the_outcome_of_its_rule() {
    for (arch, program) in programs() {
        let rules = profile::calls(arch.column);
        let last = *rules.keys().last().unwrap();
        for number in (0..600).chain([0xf_0002, 0xf_0005, 0x4000_0000, u32::MAX]) {
            let expected = match rules.get(&number) {
                Some(profile::Action::Allow | profile::Action::AllowIfWithout { .. }) => ALLOW,
                Some(profile::Action::AllowIfIn { .. }) => ALLOW,
                Some(profile::Action::Fail(errno)) => 0x0005_0000 | u32::from(*errno),
                None if number > last => ENOSYS,
                None => EPERM,
            };
            let (got, steps) = run(&program, arch.audit, number, [0; 6]);
            assert_eq!(got, expected, "{arch:?} {number}");
            assert!(steps < 24, "{steps} instructions for call {number}");
        }
    }
}

#[test]
fn arguments_are_looked_at() {
    let clone = |flags: u64| ("clone", [flags, 0, 0, 0, 0, 0]);
    let socket = |family: u64| ("socket", [family, 1, 0, 0, 0, 0]);
    let personality = |persona: u64| ("personality", [persona, 0, 0, 0, 0, 0]);
    let rows = [
        (clone(0x0120_0011), ALLOW),
        (clone(0x003d_0f00), ALLOW),
        (clone(0x1000_0000), EPERM),
        (clone(0x0002_0000), EPERM),
        (clone(0x4000_0011), EPERM),
        (socket(1), ALLOW),
        (socket(2), ALLOW),
        (socket(16), ALLOW),
        (socket(38), EPERM),
        (socket(40), EPERM),
        (socket(41), ALLOW),
        (socket(0x1_0000_0028), EPERM),
        (personality(0), ALLOW),
        (personality(8), ALLOW),
        (personality(0xffff_ffff), ALLOW),
        (personality(0x0040_0000), EPERM),
        (personality(0x2_0008), ALLOW),
    ];
    for (arch, program) in programs() {
        for ((name, args), expected) in rows {
            let number = profile::number(name, arch.column).unwrap();
            let (got, _) = run(&program, arch.audit, number, args);
            assert_eq!(got, expected, "{arch:?} {name} {:#x}", args[0]);
        }
    }
}

#[test]
fn what_reaches_the_host_is_not_in_the_profile() {
    let dangerous = "mount umount2 pivot_root unshare setns bpf keyctl add_key request_key \
        kexec_load init_module finit_module delete_module reboot swapon swapoff acct settimeofday \
        clock_settime perf_event_open io_uring_setup io_uring_enter fsopen fsmount move_mount \
        open_tree open_by_handle_at userfaultfd quotactl syslog iopl ioperm ptrace_attach";
    for name in dangerous.split_whitespace() {
        assert_eq!(profile::number(name, 0), None, "{name}");
    }
    for name in ["chroot", "ptrace", "mknod", "setuid", "execve", "seccomp"] {
        assert!(profile::number(name, 0).is_some(), "{name}");
    }
}

#[test]
fn a_foreign_architecture_is_killed() {
    for (_, program) in programs() {
        assert_eq!(run(&program, 0x1234, 1, [0; 6]).0, KILL);
    }
}

#[test]
fn the_numbers_are_those_of_this_machine() {
    let rows = [
        ("read", libc::SYS_read),
        ("execve", libc::SYS_execve),
        ("clone3", libc::SYS_clone3),
        ("openat2", libc::SYS_openat2),
        ("faccessat2", libc::SYS_faccessat2),
    ];
    let arch = ALL.iter().find(|arch| {
        Some(arch.audit)
            == match std::env::consts::ARCH {
                "x86_64" => Some(X86_64.audit),
                "aarch64" => Some(AARCH64.audit),
                "riscv64" => Some(RISCV64.audit),
                _ => None,
            }
    });
    for (name, number) in rows {
        let found = profile::number(name, arch.unwrap().column).map(i64::from);
        assert_eq!(found, Some(number), "{name}");
    }
}

#[test]
fn the_program_is_short() {
    let program = filter().unwrap();
    assert!(program.len() < 700, "{} instructions", program.len());
    assert!(profile::calls(X86_64.column).len() > 300);
}
