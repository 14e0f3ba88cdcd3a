//! The two plots: how many times as long as the reference each builder takes, and how the cost of
//! one build grows with its size. Both have logarithmic scales, where twice as long is as far
//! everywhere.

use super::svg::{Anchor, Drawing};
use crate::results::{Cell, REFERENCE, Results};

const GRID: &str = "#dddddd";
const AXIS: &str = "#555555";
/// Of the builders, in the order of the columns.
const COLORS: [&str; 4] = ["#1b9e77", "#386cb0", "#d95f02", "#7570b3"];

/// How high a bar is, with what is between it and the next.
const BAR: f64 = 14.0;

/// Bars, the reference being the line at 1.
pub fn ratios(results: &Results) -> String {
    const LEFT: f64 = 130.0;
    const WIDTH: f64 = 560.0;
    let shown: Vec<&Cell> = results.rows().into_iter().filter(|row| row.size.is_none()).collect();
    let others: Vec<(usize, &str)> = others(results);
    let step = BAR * others.len() as f64 + 10.0;
    let bottom = 50.0 + step * shown.len() as f64;
    let mut drawing = Drawing::new(LEFT + WIDTH + 60.0, bottom + 40.0);
    let all =
        shown.iter().flat_map(|row| others.iter().filter_map(|one| ratio(results, row, one.1)));
    let scale = Log::over(all.chain([1.0]), LEFT, LEFT + WIDTH);
    legend(&mut drawing, &others, &format!("time, {REFERENCE} = 1"));
    for (at, label) in scale.decades() {
        drawing.line((at, 40.0), (at, bottom), if label == "1" { AXIS } else { GRID });
        drawing.text((at, bottom + 16.0), Anchor::Middle, &label);
    }
    for (row, top) in shown.iter().zip((0..).map(|n| 50.0 + step * f64::from(n))) {
        let name = format!("{} {}", row.workload, row.phase.name());
        drawing.text((LEFT - 8.0, top + step / 2.0), Anchor::End, &name);
        for (n, (column, builder)) in others.iter().enumerate() {
            if let Some(ratio) = ratio(results, row, builder) {
                bar(&mut drawing, &scale, top + BAR * n as f64, ratio, color(*column));
            }
        }
    }
    drawing.finish()
}

/// From 1 to the ratio, which stands at its end.
fn bar(drawing: &mut Drawing, scale: &Log, y: f64, ratio: f64, color: &str) {
    let (one, there) = (scale.at(1.0), scale.at(ratio));
    drawing.bar((one.min(there), y), ((there - one).abs().max(1.0), BAR - 2.0), color);
    let (x, anchor) = match ratio < 1.0 {
        true => (there - 4.0, Anchor::End),
        false => (there + 4.0, Anchor::Start),
    };
    drawing.text((x, y + BAR - 3.0), anchor, &format!("{ratio:.2}"));
}

/// Curves: a panel for each series and phase.
pub fn growth(results: &Results) -> String {
    const PANEL: (f64, f64) = (360.0, 250.0);
    let mut panels: Vec<(String, Vec<&Cell>)> = Vec::new();
    for row in results.rows().into_iter().filter(|row| row.size.is_some()) {
        let title = format!("{}, {}", row.about, row.phase.name());
        match panels.iter_mut().find(|(known, _)| *known == title) {
            Some((_, rows)) => rows.push(row),
            None => panels.push((title, vec![row])),
        }
    }
    let rows = panels.len().div_ceil(2) as f64;
    let mut drawing = Drawing::new(PANEL.0 * 2.0, 40.0 + PANEL.1 * rows);
    let all: Vec<(usize, &str)> =
        results.builders.iter().map(|one| one.name.as_str()).enumerate().collect();
    legend(&mut drawing, &all, "seconds");
    for (n, (title, rows)) in panels.iter().enumerate() {
        let corner = ((n % 2) as f64 * PANEL.0, 40.0 + (n / 2) as f64 * PANEL.1);
        panel(&mut drawing, corner, PANEL, title, results, rows);
    }
    drawing.finish()
}

