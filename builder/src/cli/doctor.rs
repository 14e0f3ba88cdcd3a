//! `rbuild doctor`: the diagnosis as lines for people, or as JSON.

use std::fmt::Write;

use rbuild_cache::Form;
use serde_json::json;

use super::help::print;
use super::session::{NO_ROOT, store_root};
use crate::doctor::{self, Check, Diagnosis};
use crate::exit::Exit;

/// The widest line, in columns: what fits beside another window.
const WIDTH: usize = 88;

/// Flags of `rbuild doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the diagnosis as JSON
    #[arg(long)]
    json: bool,
}

/// Prints what was found; the exit code says whether a build can work.
pub fn main(args: &Args) -> Exit {
    let root = |isolation: &_| store_root(isolation).ok_or(NO_ROOT);
    let diagnosis = doctor::examine(&root);
    match args.json {
        true => print(&format!("{:#}\n", as_json(&diagnosis))),
        false => print(&as_text(&diagnosis)),
    }
    if diagnosis.works() { Exit::Success } else { Exit::Machine }
}

fn as_json(diagnosis: &Diagnosis) -> serde_json::Value {
    let form = diagnosis.form.map(|form| match form {
        Form::Erofs => "erofs",
        Form::Directory => "directory",
    });
    json!({"works": diagnosis.works(), "layers": form, "checks": diagnosis.checks})
}

fn as_text(diagnosis: &Diagnosis) -> String {
    let names = diagnosis.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text: String = diagnosis.checks.iter().map(|check| line(check, names)).collect();
    let layers = match diagnosis.form {
        Some(Form::Erofs) => "Layers are tars with an EROFS index.",
        Some(Form::Directory) => "Layers are directories.",
        None => "",
    };
    let verdict = match diagnosis.works() {
        true => "Builds work here.",
        false => "Builds do not work here yet.",
    };
    let _ = writeln!(text, "\n{}", [layers, verdict].join(" ").trim_start());
    text
}

/// Name, status, what was found, and below it what to do.
fn line(check: &Check, names: usize) -> String {
    let head = format!("{:names$}  {:10}  ", check.name, check.status.name());
    let indent = head.len();
    let mut text = head;
    for (n, line) in wrap(&check.detail, WIDTH - indent).iter().enumerate() {
        let margin = if n == 0 { 0 } else { indent };
        let _ = writeln!(text, "{:margin$}{line}", "");
    }
    let help = check.help.as_ref().map(|help| format!("help: {help}"));
    for line in help.iter().flat_map(|help| wrap(help, WIDTH - indent)) {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
    text
}

/// Lines of at most `width` columns; a word that is wider has one for itself.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("longer-than-that two", 7), ["longer-than-that", "two"]);
        assert_eq!(wrap("", 7), [""]);
    }
}
