//! `ENV`, `LABEL`, `USER` and `WORKDIR`.

use rbuild_solver::op::{MakeDirOp, Op};

use crate::ast::{Pair, Pairs, Text};
use crate::config::Layer;
use crate::diagnostic::Diagnostic;
use crate::scope::Fallible;
use crate::stage::reach::Step;

use super::path;
use super::stage::StageLowering;

/// Pairs after expansion, and those that have no name then.
type Expanded<'p> = (Vec<(String, String)>, Vec<&'p Pair>);

impl StageLowering<'_, '_> {
    /// All values are expanded with the variables as they were before the instruction. Without a
    /// name no process could be started any more.
    pub(super) fn env(&mut self, pairs: &Pairs) -> Fallible<()> {
        let (pairs, nameless) = self.pairs(pairs)?;
        if let Some(pair) = nameless.first() {
            let error = Diagnostic::error("empty-name", pair.key.span(), without_name(pair));
            return Err(Box::new(error.with_help("write the name of a variable before `=`")));
        }
        for (name, value) in &pairs {
            self.state.scope.set(name, value);
            self.state.config.config.set_env(name, value);
        }
        self.state.config.record(format!("ENV{}", shown(&pairs)), Layer::Empty);
        Ok(())
    }

    pub(super) fn label(&mut self, pairs: &Pairs) -> Fallible<()> {
        let (pairs, nameless) = self.pairs(pairs)?;
        self.lowering.warnings.extend(nameless.into_iter().map(|pair| {
            Diagnostic::warning("empty-name", pair.key.span(), without_name(pair))
                .with_label("the image gets a label without a name")
        }));
        self.state.config.config.labels.extend(pairs.iter().cloned());
        self.state.config.record(format!("LABEL{}", shown(&pairs)), Layer::Empty);
        Ok(())
    }

    /// The pairs, expanded; and those whose name is empty then.
    fn pairs<'p>(&self, pairs: &'p Pairs) -> Fallible<Expanded<'p>> {
        let (mut expanded, mut nameless) = (Vec::new(), Vec::new());
        for pair in &pairs.pairs {
            let key = self.word(&pair.key)?;
            nameless.extend(key.is_empty().then_some(pair));
            expanded.push((key, self.word(&pair.value)?));
        }
        Ok((expanded, nameless))
    }

    /// Kept as it is; who that is shows when a step runs.
    pub(super) fn user(&mut self, user: &Text) -> Fallible<()> {
        let user = self.word(user)?;
        self.state.config.record(format!("USER {user}"), Layer::Empty);
        self.state.config.config.user = user;
        Ok(())
    }

    /// Makes the directory if it is not there, for the current user. `/` always is; other ways to
    /// write it make an empty layer, as with Docker.
    pub(super) fn workdir(&mut self, step: &Step, written: &Text) -> Fallible<()> {
        let runtime = &self.state.config.config;
        let workdir = path::workdir(&runtime.working_dir, &self.word(written)?);
        let clean = path::clean(&workdir);
        let layer = if workdir == "/" { Layer::Empty } else { Layer::Made };
        if layer == Layer::Made {
            let shown = self.shown(&step.instruction, self.style());
            let (inputs, base) = self.tip_edge();
            let user = self.state.config.config.user.clone();
            let op = Op::MakeDir(MakeDirOp { base, path: clean, user, mode: 0o755 });
            let mut origin = self.origin(step, "WORKDIR", &shown);
            // It gives the same directory however often it runs.
            origin.always_run = false;
            self.state.tip = Some(self.add(op, inputs, origin));
        }
        self.state.config.record(format!("WORKDIR {workdir}"), layer);
        self.state.config.config.working_dir = workdir;
        Ok(())
    }
}

fn without_name(pair: &Pair) -> String {
    format!("there is no name: `{}` is empty", pair.key)
}

fn shown(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(key, value)| format!(" {key}={value}")).collect()
}
