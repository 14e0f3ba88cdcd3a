//! The view for logs: one line for each thing that happens, each step known by its number.
//!
//! The words are those that `docker buildx build --progress=plain` prints, because scripts read
//! them: `#5 [2/3] RUN make`, `#5 1.204 output`, `#5 CACHED`, `#5 DONE 2.1s`.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use rbuild_solver::event::Event;
use rbuild_solver::graph::VertexId;
use rbuild_solver::plan::MissReason;

use super::lines::Lines;
use super::{PhaseId, View};

/// Writes lines to `out`.
pub struct Plain<W> {
    out: W,
    titles: Vec<String>,
    numbers: HashMap<Item, usize>,
    steps: HashMap<VertexId, Step>,
    /// What the last line was about: a change of subject gets an empty line and the title again.
    subject: Option<Item>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Item {
    Vertex(VertexId),
    Phase(PhaseId),
}

struct Step {
    started: Instant,
    output: Lines,
    /// Transfers whose end was shown.
    shown: Vec<String>,
}

impl<W: Write> Plain<W> {
    /// A view that writes to `out`.
    pub fn new(out: W) -> Plain<W> {
        Plain {
            out,
            titles: Vec::new(),
            numbers: HashMap::new(),
            steps: HashMap::new(),
            subject: None,
        }
    }

    fn title(&self, vertex: VertexId) -> String {
        self.titles.get(vertex.index()).cloned().unwrap_or_default()
    }

    /// Writes a line about an item, under its number. A log that cannot be written is no reason
    /// to fail the build.
    fn line(&mut self, item: Item, text: &str) {
        let number = self.number(item);
        if self.subject != Some(item) {
            self.head(item, number);
        }
        let _ = writeln!(self.out, "#{number} {text}");
    }

    fn head(&mut self, item: Item, number: usize) {
        if self.subject.is_some() {
            let _ = writeln!(self.out);
        }
        self.subject = Some(item);
        if let Item::Vertex(vertex) = item {
            let title = self.title(vertex);
            let _ = writeln!(self.out, "#{number} {title}");
        }
    }

    fn number(&mut self, item: Item) -> usize {
        let next = self.numbers.len() + 1;
        *self.numbers.entry(item).or_insert(next)
    }

    fn start(&mut self, vertex: VertexId, reason: &MissReason) {
        let step = Step { started: Instant::now(), output: Lines::default(), shown: Vec::new() };
        self.steps.insert(vertex, step);
        let item = Item::Vertex(vertex);
        let number = self.number(item);
        self.head(item, number);
        if !matches!(reason, MissReason::New | MissReason::Asked) {
            self.line(item, &format!("not cached: {reason}"));
        }
    }

    fn output(&mut self, vertex: VertexId, bytes: &[u8]) {
        let Some(step) = self.steps.get_mut(&vertex) else { return };
        let at = step.started.elapsed().as_secs_f64();
        for line in step.output.push(bytes) {
            self.line(Item::Vertex(vertex), &format!("{at:.3} {line}"));
        }
    }

    fn progress(&mut self, vertex: VertexId, what: &str, done: u64, total: Option<u64>) {
        let Some(step) = self.steps.get_mut(&vertex) else { return };
        if total == Some(done) && !step.shown.iter().any(|shown| shown == what) {
            step.shown.push(what.to_owned());
            self.line(Item::Vertex(vertex), &format!("{what} {} done", size(done)));
        }
    }

    fn end(&mut self, vertex: VertexId, how: &str) {
        if let Some(mut step) = self.steps.remove(&vertex)
            && let Some(rest) = step.output.rest()
        {
            let at = step.started.elapsed().as_secs_f64();
            self.line(Item::Vertex(vertex), &format!("{at:.3} {rest}"));
        }
        self.line(Item::Vertex(vertex), how);
    }
}

impl<W: Write + Send> View for Plain<W> {
    fn titles(&mut self, titles: Vec<String>) {
        self.titles = titles;
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Hit { vertex } => self.end(*vertex, "CACHED"),
            Event::Started { vertex, reason } => self.start(*vertex, reason),
            Event::Output { vertex, bytes } => self.output(*vertex, bytes),
            Event::Progress { vertex, what, done, total } => {
                self.progress(*vertex, what, *done, *total);
            }
            Event::Notice { vertex: Some(vertex), text } => {
                self.line(Item::Vertex(*vertex), &format!("note: {text}"));
            }
            Event::Warning { vertex, text } => {
                self.line(Item::Vertex(*vertex), &format!("warning: {text}"));
            }
            Event::Notice { vertex: None, text } => self.notice(text),
            Event::Done { vertex, took } => self.end(*vertex, &format!("DONE {}", seconds(*took))),
            Event::Failed { vertex, took } => {
                self.end(*vertex, &format!("ERROR after {}", seconds(*took)));
            }
            Event::Canceled { vertex } => self.end(*vertex, "CANCELED"),
        }
    }

    fn phase(&mut self, id: PhaseId, title: &str) {
        self.line(Item::Phase(id), title);
    }

    fn phase_end(&mut self, id: PhaseId, ended: bool, started: Instant) {
        let took = seconds(started.elapsed());
        let how = if ended { format!("DONE {took}") } else { format!("ERROR after {took}") };
        self.line(Item::Phase(id), &how);
    }

    fn notice(&mut self, text: &str) {
        let _ = writeln!(self.out, "note: {text}");
    }

    fn warning(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}\n", text.trim_end());
    }

    fn finish(&mut self) {
        let _ = self.out.flush();
    }
}

/// A duration as progress shows it.
pub fn seconds(took: Duration) -> String {
    format!("{:.1}s", took.as_secs_f64())
}

/// Bytes as progress shows them, in powers of ten as docker does.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{value:.1}{}", UNITS[unit]) }
}

#[cfg(test)]
mod tests;
