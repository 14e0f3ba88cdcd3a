//! The tables, in Markdown.

use std::fmt::Write;

use crate::results::{Cell, Phase, REFERENCE, Results};

/// Whose figures the report is about.
const OWN: &str = "rbuild";

const PHASES: &str = "\
`nocache`: the bases are there, every step runs. `noop`: nothing has changed. `touch`: one file has
changed. `cold`: nothing is there, the base is fetched. `tar`: as `nocache`, into an archive whose
layers are compressed with gzip (docker: build, save and gzip). `alone`: the command of the heaviest
step in a container, without a build. Medians in seconds, the builders
taking turns; what took longer than the patience of the run was measured once. Peak: resident
memory of the largest process that rbuild started, its own or a step's.
";

/// The whole report. The plots are files beside it.
pub fn document(results: &Results, ratios: &str, growth: &str) -> String {
    format!(
        "# Builders beside each other\n\n{}\n{PHASES}\n## Workloads\n\n{}\n![Ratios]({ratios})\n\n\
         ## Growth\n\n{}\n![Growth]({growth})\n{}",
        head(results),
        workloads(results),
        series(results),
        failures(results)
    )
}

/// What another document quotes.
pub fn short(results: &Results) -> String {
    format!("{}\n{}\n{PHASES}", head(results), workloads(results))
}

fn head(results: &Results) -> String {
    let machine = &results.machine;
    let builders: Vec<String> =
        results.builders.iter().map(|one| format!("{} {}", one.name, one.version)).collect();
    format!(
        "{}. {} processors ({}), {} MiB of memory, {}, Linux {}.\n",
        builders.join(", "),
        machine.processors,
        machine.processor,
        machine.memory,
        machine.file_system,
        machine.kernel
    )
}

fn workloads(results: &Results) -> String {
    let names: Vec<&str> = results.builders.iter().map(|one| one.name.as_str()).collect();
    let mut text =
        format!("| workload | phase | {} | {OWN} / {REFERENCE} | peak |\n", names.join(" | "));
    let _ = writeln!(text, "|---|---|{}---:|---:|", "---:|".repeat(names.len()));
    let mut last = "";
    for row in results.rows().into_iter().filter(|row| row.size.is_none()) {
        let title = if row.workload == last { String::new() } else { title(row) };
        last = &row.workload;
        let times = names.iter().map(|name| time(results.beside(row, name)));
        let own = results.beside(row, OWN);
        let ratio = own.and_then(|cell| results.ratio(cell)).map_or("–".into(), short_number);
        let peak = own.and_then(Cell::peak).map_or("–".into(), |peak| format!("{peak:.0} MiB"));
        let times: Vec<String> = times.collect();
        let (phase, times) = (row.phase.name(), times.join(" | "));
        let _ = writeln!(text, "| {title} | {phase} | {times} | {ratio} | {peak} |");
    }
    text
}

fn title(row: &Cell) -> String {
    format!("**{}**: {}", row.workload, row.about)
}

/// One table for each series and phase: sizes down, builders across.
fn series(results: &Results) -> String {
    let mut tables: Vec<(&str, &str, Phase)> = Vec::new();
    for row in results.rows().into_iter().filter(|row| row.size.is_some()) {
        let table = (row.workload.as_str(), row.about.as_str(), row.phase);
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    let mut text = String::new();
    for (name, about, phase) in tables {
        let _ = writeln!(text, "**{name}**, {}\n", phase.name());
        text.push_str(&growth(results, name, about, phase));
        text.push('\n');
    }
    text
}

fn growth(results: &Results, name: &str, about: &str, phase: Phase) -> String {
    let names: Vec<&str> = results.builders.iter().map(|one| one.name.as_str()).collect();
    let mut text = format!("| {about} | {} | peak of {OWN} |\n", names.join(" | "));
    let _ = writeln!(text, "|---:|{}---:|", "---:|".repeat(names.len()));
    let of_table = |row: &&Cell| row.workload == name && row.phase == phase && row.size.is_some();
    for row in results.rows().into_iter().filter(of_table) {
        let times: Vec<String> = names.iter().map(|name| time(results.beside(row, name))).collect();
        let peak = results.beside(row, OWN).and_then(Cell::peak);
        let peak = peak.map_or("–".into(), |peak| format!("{peak:.0} MiB"));
        let size = row.size.unwrap_or_default();
        let _ = writeln!(text, "| {size} | {} | {peak} |", times.join(" | "));
    }
    text
}

fn time(cell: Option<&Cell>) -> String {
    match cell {
        Some(cell) if cell.failure.is_none() => {
            cell.seconds().map_or("–".into(), |seconds| format!("{} s", short_number(seconds)))
        }
        _ => "–".into(),
    }
}

/// Three digits that count.
fn short_number(number: f64) -> String {
    match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n if n >= 1.0 => format!("{n:.2}"),
        n => format!("{n:.3}"),
    }
}

fn failures(results: &Results) -> String {
    let mut text = String::new();
    for cell in results.cells.iter().filter(|cell| cell.failure.is_some()) {
        let size = cell.size.map(|size| format!(" {size}")).unwrap_or_default();
        let why = cell.failure.as_deref().unwrap_or_default().replace('\n', "\n    ");
        let (workload, phase, builder) = (&cell.workload, cell.phase.name(), &cell.builder);
        let _ = writeln!(text, "- {builder}, {workload}{size}, {phase}:\n\n    {why}\n");
    }
    match text.is_empty() {
        true => text,
        false => format!("\n## Not measured\n\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        let rows = [(123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123")];
        for (number, text) in rows {
            assert_eq!(short_number(number), text);
        }
    }
}
