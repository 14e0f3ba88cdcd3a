//! One stage: its base, then instruction by instruction.

use std::collections::BTreeMap;

use rbuild_cache::tree::{PathSelector, Selector};
use rbuild_solver::graph::{Edge, Graph, Origin, Vertex, VertexId};
use rbuild_solver::op::{CopyOp, CopySource, ImageOp, Op, Platform, Unpack};

use crate::ast::{Instruction, Kind, Text};
use crate::config::{DEFAULT_PATH, ImageConfig, Layer};
use crate::diagnostic::Diagnostic;
use crate::expand::Style;
use crate::options::Options;
use crate::scope::{Fallible, Scope, expand};
use crate::stage::reach::{Reach, Step};
use crate::stage::{Bases, ResolvedBase, StageBase, StageGraph};

use super::Declared;
use super::path;
use super::title::Titles;

/// The stages that are lowered and those that are still to be.
pub(super) struct Lowering<'a> {
    pub(super) stages: &'a StageGraph,
    pub(super) bases: &'a Bases,
    pub(super) options: &'a Options,
    pub(super) reach: &'a Reach,
    pub(super) graph: &'a mut Graph,
    pub(super) done: BTreeMap<usize, StageState>,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) declared: Declared,
}

/// What instructions change.
#[derive(Debug, Clone, Default)]
pub(super) struct StageState {
    /// Whose result is the stage's tree; none while it is empty.
    pub(super) tip: Option<VertexId>,
    pub(super) config: ImageConfig,
    /// `ENV` and `ARG`, the later one winning.
    pub(super) scope: Scope,
    /// The `ARG`s that were declared, in order: history shows them.
    pub(super) args: Vec<(String, Option<String>)>,
    /// Whether this stage, not its base, has a `CMD`.
    pub(super) cmd: CmdFrom,
}

/// Whose `CMD` the config holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum CmdFrom {
    /// The base's, which an `ENTRYPOINT` drops.
    #[default]
    Base,
    /// The stage's own.
    Stage,
}

/// A stage that is being lowered.
pub(super) struct StageLowering<'a, 'b> {
    pub(super) lowering: &'b mut Lowering<'a>,
    pub(super) index: usize,
    pub(super) platform: Platform,
    pub(super) state: StageState,
    pub(super) titles: Titles,
}

impl Lowering<'_> {
    /// Lowers a stage whose base and sources are lowered already.
    pub(super) fn stage(&mut self, index: usize) {
        let reach = self.reach;
        let Some(steps) = reach.stages.get(&index) else { return };
        let platform = self.stages.platform_of(index).clone();
        let titles = Titles::new(self.stages, index, steps, &platform, self.options.platforms);
        let state = StageState::default();
        let mut stage = StageLowering { lowering: self, index, platform, state, titles };
        stage.start();
        for step in steps {
            if let Err(diagnostic) = stage.step(step) {
                let diagnostic = step.place(*diagnostic);
                stage.lowering.diagnostics.push(diagnostic);
            }
        }
        let state = stage.state;
        self.done.insert(index, state);
    }

    /// The tree of an image; none if it has no layers.
    pub(super) fn image(
        &mut self,
        base: &ResolvedBase,
        platform: &Platform,
        origin: Origin,
    ) -> Option<VertexId> {
        if base.config.rootfs.diff_ids.is_empty() {
            return None;
        }
        let op = Op::Image(ImageOp {
            reference: base.reference.clone(),
            manifest: base.manifest,
            diff_ids: base.config.rootfs.diff_ids.clone(),
            platform: platform.clone(),
        });
        Some(self.graph.add(Vertex { op, inputs: Vec::new(), origin }))
    }
}

impl StageLowering<'_, '_> {
    /// The state that the first instruction finds.
    fn start(&mut self) {
        let stage = &self.lowering.stages.stages[self.index];
        match &stage.base {
            // The empty image is of any platform, whatever its FROM asks for.
            StageBase::Scratch => {
                self.state.config = ImageConfig::empty(&self.lowering.options.platform);
            }
            StageBase::Context(name) => {
                self.state.config = ImageConfig::empty(&self.platform);
                self.state.tip = Some(self.named_files(name));
                self.state.config.record(format!("FROM {name}"), Layer::Made);
            }
            StageBase::Stage(base) => {
                self.state = self.lowering.done.get(base).cloned().unwrap_or_default();
                self.state.config = self.state.config.child();
                self.state.cmd = CmdFrom::Base;
            }
            StageBase::Image(reference) => {
                let key = (reference.clone(), self.platform.clone());
                let bases = self.lowering.bases;
                let Some(base) = bases.get(&key) else { return };
                let span = stage.span.clone();
                let shown = format!("FROM {}", base.reference);
                let title = self.titles.next(&shown, &Scope::default());
                let slot = self.titles.slot("FROM", &Scope::default());
                let origin = Origin { title, span: Some(span), slot, always_run: false };
                self.state.tip = self.lowering.image(base, &self.platform, origin);
                self.state.config = base.config.child();
                self.state.config.complete_history(base.config.created.as_deref());
            }
        }
        let runtime = &mut self.state.config.config;
        if !runtime.working_dir.is_empty() {
            runtime.working_dir = path::workdir("/", &runtime.working_dir);
        }
        if !runtime.env_pairs().any(|(name, _)| name == "PATH") {
            runtime.set_env("PATH", DEFAULT_PATH);
        }
        for (name, value) in runtime.env_pairs() {
            self.state.scope.set(name, value);
        }
    }

