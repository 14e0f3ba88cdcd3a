//! The machines that programs are made for: how image platforms and ELF headers name them, and
//! which of them this kernel runs.
//!
//! The fields are those of the System V ABI, chapter "Object Files", ELF header; the numbers are
//! from its registry of `e_machine` values.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use rustix::fs::MemfdFlags;

/// A machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    /// As image platforms name it.
    pub architecture: &'static str,
    /// As QEMU names it.
    pub qemu: &'static str,
    class: Class,
    order: Order,
    number: u16,
}

/// The size of an address: `EI_CLASS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Bits32 = 1,
    Bits64 = 2,
}

/// The order of bytes: `EI_DATA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little = 1,
    Big = 2,
}

const fn machine(
    architecture: &'static str,
    qemu: &'static str,
    class: Class,
    order: Order,
    number: u16,
) -> Machine {
    Machine { architecture, qemu, class, order, number }
}

const MACHINES: [Machine; 10] = [
    machine("386", "i386", Class::Bits32, Order::Little, 3),
    machine("amd64", "x86_64", Class::Bits64, Order::Little, 62),
    machine("arm", "arm", Class::Bits32, Order::Little, 40),
    machine("arm64", "aarch64", Class::Bits64, Order::Little, 183),
    machine("loong64", "loongarch64", Class::Bits64, Order::Little, 258),
    machine("mips64le", "mips64el", Class::Bits64, Order::Little, 8),
    machine("ppc64", "ppc64", Class::Bits64, Order::Big, 21),
    machine("ppc64le", "ppc64le", Class::Bits64, Order::Little, 21),
    machine("riscv64", "riscv64", Class::Bits64, Order::Little, 243),
    machine("s390x", "s390x", Class::Bits64, Order::Big, 22),
];

const MAGIC: [u8; 4] = *b"\x7fELF";
/// `EV_CURRENT`, in the ident and in the header.
const VERSION: u8 = 1;
/// Where `e_type` begins; before it is the ident.
const TYPE: usize = 16;
/// Where `e_machine` ends.
const MACHINE_END: usize = 20;
/// `ET_EXEC`; `ET_DYN` is one more.
const EXECUTABLE: u16 = 2;

impl Machine {
    /// By the architecture of an image platform.
    pub fn named(architecture: &str) -> Option<&'static Machine> {
        MACHINES.iter().find(|machine| machine.architecture == architecture)
    }

    /// The machine that a file with this beginning is for, in the words of image platforms. None if
    /// it is no ELF file.
    pub fn name_of(head: &[u8]) -> Option<String> {
        if !head.starts_with(&MAGIC) || head.len() < MACHINE_END {
            return None;
        }
        let same = |machine: &&Machine| {
            let own = machine.header();
            (own[4], own[5], &own[18..MACHINE_END]) == (head[4], head[5], &head[18..MACHINE_END])
        };
        if let Some(known) = MACHINES.iter().find(same) {
            return Some(known.architecture.to_owned());
        }
        let number = [head[18], head[19]];
        let number = match head[5] == Order::Big as u8 {
            true => u16::from_be_bytes(number),
            false => u16::from_le_bytes(number),
        };
        Some(format!("ELF machine {number}"))
    }

    /// What every program for this machine begins with, and which bits of that count. Who calls
    /// whose interface (`EI_OSABI` and what follows) does not: it says little about Linux programs.
    pub fn pattern(&self) -> ([u8; MACHINE_END], [u8; MACHINE_END]) {
        let mut mask = [0xff; MACHINE_END];
        mask[7..TYPE].fill(0);
        let types = self.bytes(!(EXECUTABLE ^ (EXECUTABLE + 1)));
        mask[TYPE..TYPE + 2].copy_from_slice(&types);
        (self.header(), mask)
    }

    fn header(&self) -> [u8; MACHINE_END] {
        let mut header = [0; MACHINE_END];
        header[..4].copy_from_slice(&MAGIC);
        header[4..7].copy_from_slice(&[self.class as u8, self.order as u8, VERSION]);
        header[TYPE..TYPE + 2].copy_from_slice(&self.bytes(EXECUTABLE));
        header[TYPE + 2..].copy_from_slice(&self.bytes(self.number));
        header
    }

    fn bytes(&self, number: u16) -> [u8; 2] {
        match self.order {
            Order::Little => number.to_le_bytes(),
            Order::Big => number.to_be_bytes(),
        }
    }
}

/// This machine, as image platforms name it.
pub fn this_machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "mips64" => "mips64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Whether the processor and the kernel run programs for a machine themselves: their own, and
/// those of the 32-bit machine that came before, unless that is left out of the kernel or of the
/// processor. The only way to know is to run one.
pub fn kernel_runs(machine: &Machine) -> bool {
    match (this_machine(), machine.architecture) {
        (this, that) if this == that => true,
        ("amd64", "386") => runs(&program(machine, &EXIT_386)),
        ("arm64", "arm") => runs(&program(machine, &EXIT_ARM)),
        _ => false,
    }
}

/// `exit(0)`: the number of the call in `eax`, its argument in `ebx`.
const EXIT_386: [u8; 7] = [0x31, 0xdb, 0x31, 0xc0, 0x40, 0xcd, 0x80];

/// `exit(0)`: the argument in `r0`, the number of the call in `r7`.
const EXIT_ARM: [u8; 12] = [0x00, 0x00, 0xa0, 0xe3, 0x01, 0x70, 0xa0, 0xe3, 0x00, 0x00, 0x00, 0xef];

/// A 32-bit ELF file with one segment, which is the whole file and begins with this code.
fn program(machine: &Machine, code: &[u8]) -> Vec<u8> {
    const ADDRESS: u32 = 0x1_0000;
    const HEADER: u16 = 52;
    const SEGMENT: u16 = 32;
    const READ_AND_EXECUTE: u32 = 5;
    let start = u32::from(HEADER + SEGMENT);
    let size = start + code.len() as u32;
    let mut file = machine.header().to_vec();
    let mut words = |words: &[u32]| words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    words(&[u32::from(VERSION), ADDRESS + start, HEADER.into(), 0, 0]);
    // Two halves in each: sizes of header and segment, one segment, no sections.
    words(&[u32::from(HEADER) | u32::from(SEGMENT) << 16, 1, 0]);
    words(&[1, 0, ADDRESS, ADDRESS, size, size, READ_AND_EXECUTE, 0x1000]);
    file.extend(code);
    file
}

/// Whether a program can be executed and ends well.
fn runs(program: &[u8]) -> bool {
    let Ok(file) = rustix::fs::memfd_create("probe", MemfdFlags::CLOEXEC) else { return false };
    let mut file = File::from(file);
    if file.write_all(program).is_err() {
        return false;
    }
    // A file that is open for writing cannot be executed.
    let Ok(executable) = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())) else {
        return false;
    };
    drop(file);
    Command::new(format!("/proc/self/fd/{}", executable.as_raw_fd()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests;
