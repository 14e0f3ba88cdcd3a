//! What the target needs: the stages, their steps with `ONBUILD` triggers in place, and the images.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_solver::op::Platform;

use crate::ast::{Instruction, Kind, Onbuild, Text};
use crate::diagnostic::{Diagnostic, Severity};
use crate::lower::mount;
use crate::parser::parse_trigger;
use crate::reference::Reference;
use crate::source::{Source, Span};

use super::lookup::CopyFrom;
use super::{BaseRequest, Bases, StageBase, StageGraph};

/// What the target needs, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// The steps of each stage that is needed.
    pub(crate) stages: BTreeMap<usize, Vec<Step>>,
    /// What has to be looked up before more can be known, in the order of the file.
    pub(crate) missing: Vec<BaseRequest>,
}

/// One instruction of a stage.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) instruction: Instruction,
    pub(crate) source: StepSource,
}

/// How an instruction got into its stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepSource {
    /// It stands there.
    Written,
    /// It is a trigger of an earlier stage of the file.
    FileTrigger,
    /// It is a trigger of the base image. Its text is not in the file: what is wrong with it is said
    /// of the `FROM`.
    ImageTrigger {
        /// The `FROM`.
        from: Span,
    },
}

impl Step {
    /// The place in the file that stands for this step.
    pub(crate) fn span(&self) -> Span {
        self.source.place(self.instruction.span.clone())
    }

    /// What is wrong with this step, said of its place in the file.
    pub(crate) fn place(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        diagnostic.span = self.source.place(diagnostic.span);
        match self.source {
            StepSource::Written | StepSource::FileTrigger => diagnostic,
            StepSource::ImageTrigger { .. } => {
                diagnostic.with_note(format!("in the base's `ONBUILD {}`", self.instruction.text))
            }
        }
    }
}

impl StepSource {
    /// The place in the file for a place in the instruction's text.
    pub(crate) fn place(&self, span: Span) -> Span {
        match self {
            StepSource::ImageTrigger { from } => from.clone(),
            StepSource::Written | StepSource::FileTrigger => span,
        }
    }
}

impl StageGraph {
    /// Walks from the wanted stages to everything they are made of.
    pub(crate) fn reach(&self, known: &Bases) -> Result<Reach, Vec<Diagnostic>> {
        let (reach, diagnostics) = self.reach_with_errors(known);
        if diagnostics.is_empty() { Ok(reach) } else { Err(diagnostics) }
    }

    /// The same for a file that need not be built: what is wrong does not hide the rest.
    pub(crate) fn reach_with_errors(&self, known: &Bases) -> (Reach, Vec<Diagnostic>) {
        let mut walk =
            Walk { graph: self, known, reach: Reach::default(), diagnostics: Vec::new() };
        self.wanted.iter().for_each(|stage| walk.stage(*stage));
        walk.diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        walk.reach.missing.sort_by_key(|request| request.span.start);
        (walk.reach, walk.diagnostics)
    }
}

struct Walk<'a> {
    graph: &'a StageGraph,
    known: &'a Bases,
    reach: Reach,
    diagnostics: Vec<Diagnostic>,
}

