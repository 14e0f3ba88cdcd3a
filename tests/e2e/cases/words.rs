//! The exact words of errors, as a person reads them with `--quiet`. `UPDATE=1` writes what is said
//! into `cases/words`; a change there is to be read before it is kept.

use std::path::Path;

use e2e::{Context, World, for_each_user};

for_each_user! { errors_read_as_they_should }

const CASES: [(&str, &str); 7] = [
    ("unknown-instruction", "FROM busybox\nCPOY app.py /\n"),
    ("unknown-flag", "FROM busybox\nCOPY --chwon=1 app.py /\n"),
    ("missing-source", "FROM busybox\nCOPY app.pi /\n"),
    ("ignored-source", "FROM busybox\nCOPY notes.md /\n"),
    ("failing-step", "FROM busybox\nRUN echo out; echo why >&2; exit 7\n"),
    ("no-such-program", "FROM busybox\nRUN [\"no-such-program\", \"x\"]\n"),
    ("not-supported", "# syntax=example/frontend\nFROM busybox\n"),
];

fn errors_read_as_they_should(world: &World) {
    let files = [("app.py", "pass\n"), ("notes.md", "\n"), (".dockerignore", "# drafts\n*.md\n")];
    let context = Context::new(world, "context", &files);
    for (name, dockerfile) in CASES {
        context.write("Dockerfile", dockerfile);
        let run = world.rbuild(&["build", "--quiet", context.arg()]).ended(1);
        assert_eq!(run.stdout, "", "{name}");
        compare(name, &placed(world, &run.stderr));
    }
}

/// The text with `$CONTEXT` and `$LOG` for what differs from run to run.
fn placed(world: &World, text: &str) -> String {
    let logs = world.store().join("logs");
    let line = |line: &str| match line.split_once(logs.to_str().unwrap()) {
        Some((before, _)) => format!("{before}$LOG\n"),
        None => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    text.replace(world.folder("context").to_str().unwrap(), "$CONTEXT")
}

fn compare(name: &str, said: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/words");
    let golden = folder.join(name).with_extension("stderr");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&golden, said).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(said == expected, "{name} says\n{said}\nand not\n{expected}");
}
