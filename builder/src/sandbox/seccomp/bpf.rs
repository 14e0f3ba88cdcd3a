//! Rules to a program of the kernel's filter machine.
//!
//! The machine has one accumulator, comparisons that skip up to 255 instructions, and no loops.
//! A program starts with the architecture; each has a binary search tree over ranges of numbers
//! with the same outcome; the leaves return, or look at an argument first.

use std::collections::BTreeMap;

use super::super::sys::Instruction;
use super::profile::Action;

/// Operations, as the machine encodes them.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// What a program returns.
const ALLOW: u32 = 0x7fff_0000;
const ERROR: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

/// Where the machine finds things: offsets in the kernel's `seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// The program for some architectures, each with its rules by number.
pub fn program(tables: &[(u32, BTreeMap<u32, Action>)]) -> Vec<Instruction> {
    let mut program = vec![plain(LOAD, ARCHITECTURE_AT)];
    for (architecture, rules) in tables {
        let mut part = vec![plain(LOAD, NUMBER_AT)];
        part.extend(tree(&ranges(rules)));
        program.extend(skip_unless(JUMP_IF_EQUAL, *architecture, part));
    }
    // A system call of an architecture that the host was not known to have.
    program.push(plain(RETURN, KILL_PROCESS));
    program
}

/// All numbers, as the starts of ranges with one outcome each.
fn ranges(rules: &BTreeMap<u32, Action>) -> Vec<(u32, Action)> {
    let mut ranges: Vec<(u32, Action)> = Vec::new();
    let mut push = |start: u32, action: Action| {
        if ranges.last().is_none_or(|(_, last)| *last != action) {
            ranges.push((start, action));
        }
    };
    let mut next = 0;
    for (number, action) in rules {
        if *number > next {
            push(next, Action::Fail(EPERM));
        }
        push(*number, action.clone());
        next = number + 1;
    }
    push(next, Action::Fail(ENOSYS));
    ranges
}

/// A tree that finds the range of the number in the accumulator.
fn tree(ranges: &[(u32, Action)]) -> Vec<Instruction> {
    match ranges {
        [] => vec![fail(EPERM)],
        [(_, action)] => leaf(action),
        _ => {
            let (left, right) = ranges.split_at(ranges.len() / 2);
            let mut code = skip_if_at_least(right[0].0, tree(left));
            code.extend(tree(right));
            code
        }
    }
}

fn leaf(action: &Action) -> Vec<Instruction> {
    match action {
        Action::Allow => vec![plain(RETURN, ALLOW)],
        Action::Fail(errno) => vec![fail(*errno)],
        Action::AllowIfWithout { argument, bits } => vec![
            load_argument(*argument),
            plain(AND, *bits),
            jump(JUMP_IF_EQUAL, 0, 0, 1),
            plain(RETURN, ALLOW),
            fail(EPERM),
        ],
        Action::AllowIfIn { argument, ranges } => {
            let mut code = vec![load_argument(*argument)];
            for (first, last) in ranges {
                code.push(jump(JUMP_IF_AT_LEAST, *first, 0, 2));
                code.push(jump(JUMP_IF_GREATER, *last, 1, 0));
                code.push(plain(RETURN, ALLOW));
            }
            code.push(fail(EPERM));
            code
        }
    }
}

/// The arguments that matter are 32 bits wide: the kernel ignores the upper half of the register,
/// and so must the filter.
fn load_argument(argument: u32) -> Instruction {
    plain(LOAD, ARGUMENTS_AT + argument * 8)
}

fn fail(errno: u16) -> Instruction {
    plain(RETURN, ERROR | u32::from(errno))
}

fn plain(code: u16, k: u32) -> Instruction {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// `part`, jumped over if the accumulator is at least `k`.
fn skip_if_at_least(k: u32, part: Vec<Instruction>) -> Vec<Instruction> {
    let mut code = match u8::try_from(part.len()) {
        Ok(length) => vec![jump(JUMP_IF_AT_LEAST, k, length, 0)],
        Err(_) => vec![jump(JUMP_IF_AT_LEAST, k, 0, 1), far(&part)],
    };
    code.extend(part);
    code
}

/// `part`, jumped over unless the comparison with `k` holds.
fn skip_unless(comparison: u16, k: u32, part: Vec<Instruction>) -> Vec<Instruction> {
    let mut code = match u8::try_from(part.len()) {
        Ok(length) => vec![jump(comparison, k, 0, length)],
        Err(_) => vec![jump(comparison, k, 1, 0), far(&part)],
    };
    code.extend(part);
    code
}

/// A jump over `part`, which is longer than a comparison can skip.
fn far(part: &[Instruction]) -> Instruction {
    plain(JUMP, u32::try_from(part.len()).unwrap_or(u32::MAX))
}