    /// The files of a named context as one layer.
    fn named_files(&mut self, name: &str) -> VertexId {
        let files = PathSelector::everything();
        let edge = Edge { from: self.context(name), selector: Selector::Paths(files) };
        let op = Op::Copy(CopyOp {
            base: None,
            sources: vec![CopySource::Input { input: 0, unpack: Unpack::No }],
            dest: "/".to_owned(),
            chown: None,
            chmod: None,
        });
        let origin = Origin {
            title: format!("[context {name}] FROM {name}"),
            slot: self.titles.slot("FROM", &Scope::default()),
            always_run: self.always_run(),
            ..Origin::default()
        };
        self.add(op, vec![edge], origin)
    }

    fn step(&mut self, step: &Step) -> Fallible<()> {
        match &step.instruction.kind {
            Kind::From(_) => Ok(()),
            Kind::Arg(args) => self.arg(args),
            Kind::Env(pairs) => self.env(pairs),
            Kind::Label(pairs) => self.label(pairs),
            Kind::Run(run) => self.run(step, run),
            Kind::Copy(copy) => self.copy(step, copy),
            Kind::Add(add) => self.add_files(step, add),
            Kind::Workdir(path) => self.workdir(step, path),
            Kind::User(user) => self.user(user),
            Kind::Cmd(command) => self.cmd(command),
            Kind::Entrypoint(command) => self.entrypoint(command),
            Kind::Shell(words) => self.shell(words),
            Kind::Expose(ports) => self.expose(ports),
            Kind::Volume(paths) => self.volume(paths),
            Kind::Stopsignal(signal) => self.stop_signal(signal),
            Kind::Healthcheck(check) => self.healthcheck(check),
            Kind::Onbuild(onbuild) => {
                self.state.config.config.on_build.push(onbuild.stored.clone());
                Ok(())
            }
            Kind::Maintainer(author) => self.maintainer(author),
        }
    }

    /// Expands a word of an instruction.
    pub(super) fn word(&self, text: &Text) -> Fallible<String> {
        Ok(expand(self.style(), text, &self.state.scope)?.text)
    }

    /// How words of this file are expanded.
    pub(super) fn style(&self) -> Style {
        Style::word(self.lowering.stages.escape.char())
    }

    /// Adds a vertex for a step.
    pub(super) fn add(&mut self, op: Op, inputs: Vec<Edge>, origin: Origin) -> VertexId {
        self.lowering.graph.add(Vertex { op, inputs, origin })
    }

    /// Whether `--no-cache` asks for a step to run whatever is cached.
    pub(super) fn always_run(&self) -> bool {
        self.lowering.options.no_cache
    }

    /// The stage's tree as the first input of a vertex, and its position among the inputs.
    pub(super) fn tip_edge(&self) -> (Vec<Edge>, Option<usize>) {
        match self.state.tip {
            Some(tip) => (vec![Edge { from: tip, selector: Selector::Whole }], Some(0)),
            None => (Vec::new(), None),
        }
    }

    /// The title and place of a step. `shown` is the instruction as a person reads it.
    pub(super) fn origin(&mut self, step: &Step, kind: &'static str, shown: &str) -> Origin {
        let shown = super::title::of_step(step, shown);
        let title = self.titles.next(&shown, &self.state.scope);
        Origin {
            title,
            span: Some(step.span()),
            slot: self.titles.slot(kind, &self.state.scope),
            always_run: self.always_run(),
        }
    }

    /// The instruction's text with its variables replaced; as written if that cannot be done.
    pub(super) fn shown(&self, instruction: &Instruction, style: Style) -> String {
        let text = instruction.text.as_str();
        style.expand(text, &self.state.scope).map_or_else(|_| text.to_owned(), |shown| shown.text)
    }
}
