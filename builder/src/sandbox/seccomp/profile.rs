//! Reading the profile: which calls an architecture has, and what is allowed of them.

use std::collections::BTreeMap;

/// The rules as text; its head says how it is written.
const PROFILE: &str = include_str!("profile.txt");

/// What happens to a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Allow,
    /// It fails with this error number.
    Fail(u16),
    /// It is made if this argument, as 32 bits, is in one of the ranges, ends included.
    AllowIfIn {
        /// Which argument.
        argument: u32,
        /// First and last of each.
        ranges: Vec<(u32, u32)>,
    },
    /// It is made if this argument has none of these bits.
    AllowIfWithout {
        /// Which argument.
        argument: u32,
        /// The bits.
        bits: u32,
    },
}

/// The rules of one architecture, by the call's number.
pub fn calls(column: usize) -> BTreeMap<u32, Action> {
    PROFILE.lines().filter_map(|line| parse(line, column)).collect()
}

/// The number of a call by name, for tests that speak of names.
#[cfg(test)]
pub fn number(name: &str, column: usize) -> Option<u32> {
    let line = PROFILE.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(column + 1)?.parse().ok()
}

fn parse(line: &str, column: usize) -> Option<(u32, Action)> {
    if line.starts_with('#') {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = words.get(column + 1)?.parse().ok()?;
    Some((number, action(words.get(6..).unwrap_or_default())?))
}

fn action(condition: &[&str]) -> Option<Action> {
    match condition {
        [] => Some(Action::Allow),
        ["errno", number] => Some(Action::Fail(number.parse().ok()?)),
        [argument, "in", list] => {
            let ranges = list.split(',').map(range).collect::<Option<_>>()?;
            Some(Action::AllowIfIn { argument: argument_index(argument)?, ranges })
        }
        [argument, "without", bits] => {
            Some(Action::AllowIfWithout { argument: argument_index(argument)?, bits: hex(bits)? })
        }
        _ => None,
    }
}

fn argument_index(word: &str) -> Option<u32> {
    word.strip_prefix("arg")?.parse().ok()
}

fn range(text: &str) -> Option<(u32, u32)> {
    match text.split_once('-') {
        Some((first, last)) => Some((hex(first)?, hex(last)?)),
        None => hex(text).map(|only| (only, only)),
    }
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
