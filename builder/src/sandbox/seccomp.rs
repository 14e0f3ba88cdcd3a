//! The system call filter of a step.
//!
//! The rules are data (`profile.txt`). They become a program for the kernel's filter machine once,
//! in the server: a search tree over the numbers, because installing and running a program both
//! cost by its length, and a chain of comparisons for some 370 calls takes a millisecond a step.

mod bpf;
mod profile;

use super::sys::Instruction;

/// The filter for steps on this machine, with the 32-bit programs it can run. None for an
/// architecture that the profile does not know.
pub fn filter() -> Option<Vec<Instruction>> {
    let architectures: &[Architecture] = match std::env::consts::ARCH {
        "x86_64" => &[X86_64, I386],
        "aarch64" => &[AARCH64, ARM],
        "riscv64" => &[RISCV64],
        _ => return None,
    };
    let tables = architectures.iter().map(|arch| (arch.audit, profile::calls(arch.column)));
    Some(bpf::program(&tables.collect::<Vec<_>>()))
}

/// How an architecture is named: to the kernel, and by its column in the profile.
#[derive(Debug, Clone, Copy)]
struct Architecture {
    /// The kernel's `AUDIT_ARCH_*`.
    audit: u32,
    column: usize,
}

const X86_64: Architecture = Architecture { audit: 0xC000_003E, column: 0 };
const I386: Architecture = Architecture { audit: 0x4000_0003, column: 1 };
const AARCH64: Architecture = Architecture { audit: 0xC000_00B7, column: 2 };
const ARM: Architecture = Architecture { audit: 0x4000_0028, column: 3 };
const RISCV64: Architecture = Architecture { audit: 0xC000_00F3, column: 4 };

#[cfg(test)]
mod tests;