impl Walk<'_> {
    /// Stages only ever need earlier ones, so this ends. A file may have a hundred thousand of them,
    /// so it is no recursion.
    fn stage(&mut self, wanted: usize) {
        let mut waiting = vec![wanted];
        while let Some(index) = waiting.pop() {
            if !self.reach.stages.contains_key(&index) {
                waiting.extend(self.needed_by(index).into_iter().rev());
            }
        }
    }

    /// Adds a stage; gives those that it needs.
    fn needed_by(&mut self, index: usize) -> BTreeSet<usize> {
        let steps = self.steps(index);
        let mut needed = BTreeSet::new();
        if let StageBase::Stage(base) = self.graph.stages[index].base {
            needed.insert(base);
        }
        for step in &steps {
            for from in froms(&step.instruction) {
                match self.graph.copy_from(from, index) {
                    Ok(CopyFrom::Stage(stage)) => {
                        needed.insert(stage);
                    }
                    Ok(CopyFrom::Image(reference)) => {
                        self.image(&reference, &self.graph.platform, step.span(), &BTreeSet::new());
                    }
                    Ok(CopyFrom::Scratch | CopyFrom::Context(_)) => {}
                    Err(diagnostic) => self.diagnostics.push(step.place(*diagnostic)),
                }
            }
        }
        self.reach.stages.insert(index, steps);
        needed
    }

    /// The triggers of the base, then what is written. An earlier stage's own triggers run, those
    /// that it ran itself do not run again.
    fn steps(&mut self, index: usize) -> Vec<Step> {
        let stage = &self.graph.stages[index];
        let mut steps = match &stage.base {
            StageBase::Scratch | StageBase::Context(_) => Vec::new(),
            StageBase::Stage(base) => self.file_triggers(*base, &stage.span),
            StageBase::Image(reference) => {
                self.image(reference, &stage.platform, stage.span.clone(), &stage.unset);
                self.image_triggers(reference, &stage.platform, &stage.span)
            }
        };
        let written = stage.instructions.iter().cloned();
        steps.extend(written.map(|instruction| Step { instruction, source: StepSource::Written }));
        steps
    }

    /// Asks for an image. In `unset` are the variables of its name that have no value.
    fn image(
        &mut self,
        reference: &str,
        platform: &Platform,
        span: Span,
        unset: &BTreeSet<String>,
    ) {
        if let Err(bad) = reference.parse::<Reference>()
            && !self.graph.is_named_image(reference)
        {
            let mut error = Diagnostic::error("bad-reference", span, bad.to_string());
            error.help = self.graph.meant_stage(reference, &error.span).or_else(|| bad.help());
            self.diagnostics.push(self.graph.with_unset(error, unset));
            return;
        }
        let request =
            BaseRequest { reference: reference.to_owned(), platform: platform.clone(), span };
        let key = (request.reference.clone(), request.platform.clone());
        let asked = |other: &BaseRequest| {
            other.reference == request.reference && other.platform == request.platform
        };
        if !self.known.contains_key(&key) && !self.reach.missing.iter().any(asked) {
            self.reach.missing.push(request);
        }
    }

    fn image_triggers(&mut self, reference: &str, platform: &Platform, from: &Span) -> Vec<Step> {
        let Some(base) = self.known.get(&(reference.to_owned(), platform.clone())) else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        for text in &base.config.config.on_build {
            if let Some(instruction) = self.stored_trigger(reference, text, from) {
                let source = StepSource::ImageTrigger { from: from.clone() };
                steps.push(Step { instruction, source });
            }
        }
        steps
    }

    fn file_triggers(&mut self, base: usize, from: &Span) -> Vec<Step> {
        let graph = self.graph;
        let name = graph.stages[base].name.clone().unwrap_or_else(|| base.to_string());
        let mut steps = Vec::new();
        for instruction in &graph.stages[base].instructions {
            let Kind::Onbuild(Onbuild { trigger, stored }) = &instruction.kind else { continue };
            let instruction = match trigger {
                Some(trigger) => Some((**trigger).clone()),
                None => self.stored_trigger(&name, stored, from),
            };
            let step = |instruction| Step { instruction, source: StepSource::FileTrigger };
            steps.extend(instruction.map(step));
        }
        steps
    }

    /// The instruction of a trigger's text; if it is none, that is the fault of the base.
    fn stored_trigger(&mut self, base: &str, text: &str, from: &Span) -> Option<Instruction> {
        let reason = match trigger(text) {
            Ok(instruction) => return Some(instruction),
            Err(reason) => reason,
        };
        let message = format!("`{base}` has a trigger that cannot run: {reason}");
        let error = Diagnostic::error("bad-trigger", from.clone(), message);
        self.diagnostics.push(error.with_note(format!("ONBUILD {text}")));
        None
    }
}

/// What an instruction needs besides its stage: stages and images, as they are written.
fn froms(instruction: &Instruction) -> Vec<&Text> {
    match &instruction.kind {
        Kind::Copy(copy) => copy.from.iter().collect(),
        Kind::Run(run) => mount::froms(&run.mounts).collect(),
        _ => Vec::new(),
    }
}

/// One instruction from the text that an image config holds.
fn trigger(text: &str) -> Result<Instruction, String> {
    let parsed = parse_trigger(&Source::new("ONBUILD", text.as_bytes().to_vec()));
    let error = parsed.diagnostics.iter().find(|found| found.severity == Severity::Error);
    if let Some(error) = error {
        return Err(error.message.clone());
    }
    let mut instructions = parsed.ast.instructions.into_iter();
    match (instructions.next(), instructions.next()) {
        (Some(only), None) => match only.kind {
            Kind::From(_) => Err(format!("{} cannot be one", only.keyword)),
            _ => Ok(only),
        },
        _ => Err("it is not one instruction".to_owned()),
    }
}
