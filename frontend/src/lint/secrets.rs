//! Variables that hold secrets, by their names.

use crate::ast::{Kind, Text};
use crate::scope::expand;

use super::{Facts, Found};

/// Parts of names, cut at `_`, that speak of a secret.
const SECRET: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "passwd",
    "password",
    "pword",
    "secret",
    "token",
];

/// Parts of names that say that there is none in it after all.
const HARMLESS: [&str; 3] = ["file", "public", "version"];

pub(super) fn secrets_used_in_arg_or_env(facts: &Facts<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for visit in &facts.visits {
        let (keyword, names): (_, Vec<&Text>) = match &visit.step.instruction.kind {
            Kind::Arg(args) => ("ARG", args.iter().map(|arg| &arg.name).collect()),
            Kind::Env(pairs) => ("ENV", pairs.pairs.iter().map(|pair| &pair.key).collect()),
            _ => continue,
        };
        for text in names {
            let expanded = expand(facts.style(), text, &visit.before.variables);
            let name = expanded.map_or_else(|_| text.to_string(), |expanded| expanded.text);
            if is_secret(&name) {
                let instruction = facts.instruction_of(visit);
                let span = visit.step.source.place(text.span());
                let message =
                    format!("{keyword} `{name}` looks like a secret, and stays in the image");
                found.push(Found::at(instruction, span, message));
            }
        }
    }
    found
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names_tell_secrets() {
        let rows = [
            ("API_KEY", true),
            ("apikey", true),
            ("MY_APIKEY_X", true),
            ("AUTH", true),
            ("CREDENTIALS", true),
            ("db_PassWord", true),
            ("PWORD", true),
            ("PASSWD", true),
            ("KEY_1", true),
            ("SECRET_KEY_BASE", true),
            ("myapikeyx", false),
            ("APIKEY2", false),
            ("KEYS", false),
            ("my-key", false),
            ("a.key", false),
            ("monkey", false),
            ("AUTHOR", false),
            ("pass", false),
            ("PUBLIC_KEY", false),
            ("PASSWORD_FILE", false),
            ("TOKEN_VERSION", false),
            ("PASSWORD_FILENAME", true),
        ];
        for (name, expected) in rows {
            assert_eq!(is_secret(name), expected, "{name}");
        }
    }
}
