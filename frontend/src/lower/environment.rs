//! `ENV`, `LABEL`, `USER` and `WORKDIR`.

use rbuild_solver::op::{MakeDirOp, Op};

use crate::ast::{Pairs, Text};
use crate::config::Layer;
use crate::diagnostic::Diagnostic;
use crate::scope::Fallible;
use crate::stage::reach::Step;

use super::path;
use super::stage::StageLowering;

impl StageLowering<'_, '_> {
    /// All values are expanded with the variables as they were before the instruction.
    pub(super) fn env(&mut self, pairs: &Pairs) -> Fallible<()> {
        let pairs = self.pairs(pairs)?;
        for (name, value) in &pairs {
            self.state.scope.set(name, value);
            self.state.config.config.set_env(name, value);
        }
        self.state.config.record(format!("ENV{}", shown(&pairs)), Layer::Empty);
        Ok(())
    }

    pub(super) fn label(&mut self, pairs: &Pairs) -> Fallible<()> {
        let pairs = self.pairs(pairs)?;
        self.state.config.config.labels.extend(pairs.iter().cloned());
        self.state.config.record(format!("LABEL{}", shown(&pairs)), Layer::Empty);
        Ok(())
    }

    fn pairs(&self, pairs: &Pairs) -> Fallible<Vec<(String, String)>> {
        let mut expanded = Vec::new();
        for pair in &pairs.pairs {
            let key = self.word(&pair.key)?;
            if key.is_empty() {
                let message = format!("there is no name: `{}` is empty", pair.key);
                let error = Diagnostic::error("empty-name", pair.key.span(), message);
                return Err(Box::new(error.with_help("write the name of a variable before `=`")));
            }
            expanded.push((key, self.word(&pair.value)?));
        }
        Ok(expanded)
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

fn shown(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(key, value)| format!(" {key}={value}")).collect()
}
