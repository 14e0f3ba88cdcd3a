//! The view for terminals: finished steps stay on screen, running ones are redrawn below them
//! with their time and the tail of their output.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use console::{Term, style, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rbuild_solver::event::Event;
use rbuild_solver::graph::VertexId;
use rbuild_solver::plan::MissReason;

use super::lines::Lines;
use super::plain::{seconds, size};
use super::{PhaseId, View};

/// How many lines of a running step's output are shown.
const TAIL: usize = 5;

/// Draws on standard error.
pub struct Tty {
    screen: MultiProgress,
    term: Term,
    titles: Vec<String>,
    steps: HashMap<VertexId, Step>,
    phases: HashMap<PhaseId, (String, ProgressBar)>,
}

struct Step {
    bar: ProgressBar,
    output: Lines,
    tail: VecDeque<String>,
    transfers: Vec<(String, u64, Option<u64>)>,
}

impl Tty {
    /// A view of the terminal on standard error.
    pub fn new() -> Tty {
        Tty {
            screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            term: Term::stderr(),
            titles: Vec::new(),
            steps: HashMap::new(),
            phases: HashMap::new(),
        }
    }

    fn title(&self, vertex: VertexId) -> String {
        self.titles.get(vertex.index()).cloned().unwrap_or_default()
    }

    fn width(&self) -> usize {
        usize::from(self.term.size().1).max(20)
    }

    fn bar(&self, title: &str) -> ProgressBar {
        let bar = self.screen.add(ProgressBar::new_spinner());
        let room = self.width().saturating_sub(12);
        let template = "{spinner:.cyan} {prefix} {elapsed:.dim}{msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(truncate_str(title, room, "…").into_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// Writes a line that stays, above what is still running.
    fn keep(&self, mark: &str, title: &str, end: &str) {
        let room = self.width().saturating_sub(console::measure_text_width(end) + 4);
        let title = truncate_str(title, room, "…");
        let _ = self.screen.println(format!("{mark} {title} {}", style(end).dim()));
    }

    fn start(&mut self, vertex: VertexId, reason: &MissReason) {
        let bar = self.bar(&self.title(vertex));
        if !matches!(reason, MissReason::New | MissReason::Asked) {
            bar.set_message(format!("\n    {}", style(self.fit(&reason.to_string())).dim()));
        }
        let step =
            Step { bar, output: Lines::default(), tail: VecDeque::new(), transfers: Vec::new() };
        self.steps.insert(vertex, step);
    }

    fn fit(&self, line: &str) -> String {
        truncate_str(line, self.width().saturating_sub(6), "…").into_owned()
    }

    fn output(&mut self, vertex: VertexId, bytes: &[u8]) {
        let width = self.width().saturating_sub(6);
        let Some(step) = self.steps.get_mut(&vertex) else { return };
        step.tail.extend(step.output.push(bytes));
        while step.tail.len() > TAIL {
            step.tail.pop_front();
        }
        let lines = step.tail.iter().map(|line| truncate_str(line, width, "…"));
        let message: String = lines.map(|line| format!("\n    {}", style(line).dim())).collect();
        step.bar.set_message(message);
    }

    fn progress(&mut self, vertex: VertexId, what: &str, done: u64, total: Option<u64>) {
        let Some(step) = self.steps.get_mut(&vertex) else { return };
        match step.transfers.iter_mut().find(|(name, ..)| name == what) {
            Some(transfer) => (transfer.1, transfer.2) = (done, total),
            None => step.transfers.push((what.to_owned(), done, total)),
        }
        let done = step.transfers.iter().map(|(_, done, _)| done).sum();
        let total: u64 = step.transfers.iter().filter_map(|(.., total)| *total).sum();
        step.bar.set_message(format!("\n    {} of {}", size(done), size(total)));
    }

    fn end(&mut self, vertex: VertexId, mark: &str, how: &str) {
        if let Some(step) = self.steps.remove(&vertex) {
            step.bar.finish_and_clear();
            self.screen.remove(&step.bar);
        }
        self.keep(mark, &self.title(vertex), how);
    }
}

impl View for Tty {
    fn titles(&mut self, titles: Vec<String>) {
        self.titles = titles;
    }

    fn event(&mut self, event: &Event) {
        let (good, bad) = (style("✔").green().to_string(), style("✘").red().to_string());
        match event {
            Event::Hit { vertex } => self.end(*vertex, &good, "cached"),
            Event::Started { vertex, reason } => self.start(*vertex, reason),
            Event::Output { vertex, bytes } => self.output(*vertex, bytes),
            Event::Progress { vertex, what, done, total } => {
                self.progress(*vertex, what, *done, *total);
            }
            Event::Notice { text, .. } => self.notice(text),
            Event::Warning { vertex, text } => {
                let step = self.title(*vertex);
                let head = style("warning:").yellow();
                let _ = self.screen.println(format!("{head} {step}: {text}"));
            }
            Event::Done { vertex, took } => self.end(*vertex, &good, &seconds(*took)),
            Event::Failed { vertex, took } => {
                self.end(*vertex, &bad, &format!("failed after {}", seconds(*took)));
            }
            Event::Canceled { vertex } => {
                self.end(*vertex, &style("-").dim().to_string(), "canceled");
            }
        }
    }

    fn phase(&mut self, id: PhaseId, title: &str) {
        let bar = self.bar(title);
        self.phases.insert(id, (title.to_owned(), bar));
    }

    fn phase_end(&mut self, id: PhaseId, ended: bool, started: Instant) {
        let Some((title, bar)) = self.phases.remove(&id) else { return };
        bar.finish_and_clear();
        self.screen.remove(&bar);
        let took = seconds(started.elapsed());
        match ended {
            true => self.keep(&style("✔").green().to_string(), &title, &took),
            false => self.keep(&style("✘").red().to_string(), &title, &format!("failed, {took}")),
        }
    }

    fn notice(&mut self, text: &str) {
        let _ = self.screen.println(format!("{} {text}", style("note:").yellow()));
    }

    fn warning(&mut self, text: &str) {
        let _ = self.screen.println(text.trim_end());
    }

    fn finish(&mut self) {
        self.steps.clear();
        self.phases.clear();
        let _ = self.screen.clear();
    }
}
