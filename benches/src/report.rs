//! The report: tables for people to read, plots to see at a glance, and the figures themselves, from
//! which both can be made again.

mod plot;
mod svg;
mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::results::Results;

/// The figures.
pub const FIGURES: &str = "results.json";
/// The tables.
const TABLES: &str = "report.md";
/// The plots, which the tables show.
const RATIOS: &str = "ratios.svg";
const GROWTH: &str = "growth.svg";

/// What surrounds the place of the tables in another document.
const BEGIN: &str = "<!-- speed: begin -->\n";
const END: &str = "<!-- speed: end -->";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The disk.
    #[error("cannot {verb} `{}`: {source}", path.display())]
    Disk {
        /// `read`, `write`
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`{}` holds no figures of a run: {source}", path.display())]
    Figures {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The document has no place for the tables.
    #[error("`{}` has no lines `{}` and `{END}`", path.display(), BEGIN.trim_end())]
    NoPlace {
        /// The document.
        path: PathBuf,
    },
}

/// Writes everything to `folder`.
pub fn write(results: &Results, folder: &Path) -> Result<(), ReportError> {
    let path = folder.join(FIGURES);
    let figures = serde_json::to_string_pretty(results)
        .map_err(|source| ReportError::Figures { path: path.clone(), source })?;
    fs::create_dir_all(folder).map_err(disk("create", folder))?;
    put(&path, &figures)?;
    put(&folder.join(RATIOS), &plot::ratios(results))?;
    put(&folder.join(GROWTH), &plot::growth(results))?;
    put(&folder.join(TABLES), &table::document(results, RATIOS, GROWTH))
}

/// Reads the figures that an earlier run left in `folder`.
pub fn read(folder: &Path) -> Result<Results, ReportError> {
    let path = folder.join(FIGURES);
    let text = fs::read_to_string(&path).map_err(disk("read", &path))?;
    serde_json::from_str(&text).map_err(|source| ReportError::Figures { path, source })
}

/// Puts the tables into another document, between two marks.
pub fn quote(results: &Results, path: &Path) -> Result<(), ReportError> {
    let text = fs::read_to_string(path).map_err(disk("read", path))?;
    let quoted = quoted(&text, &table::short(results));
    put(path, &quoted.ok_or_else(|| ReportError::NoPlace { path: path.to_owned() })?)
}

fn quoted(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{tables}{END}{after}"))
}

fn put(path: &Path, text: &str) -> Result<(), ReportError> {
    fs::write(path, text).map_err(disk("write", path))
}

fn disk(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> ReportError {
    move |source| ReportError::Disk { verb, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_take_the_place_between_the_marks() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");
        let expected = format!("a\n{BEGIN}new\n{END}\nb\n");
        assert_eq!(quoted(&text, "new\n"), Some(expected));
        assert_eq!(quoted("a\n", "new\n"), None);
    }
}
