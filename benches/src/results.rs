//! What was measured, as plain data: written beside the report, which can be made again from it.

use serde::{Deserialize, Serialize};

/// The builder that the others are compared with.
pub const REFERENCE: &str = "docker";

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Where it was.
    pub machine: Machine,
    /// Who took part, in the order of the columns.
    pub builders: Vec<Participant>,
    /// Each workload, phase and builder.
    pub cells: Vec<Cell>,
}

/// The machine that was measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub processor: String,
    /// How many processors a process may use.
    pub processors: usize,
    /// Memory in MiB.
    pub memory: u64,
    /// The file system that the stores are on.
    pub file_system: String,
}

/// A builder that took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    /// `rbuild`, `docker`, ..
    pub name: String,
    /// As it says itself.
    pub version: String,
}

/// One workload, phase and builder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its name, or that of its series.
    pub workload: String,
    /// What the workload shows.
    pub about: String,
    /// In a series: how large it is.
    pub size: Option<u32>,
    /// What was measured.
    pub phase: Phase,
    /// Who built.
    pub builder: String,
    /// Every time that it was measured.
    pub samples: Vec<Sample>,
    /// Why it was not measured, or not to the end.
    pub failure: Option<String>,
}

/// One measured build.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// From start to end, without the time of the command's prefix.
    pub seconds: f64,
    /// The peak of resident memory of the largest process of the tree that was started, in KiB. A
    /// daemon and what it starts are not in that tree.
    pub peak_kib: u64,
}

/// What is there before the build starts, and what it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nothing: the base is fetched too.
    Cold,
    /// The base, and no step's result.
    Nocache,
    /// Everything.
    Noop,
    /// Everything, and one file has changed.
    Touch,
    /// The command of the heaviest step by itself, in an image that has its files: no build.
    Alone,
    /// As `nocache`; the image goes to an archive whose layers are compressed with gzip.
    Tar,
}

impl Phase {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Cold => "cold",
            Phase::Nocache => "nocache",
            Phase::Noop => "noop",
            Phase::Touch => "touch",
            Phase::Alone => "alone",
            Phase::Tar => "tar",
        }
    }
}

impl Cell {
    /// The median, in seconds.
    pub fn seconds(&self) -> Option<f64> {
        let mut seconds: Vec<f64> = self.samples.iter().map(|sample| sample.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let middle = seconds.len() / 2;
        match seconds.len() {
            0 => None,
            n if n % 2 == 1 => Some(seconds[middle]),
            _ => Some((seconds[middle - 1] + seconds[middle]) / 2.0),
        }
    }

    /// The largest peak, in MiB.
    pub fn peak(&self) -> Option<f64> {
        let largest = self.samples.iter().map(|sample| sample.peak_kib).max()?;
        Some(largest as f64 / 1024.0)
    }
}

impl Results {
    /// The cell of one builder beside another's.
    pub fn beside(&self, cell: &Cell, builder: &str) -> Option<&Cell> {
        let same = |other: &&Cell| {
            (&other.workload, other.size, other.phase) == (&cell.workload, cell.size, cell.phase)
        };
        self.cells.iter().filter(same).find(|other| other.builder == builder)
    }

    /// How many times as long as the reference a builder took.
    pub fn ratio(&self, cell: &Cell) -> Option<f64> {
        let reference = self.beside(cell, REFERENCE)?.seconds()?;
        Some(cell.seconds()? / reference)
    }

    /// The rows of a table: one cell of each workload, size and phase, in the order measured.
    pub fn rows(&self) -> Vec<&Cell> {
        let mut rows: Vec<&Cell> = Vec::new();
        for cell in &self.cells {
            let key = |cell: &Cell| (cell.workload.clone(), cell.size, cell.phase);
            if !rows.iter().any(|row| key(row) == key(cell)) {
                rows.push(cell);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(builder: &str, seconds: &[f64]) -> Cell {
        let sample = |&seconds: &f64| Sample { seconds, peak_kib: 2048 };
        Cell {
            workload: "steps".into(),
            about: String::new(),
            size: None,
            phase: Phase::Noop,
            builder: builder.into(),
            samples: seconds.iter().map(sample).collect(),
            failure: None,
        }
    }

    #[test]
    fn the_middle_one_counts() {
        let rows: [(&[f64], Option<f64>); 4] = [
            (&[], None),
            (&[2.0], Some(2.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[1.0, 2.0], Some(1.5)),
        ];
        for (seconds, median) in rows {
            assert_eq!(cell("rbuild", seconds).seconds(), median, "{seconds:?}");
        }
        assert_eq!(cell("rbuild", &[1.0]).peak(), Some(2.0));
    }

    #[test]
    fn a_ratio_is_to_the_reference_in_the_same_row() {
        let machine = Machine {
            kernel: String::new(),
            processor: String::new(),
            processors: 1,
            memory: 1,
            file_system: String::new(),
        };
        let cells = vec![cell("rbuild", &[1.0]), cell(REFERENCE, &[4.0])];
        let results = Results { machine, builders: Vec::new(), cells };
        assert_eq!(results.ratio(&results.cells[0]), Some(0.25));
        assert_eq!(results.rows().len(), 1);
    }
}
