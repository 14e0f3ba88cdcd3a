//! The view of `--quiet`: nothing. Errors are not its business.

use std::time::Instant;

use rbuild_solver::event::Event;

use super::{PhaseId, View};

/// Shows nothing.
pub struct Quiet;

impl View for Quiet {
    fn titles(&mut self, _: Vec<String>) {}
    fn event(&mut self, _: &Event) {}
    fn phase(&mut self, _: PhaseId, _: &str) {}
    fn phase_end(&mut self, _: PhaseId, _: bool, _: Instant) {}
    fn notice(&mut self, _: &str) {}
    fn warning(&mut self, _: &str) {}
    fn finish(&mut self) {}
}
