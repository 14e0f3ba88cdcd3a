//! Answers as text for people.

use std::io::{IsTerminal, stdout};

use rbuild_frontend::diagnostic::{Color, render};
use rbuild_frontend::outline::{Argument, Mounted, Outline, Target};

use crate::build::check::Checked;
use crate::cli::table;
use crate::progress;

pub(super) fn checked(checked: &Checked) -> String {
    let color = if stdout().is_terminal() { progress::color() } else { Color::Never };
    let findings = checked.findings.iter().map(|finding| finding.diagnostic.clone());
    let mut all: Vec<_> = checked.warnings.iter().cloned().chain(findings).collect();
    all.sort_by_key(|diagnostic| diagnostic.span.start);
    all.extend(checked.errors.iter().cloned());
    let shown = render(&all, &checked.source, color);
    let blank = if shown.is_empty() { "" } else { "\n" };
    format!("{shown}{blank}{}: {}\n", checked.source.name(), verdict(checked))
}

fn verdict(checked: &Checked) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let warnings = match checked.findings.len() + checked.warnings.len() {
        0 => "no warnings".to_owned(),
        warnings => count(warnings, "warning"),
    };
    match checked.errors.len() {
        0 => warnings,
        errors => format!("{warnings}, {}", count(errors, "error")),
    }
}

pub(super) fn targets(targets: &[Target]) -> String {
    let row = |target: &Target| {
        let name = target.name.clone().unwrap_or_default();
        let mark = if target.is_default { "(default)" } else { "" };
        let name = format!("{name} {mark}").trim().to_owned();
        let name = if name.is_empty() { "(no name)".to_owned() } else { name };
        let platform = target.platform.clone().unwrap_or_default();
        vec![name, target.base.clone(), platform, target.description.clone().unwrap_or_default()]
    };
    let rows: Vec<Vec<String>> = targets.iter().map(row).collect();
    table::table(&["TARGET", "BASE", "PLATFORM", "DESCRIPTION"], &rows)
}

pub(super) fn outline(outline: &Outline) -> String {
    let mut parts = Vec::new();
    if let Some(name) = &outline.name {
        let text = outline.description.as_ref().map(|text| format!("\n{text}\n"));
        parts.push(format!("TARGET: {name}\n{}", text.unwrap_or_default()));
    }
    let argument = |arg: &Argument| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![arg.name.clone(), text(&arg.value), text(&arg.description)]
    };
    let args: Vec<Vec<String>> = outline.args.iter().map(argument).collect();
    if !args.is_empty() {
        parts.push(table::table(&["BUILD ARG", "VALUE", "DESCRIPTION"], &args));
    }
    let lists = [("SECRET", &outline.secrets), ("SSH", &outline.ssh), ("CACHE", &outline.caches)];
    for (title, list) in lists {
        let required = |it: &Mounted| if it.required { "true" } else { "" }.to_owned();
        let rows: Vec<Vec<String>> =
            list.iter().map(|it| vec![it.name.clone(), required(it)]).collect();
        if !rows.is_empty() {
            let heads: &[&str] = if title == "CACHE" { &[title] } else { &[title, "REQUIRED"] };
            let rows: Vec<Vec<String>> =
                rows.iter().map(|row| row[..heads.len()].to_vec()).collect();
            parts.push(table::table(heads, &rows));
        }
    }
    if parts.is_empty() {
        return "it takes no arguments, secrets or agents\n".to_owned();
    }
    parts.join("\n")
}
