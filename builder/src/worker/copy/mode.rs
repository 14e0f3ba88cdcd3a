//! `--chmod`: octal, or symbolic as POSIX `chmod` has it, with a umask of 0.
//!
//! What POSIX leaves open is as in Docker: `=` leaves the sticky bit alone unless `t` is given, `t`
//! does nothing for `o`, and copying a class (`g=u`) leaves set-id bits alone.

/// What becomes of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeChange {
    /// They become these.
    Octal(u32),
    /// Each of these is done, in order: `u=rwX,g+w`.
    Symbolic(Vec<Action>),
}

/// One operator with what it is done to: `g+w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The bits that it can change.
    who: u32,
    operator: Operator,
    what: Permissions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Permissions {
    /// `rwxst` as bits of all classes, and whether `X` is among them.
    Bits { bits: u32, search: bool },
    /// `u`, `g` or `o`: what that class has, by how far its bits are shifted.
    Copy { shift: u32 },
}

/// `--chmod` with another value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a mode: expected octal digits from 0 to 07777, or a form like `u=rwX,go=rX`")]
pub struct BadMode(String);

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHER: u32 = 0o0007;
const STICKY: u32 = 0o1000;
const EXECUTE: u32 = 0o111;

impl ModeChange {
    /// Reads the value of `--chmod`.
    pub fn parse(text: &str) -> Result<ModeChange, BadMode> {
        let bad = || BadMode(text.to_owned());
        if text.bytes().next().is_some_and(|first| first.is_ascii_digit()) {
            let digits = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            let value = u32::from_str_radix(text, 8).ok().filter(|value| *value <= 0o7777);
            return value.filter(|_| digits).map(ModeChange::Octal).ok_or_else(bad);
        }
        let mut actions = Vec::new();
        for clause in text.split(',') {
            actions.extend(parse_clause(clause).ok_or_else(bad)?);
        }
        Ok(ModeChange::Symbolic(actions))
    }

    /// The bits of a file or directory that had `mode`.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            ModeChange::Octal(mode) => *mode,
            ModeChange::Symbolic(actions) => {
                actions.iter().fold(mode, |mode, action| action.apply(mode, is_dir))
            }
        }
    }
}

impl Action {
    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let bits = match self.what {
            Permissions::Bits { bits, search } => {
                let search = search && (is_dir || mode & EXECUTE != 0);
                bits | if search { EXECUTE } else { 0 }
            }
            Permissions::Copy { shift } => (mode >> shift & 0o7) * EXECUTE,
        };
        match self.operator {
            Operator::Add => mode | bits & self.who,
            Operator::Remove => mode & !(bits & self.who),
            Operator::Set => mode & !self.who | bits & self.who,
        }
    }
}

impl Permissions {
    /// Which bits they can change of those of the classes.
    fn reach(&self, who: u32) -> u32 {
        match self {
            Permissions::Bits { bits, .. } if bits & STICKY != 0 && who & !OTHER != 0 => {
                who | STICKY
            }
            Permissions::Bits { .. } => who,
            Permissions::Copy { .. } => who & 0o777,
        }
    }
}

/// `[ugoa]*` and then one or more of `[-+=]` with its permissions.
fn parse_clause(clause: &str) -> Option<Vec<Action>> {
    let start = clause.find(['+', '-', '='])?;
    let (who, mut rest) = clause.split_at(start);
    let who = classes(who)?;
    let mut actions = Vec::new();
    while !rest.is_empty() {
        let operator = match rest.as_bytes()[0] {
            b'+' => Operator::Add,
            b'-' => Operator::Remove,
            _ => Operator::Set,
        };
        let next = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
        let what = permissions(&rest[1..next])?;
        actions.push(Action { who: what.reach(who), operator, what });
        rest = &rest[next..];
    }
    Some(actions)
}

fn classes(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(USER | GROUP | OTHER);
    }
    text.bytes().try_fold(0, |who, class| match class {
        b'u' => Some(who | USER),
        b'g' => Some(who | GROUP),
        b'o' => Some(who | OTHER),
        b'a' => Some(USER | GROUP | OTHER),
        _ => None,
    })
}

fn permissions(text: &str) -> Option<Permissions> {
    match text {
        "u" => return Some(Permissions::Copy { shift: 6 }),
        "g" => return Some(Permissions::Copy { shift: 3 }),
        "o" => return Some(Permissions::Copy { shift: 0 }),
        _ => {}
    }
    let (mut all, mut search) = (0, false);
    for letter in text.bytes() {
        match letter {
            b'r' => all |= 0o444,
            b'w' => all |= 0o222,
            b'x' => all |= EXECUTE,
            b's' => all |= 0o6000,
            b't' => all |= STICKY,
            b'X' => search = true,
            _ => return None,
        }
    }
    Some(Permissions::Bits { bits: all, search })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_what_chmod_makes_of_them() {
        let rows = [
            // written, mode before, of a directory, after
            ("755", 0o600, false, 0o755),
            ("0", 0o600, false, 0),
            ("07777", 0o600, true, 0o7777),
            ("a+X", 0o666, false, 0o666),
            ("a+X", 0o124, true, 0o135),
            ("a+X", 0o766, false, 0o777),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("u+x,g=u", 0o644, false, 0o774),
            ("a=rwxs,+t", 0o644, false, 0o7777),
            ("u+x-r", 0o644, false, 0o344),
            ("u=g+w", 0o644, false, 0o644),
            ("go-rwx", 0o755, true, 0o700),
            ("g+s,u+X,o=g", 0o640, false, 0o2644),
            ("g=", 0o2775, false, 0o705),
            ("o+t", 0o755, true, 0o755),
            ("g+t", 0o755, true, 0o1755),
            ("a=rX", 0o1777, true, 0o1555),
            ("a-t", 0o1777, true, 0o777),
            ("a=rX", 0o6755, false, 0o555),
            ("go=", 0o1700, true, 0o1700),
            ("u=o", 0o6755, false, 0o6555),
            ("g=u+w", 0o2755, true, 0o2775),
            ("o=g-r", 0o1777, true, 0o1773),
        ];
        for (text, before, is_dir, after) in rows {
            let change = ModeChange::parse(text).unwrap();
            let got = change.apply(before, is_dir);
            assert_eq!(got, after, "{text} on {before:o} gives {got:o}");
        }
    }

    #[test]
    fn other_texts_are_no_modes() {
        for text in
            ["", "64a", "888", "0o755", "10000", "-1x", "u", "u+", "u+q", "z+x", "u+x,", "+rg"]
        {
            let parsed = ModeChange::parse(text);
            // POSIX takes an empty list of permissions, and so do we: it does nothing.
            assert_eq!(parsed.is_ok(), text == "u+", "{text}");
        }
    }
}
