//! What each step of a file finds when it begins, told without building: the variables, and what
//! earlier steps of its stage have set.
//!
//! For looking at a file as it is: what cannot be evaluated is passed over, because saying so is
//! lowering's business. Images that nobody looked up leave their variables unknown.

use std::collections::BTreeSet;

use crate::ast::{Arg, Kind, Pairs, Text};
use crate::config::{DEFAULT_PATH, Runtime};
use crate::expand::{Style, Variables};
use crate::options::Options;
use crate::scope::{Scope, expand};
use crate::stage::reach::{Reach, Step};
use crate::stage::{Bases, StageBase, StageGraph};

/// One step and what it finds.
#[derive(Debug)]
pub(crate) struct Visit {
    /// The number of the stage.
    pub(crate) stage: usize,
    pub(crate) step: Step,
    /// What holds before the step.
    pub(crate) before: State,
}

/// What holds at one place of a stage.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// `ENV` and `ARG`, the later one winning.
    pub(crate) variables: Scope,
    /// The names that `ARG`s of the stage declare, with a value or without.
    pub(crate) declared: BTreeSet<String>,
    /// Whether the variables are all there are.
    pub(crate) base: BaseKnown,
    /// Whether some `WORKDIR` came before.
    pub(crate) has_workdir: bool,
    /// Whether some `SHELL` came before, the base's included.
    pub(crate) has_shell: bool,
}

/// Whether the image at the bottom of a stage was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BaseKnown {
    /// It was, or there is none.
    Yes,
    /// It was not: it may have more variables, and triggers.
    No,
}

/// Goes through all stages that are wanted, in the order of the file.
pub(crate) fn replay(
    stages: &StageGraph,
    reach: &Reach,
    bases: &Bases,
    options: &Options,
) -> Vec<Visit> {
    let mut visits = Vec::new();
    let mut ends: Vec<Option<State>> = vec![None; stages.stages.len()];
    for (stage, steps) in &reach.stages {
        let mut state = start(stages, *stage, bases, &ends);
        for step in steps {
            visits.push(Visit { stage: *stage, step: step.clone(), before: state.clone() });
            state.step(&step.instruction.kind, stages, options);
        }
        ends[*stage] = Some(state);
    }
    visits
}

fn start(stages: &StageGraph, stage: usize, bases: &Bases, ends: &[Option<State>]) -> State {
    let described = &stages.stages[stage];
    match &described.base {
        StageBase::Scratch | StageBase::Context(_) => {
            State::of(&Runtime::default(), BaseKnown::Yes)
        }
        StageBase::Stage(base) => {
            let end = ends.get(*base).cloned().flatten();
            end.unwrap_or_else(|| State::of(&Runtime::default(), BaseKnown::No))
        }
        StageBase::Image(reference) => {
            match bases.get(&(reference.clone(), described.platform.clone())) {
                Some(base) => State::of(&base.config.config, BaseKnown::Yes),
                None => State::of(&Runtime::default(), BaseKnown::No),
            }
        }
    }
}

impl State {
    fn of(runtime: &Runtime, base: BaseKnown) -> State {
        let mut variables = Scope::default();
        variables.set("PATH", DEFAULT_PATH);
        runtime.env_pairs().for_each(|(name, value)| variables.set(name, value));
        let has_shell = !runtime.shell.is_empty();
        State { variables, declared: BTreeSet::new(), base, has_workdir: false, has_shell }
    }

    fn step(&mut self, kind: &Kind, stages: &StageGraph, options: &Options) {
        let style = Style::word(stages.escape.char());
        match kind {
            Kind::Env(pairs) => self.env(pairs, style),
            Kind::Arg(args) => args.iter().for_each(|arg| self.arg(arg, stages, options)),
            Kind::Workdir(_) => self.has_workdir = true,
            Kind::Shell(_) => self.has_shell = true,
            _ => {}
        }
    }

    fn env(&mut self, pairs: &Pairs, style: Style) {
        let before = self.variables.clone();
        for pair in &pairs.pairs {
            let name = value(&pair.key, style, &before);
            if let (Some(name), Some(value)) = (name, value(&pair.value, style, &before)) {
                self.variables.set(&name, &value);
            }
        }
    }

    /// Declares one argument; one of the same `ARG` that follows sees it.
    pub(crate) fn arg(&mut self, arg: &Arg, stages: &StageGraph, options: &Options) {
        let name = arg.name.as_str();
        self.declared.insert(name.to_owned());
        let style = Style::word(stages.escape.char());
        let given = options.build_arg(name);
        let value = given.or_else(|| match &arg.value {
            Some(text) => value(text, style, &self.variables),
            None => stages.globals.get(name).map(str::to_owned),
        });
        if let Some(value) = value {
            self.variables.set(name, &value);
        }
    }
}

fn value(text: &Text, style: Style, variables: &Scope) -> Option<String> {
    expand(style, text, variables).ok().map(|expanded| expanded.text)
}
