//! How a person knows a vertex: `[build 2/5] RUN make`, and the slot that stays the same from build
//! to build.

use std::collections::BTreeMap;

use rbuild_solver::op::Platform;

use crate::address::masked;
use crate::ast::Kind;
use crate::stage::lookup::CopyFrom;
use crate::stage::reach::{Step, StepSource};
use crate::stage::{Stage, StageBase, StageGraph};

/// Numbers the vertices of one stage.
#[derive(Debug, Default)]
pub(super) struct Titles {
    /// Empty if the file has but one stage.
    stage: String,
    slot_stage: String,
    platform: String,
    total: usize,
    at: usize,
    kinds: BTreeMap<&'static str, usize>,
}

impl Titles {
    /// For stage number `index` with these steps.
    pub(super) fn new(
        stages: &StageGraph,
        index: usize,
        steps: &[Step],
        platform: &Platform,
    ) -> Titles {
        let name = stages.display_name(index);
        let from = usize::from(matches!(stages.stages[index].base, StageBase::Image(_)));
        let total = from + steps.iter().filter(|step| makes_vertex(step)).count();
        Titles {
            stage: if is_only_source(stages) { String::new() } else { name.clone() },
            slot_stage: name,
            platform: platform.to_string(),
            total,
            ..Titles::default()
        }
    }

    /// The title of the next vertex.
    pub(super) fn next(&mut self, shown: &str) -> String {
        self.at += 1;
        let width = self.total.to_string().len();
        let space = if self.stage.is_empty() { "" } else { " " };
        format!("[{}{space}{:>width$}/{}] {shown}", self.stage, self.at, self.total)
    }

    /// The slot of the next vertex of its kind.
    pub(super) fn slot(&mut self, kind: &'static str) -> String {
        let ordinal = self.kinds.entry(kind).or_default();
        *ordinal += 1;
        format!("{} {kind} {ordinal} {}", self.slot_stage, self.platform)
    }
}

/// A step as progress shows it: the keyword in capitals, a trigger marked as one.
pub(super) fn of_step(step: &Step, shown: &str) -> String {
    let (keyword, rest) = shown.split_once(' ').unwrap_or((shown, ""));
    let keyword = keyword.to_uppercase();
    let line = if rest.is_empty() { keyword } else { format!("{keyword} {}", masked(rest)) };
    match step.source {
        StepSource::Written => line,
        StepSource::FileTrigger | StepSource::ImageTrigger { .. } => format!("ONBUILD {line}"),
    }
}

fn makes_vertex(step: &Step) -> bool {
    matches!(step.instruction.kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
}

/// Whether nothing but one stage has files: an image that files are copied from counts as a stage.
fn is_only_source(stages: &StageGraph) -> bool {
    let uses_another = |(index, stage): (usize, &Stage)| {
        stage.instructions.iter().any(|instruction| match &instruction.kind {
            Kind::Copy(copy) => copy.from.as_ref().is_some_and(|from| {
                matches!(stages.copy_from(from, index), Ok(CopyFrom::Image(_)))
            }),
            // BuildKit counts what is mounted as a stage, even if it is nothing.
            Kind::Run(run) => !run.mounts.is_empty(),
            _ => false,
        })
    };
    stages.stages.len() == 1 && !stages.stages.iter().enumerate().any(uses_another)
}
