//! What rules look at.

use crate::ast::{Ast, Base, Instruction, Kind};
use crate::expand::Style;
use crate::options::Options;
use crate::replay::{Visit, replay};
use crate::source::Span;
use crate::stage::reach::StepSource;
use crate::stage::{Bases, StageGraph};

/// A file and everything that is known about it.
pub struct Facts<'a> {
    pub(super) ast: &'a Ast,
    pub(super) stages: &'a StageGraph,
    pub(super) bases: &'a Bases,
    pub(super) options: &'a Options,
    hidden: &'a dyn Fn(&str) -> bool,
    /// The numbers of the stages that are wanted, or needed by those.
    pub(super) wanted: Vec<usize>,
    /// The steps of those stages, with what they find.
    pub(super) visits: Vec<Visit>,
}

impl<'a> Facts<'a> {
    /// Collects what is known of a file. Bases that are missing, and stages that are not wanted, leave
    /// out the rules that need them.
    /// `hidden` says whether the ignore file hides a path of the build context.
    pub fn new(
        ast: &'a Ast,
        stages: &'a StageGraph,
        bases: &'a Bases,
        options: &'a Options,
        hidden: &'a dyn Fn(&str) -> bool,
    ) -> Facts<'a> {
        let (reach, _) = stages.reach_with_errors(bases);
        let wanted = reach.stages.keys().copied().collect();
        let visits = replay(stages, &reach, bases, options);
        Facts { ast, stages, bases, options, hidden, wanted, visits }
    }

    /// The stages of the file as they are written, whether they are wanted or not.
    pub(super) fn froms(&self) -> impl Iterator<Item = (&'a Instruction, &'a Base)> {
        self.ast.instructions.iter().filter_map(|instruction| match &instruction.kind {
            Kind::From(base) => Some((instruction, base)),
            _ => None,
        })
    }

    /// The instruction of the file that stands for a step.
    pub(super) fn instruction_of(&self, visit: &Visit) -> Span {
        let from = || self.stages.stages[visit.stage].span.clone();
        match visit.step.source {
            StepSource::Written => visit.step.instruction.span.clone(),
            StepSource::FileTrigger | StepSource::ImageTrigger { .. } => from(),
        }
    }

    /// The instruction with this place.
    pub(super) fn instruction_at(&self, span: &Span) -> Option<&'a Instruction> {
        self.ast.instructions.iter().find(|instruction| instruction.span == *span)
    }

    /// Whether the ignore file hides a path of the build context.
    pub(super) fn is_hidden(&self, path: &str) -> bool {
        (self.hidden)(path)
    }

    /// How words are expanded.
    pub(super) fn style(&self) -> Style {
        Style::word(self.ast.directives.escape.char())
    }
}
