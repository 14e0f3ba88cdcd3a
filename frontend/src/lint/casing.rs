//! Upper and lower case of keywords.

use crate::ast::{Base, Instruction, Kind};

use super::{Facts, Found};

/// How a keyword is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Upper,
    Lower,
    Mixed,
}

impl Case {
    fn of(word: &str) -> Case {
        if word == word.to_ascii_uppercase() {
            Case::Upper
        } else if word == word.to_ascii_lowercase() {
            Case::Lower
        } else {
            Case::Mixed
        }
    }

    fn apply(self, word: &str) -> String {
        match self {
            Case::Lower => word.to_ascii_lowercase(),
            Case::Upper | Case::Mixed => word.to_ascii_uppercase(),
        }
    }
}

/// The case of most keywords is the right one. What stands before the first `FROM` does not count.
pub(super) fn consistent_instruction_casing(facts: &Facts<'_>) -> Vec<Found> {
    let instructions = in_stages(&facts.ast.instructions);
    let count = |case| instructions.iter().filter(|other| case_of(other) == case).count();
    let right = if count(Case::Lower) > count(Case::Upper) { Case::Lower } else { Case::Upper };
    let wrong = instructions.iter().filter(|instruction| case_of(instruction) != right);
    let found = wrong.map(|instruction| {
        let word = &instruction.keyword;
        let better = right.apply(word.as_str());
        let message = format!("`{word}` is not written like most instructions of this file");
        Found::in_text(&instruction.span, word, message).with_help(format!("write `{better}`"))
    });
    found.collect()
}

/// Where `FROM` itself is of mixed case, another rule says so.
pub(super) fn from_as_casing(facts: &Facts<'_>) -> Vec<Found> {
    let differs = |(from, base): (&Instruction, &Base)| {
        let word = base.r#as.as_ref()?;
        let case = case_of(from);
        if case == Case::Mixed || Case::of(word.as_str()) == case {
            return None;
        }
        let message = format!("`{}` and `{word}` are not in the same case", from.keyword);
        let better = case.apply(word.as_str());
        let found = Found::in_text(&from.span, word, message);
        Some(found.with_help(format!("write `{better}`")))
    };
    facts.froms().filter_map(differs).collect()
}

fn in_stages(instructions: &[Instruction]) -> &[Instruction] {
    let is_from = |instruction: &Instruction| matches!(instruction.kind, Kind::From(_));
    let first = instructions.iter().position(is_from).unwrap_or(instructions.len());
    &instructions[first..]
}

fn case_of(instruction: &Instruction) -> Case {
    Case::of(instruction.keyword.as_str())
}
