//! How a person knows a vertex: `[build 2/5] RUN make`, `[linux/amd64 build 2/5] RUN make` in a
//! build for several platforms, and the slot that stays the same from build to build.

use std::collections::BTreeMap;

use rbuild_solver::op::Platform;

use crate::address::masked;
use crate::ast::Kind;
use crate::expand::Variables as _;
use crate::options::Platforms;
use crate::scope::Scope;
use crate::stage::lookup::CopyFrom;
use crate::stage::reach::{Step, StepSource};
use crate::stage::{Stage, StageBase, StageGraph};

/// Numbers the vertices of one stage.
#[derive(Debug)]
pub(super) struct Titles {
    /// Empty if the file has but one stage.
    stage: String,
    slot_stage: String,
    platform: Platform,
    platforms: Platforms,
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
        platforms: Platforms,
    ) -> Titles {
        let name = stages.display_name(index);
        let from = usize::from(matches!(stages.stages[index].base, StageBase::Image(_)));
        let total = from + steps.iter().filter(|step| makes_vertex(step)).count();
        Titles {
            stage: if is_only_source(stages) { String::new() } else { name.clone() },
            slot_stage: name,
            platform: platform.clone(),
            platforms,
            total,
            at: 0,
            kinds: BTreeMap::new(),
        }
    }

    /// The title of the next vertex, which sees these variables.
    pub(super) fn next(&mut self, shown: &str, scope: &Scope) -> String {
        self.at += 1;
        let platform = match self.platforms {
            Platforms::One => String::new(),
            Platforms::Several => format!("{}{}", self.platform, self.target(scope)),
        };
        let width = self.total.to_string().len();
        let number = format!("{:>width$}/{}", self.at, self.total);
        let words = [platform.as_str(), self.stage.as_str(), number.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        format!("[{}] {shown}", words.join(" "))
    }

    /// `->arm64` for a step that makes something for another platform than it runs on: it knows that
    /// platform because it declares the argument.
    fn target(&self, scope: &Scope) -> String {
        let told = |name: &str| scope.get(name).filter(|value| !value.is_empty());
        let base = &self.platform;
        let target = told("TARGETPLATFORM").and_then(Platform::parse).or_else(|| {
            let architecture = told("TARGETARCH")?;
            let os = told("TARGETOS").unwrap_or(&base.os);
            let variant = told("TARGETVARIANT").map(|it| format!("/{it}")).unwrap_or_default();
            Platform::parse(&format!("{os}/{architecture}{variant}"))
        });
        match target {
            None => String::new(),
            Some(target) if target == *base => String::new(),
            Some(target) if target.os == base.os => {
                let shown = target.to_string();
                format!("->{}", shown.split_once('/').map_or("", |(_, rest)| rest))
            }
            Some(target) => format!("->{target}"),
        }
    }

    /// The slot of the next vertex of its kind, which sees these variables.
    pub(super) fn slot(&mut self, kind: &'static str, scope: &Scope) -> String {
        let target = self.target(scope);
        let ordinal = self.kinds.entry(kind).or_default();
        *ordinal += 1;
        format!("{} {kind} {ordinal} {}{target}", self.slot_stage, self.platform)
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