fn panel(
    drawing: &mut Drawing,
    (left, top): (f64, f64),
    (width, height): (f64, f64),
    title: &str,
    results: &Results,
    rows: &[&Cell],
) {
    let (left, right) = (left + 55.0, left + width - 20.0);
    let (top, bottom) = (top + 25.0, top + height - 30.0);
    let times = results.cells.iter().filter(|cell| rows.iter().any(|row| same_row(row, cell)));
    let sizes = Log::over(rows.iter().filter_map(|row| size(row)), left, right);
    let seconds = Log::over(times.filter_map(Cell::seconds), bottom, top);
    drawing.text(((left + right) / 2.0, top - 8.0), Anchor::Middle, title);
    for (at, label) in seconds.decades() {
        drawing.line((left, at), (right, at), GRID);
        drawing.text((left - 6.0, at + 4.0), Anchor::End, &label);
    }
    for row in rows {
        let Some(size) = size(row) else { continue };
        drawing.line((sizes.at(size), top), (sizes.at(size), bottom), GRID);
        drawing.text((sizes.at(size), bottom + 16.0), Anchor::Middle, &size.to_string());
    }
    for (column, builder) in results.builders.iter().enumerate() {
        let point = |row: &&Cell| {
            let seconds_taken = results.beside(row, &builder.name)?.seconds()?;
            Some((sizes.at(size(row)?), seconds.at(seconds_taken)))
        };
        drawing.curve(&rows.iter().filter_map(point).collect::<Vec<_>>(), color(column));
    }
}

fn legend(drawing: &mut Drawing, builders: &[(usize, &str)], scale: &str) {
    for (n, (column, name)) in builders.iter().enumerate() {
        let x = 20.0 + 130.0 * n as f64;
        drawing.bar((x, 12.0), (12.0, 12.0), color(*column));
        drawing.text((x + 18.0, 22.0), Anchor::Start, name);
    }
    drawing.text((20.0 + 130.0 * builders.len() as f64, 22.0), Anchor::Start, scale);
}

/// The builders but the reference, with the numbers of their columns.
fn others(results: &Results) -> Vec<(usize, &str)> {
    let all = results.builders.iter().map(|one| one.name.as_str()).enumerate();
    all.filter(|(_, name)| *name != REFERENCE).collect()
}

fn ratio(results: &Results, row: &Cell, builder: &str) -> Option<f64> {
    results.beside(row, builder).and_then(|cell| results.ratio(cell))
}

fn same_row(row: &Cell, cell: &Cell) -> bool {
    (&row.workload, row.size, row.phase) == (&cell.workload, cell.size, cell.phase)
}

fn size(row: &Cell) -> Option<f64> {
    row.size.map(f64::from)
}

fn color(column: usize) -> &'static str {
    COLORS[column % COLORS.len()]
}

/// A logarithmic scale between two places of a drawing.
struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// One on which all of `values` have a place, whole decades of them.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Log {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) =
            logs.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        match low <= high {
            true => {
                let low = low.floor();
                Log { low, high: high.ceil().max(low + 1.0), from, to }
            }
            false => Log { low: -1.0, high: 1.0, from, to },
        }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.max(f64::MIN_POSITIVE).log10() - self.low) / (self.high - self.low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Powers of ten with their places and names.
    fn decades(&self) -> Vec<(f64, String)> {
        let powers = self.low as i32..=self.high as i32;
        powers.map(|power| (self.at(10f64.powi(power)), 10f64.powi(power).to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decade_is_as_wide_everywhere() {
        let scale = Log::over([0.02, 1.0, 30.0].into_iter(), 0.0, 400.0);
        let places: Vec<(f64, String)> = scale.decades();
        let names: Vec<&str> = places.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["0.01", "0.1", "1", "10", "100"]);
        for (n, (place, _)) in places.iter().enumerate() {
            assert!((place - 100.0 * n as f64).abs() < 1e-6, "{place}");
        }
    }

    #[test]
    fn nothing_measured_is_an_empty_scale() {
        assert_eq!(Log::over(std::iter::empty(), 0.0, 1.0).decades().len(), 3);
    }
}
