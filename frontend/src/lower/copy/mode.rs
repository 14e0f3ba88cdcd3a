//! The syntax of `--chmod`. What a mode does to a file is the worker's business.

/// Why a text is no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMode {
    /// Digits that are no octal number, or too large a number.
    #[error("an octal mode is between 0 and 07777")]
    Octal,
    /// Neither a number nor symbolic.
    #[error("write an octal number, or a symbolic mode such as `u=rwX,go=rX`")]
    Symbolic,
}

/// Checks an octal or symbolic mode (POSIX `chmod`).
pub(super) fn check(mode: &str) -> Result<(), BadMode> {
    if mode.starts_with(|first: char| first.is_ascii_digit()) {
        return match u32::from_str_radix(mode, 8) {
            Ok(0..=0o7777) => Ok(()),
            _ => Err(BadMode::Octal),
        };
    }
    if mode.split(',').all(is_clause) { Ok(()) } else { Err(BadMode::Symbolic) }
}

/// `ugo+rw-x`: who, then operators with permissions, or with one of `ugo` to copy from.
fn is_clause(clause: &str) -> bool {
    let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let mut operands = actions.split(['+', '-', '=']);
    let is_operand = |operand: &str| {
        operand.chars().all(|char| "rwxXst".contains(char)) || matches!(operand, "u" | "g" | "o")
    };
    // Nothing stands before the first operator, and there is one.
    !actions.is_empty() && operands.next() == Some("") && operands.all(is_operand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_or_symbolic() {
        let rows = [
            ("0", Ok(())),
            ("644", Ok(())),
            ("07777", Ok(())),
            ("10000", Err(BadMode::Octal)),
            ("64a", Err(BadMode::Octal)),
            ("888", Err(BadMode::Octal)),
            ("u=rwX,g+w,a=rX", Ok(())),
            ("a+X", Ok(())),
            ("+x", Ok(())),
            ("go=", Ok(())),
            ("u+s,g=u", Ok(())),
            ("ug+rw-x", Ok(())),
            ("", Err(BadMode::Symbolic)),
            ("u", Err(BadMode::Symbolic)),
            ("u+rwz", Err(BadMode::Symbolic)),
            ("u=rw,", Err(BadMode::Symbolic)),
            ("rw", Err(BadMode::Symbolic)),
        ];
        for (mode, expected) in rows {
            assert_eq!(check(mode), expected, "{mode}");
        }
    }
}
