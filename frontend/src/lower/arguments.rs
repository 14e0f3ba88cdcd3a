//! `ARG` in a stage, and build arguments that nothing declares.

use std::collections::BTreeSet;

use crate::ast::{Arg, Kind};
use crate::config::Layer;
use crate::diagnostic::Diagnostic;
use crate::expand::Variables as _;
use crate::options::{EPOCH, Options};
use crate::scope::Fallible;
use crate::stage::StageGraph;
use crate::stage::reach::Reach;
use crate::stage::scope::is_predefined;

use super::Declared;
use super::stage::StageLowering;

/// Arguments that are for the builder: no step sees them.
const NEVER_IN_STEPS: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Arguments that mean something without being declared.
const FOR_THE_BUILDER: [&str; 4] =
    [EPOCH, "BUILDKIT_SYNTAX", super::run::HOSTNAME_ARGUMENT, crate::lint::CHECK_ARGUMENT];

/// Proxy variables, in lower case.
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

impl StageLowering<'_, '_> {
    /// Each value is expanded with the arguments before it. What the user gives beats the default; a
    /// bare name takes the global value, and without one leaves an inherited variable as it is.
    pub(super) fn arg(&mut self, args: &[Arg]) -> Fallible<()> {
        let mut shown = Vec::new();
        for arg in args {
            let name = arg.name.as_str();
            let value = self.arg_value(arg)?;
            if let Some(value) = value.as_deref().filter(|_| !NEVER_IN_STEPS.contains(&name)) {
                self.state.scope.set(name, value);
            }
            shown.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            });
            self.state.args.push((name.to_owned(), value));
        }
        self.state.config.record(format!("ARG {}", shown.join(" ")), Layer::Empty);
        Ok(())
    }

    fn arg_value(&self, arg: &Arg) -> Fallible<Option<String>> {
        let name = arg.name.as_str();
        match (self.lowering.options.build_arg(name), &arg.value) {
            (Some(given), _) => Ok(Some(given)),
            (None, Some(text)) => Ok(Some(self.word(text)?)),
            (None, None) => Ok(self.lowering.stages.globals.get(name).map(str::to_owned)),
        }
    }

    /// The declared arguments as the history of a `RUN` shows them: `|2 A=1 B=2`, or nothing.
    pub(super) fn args_shown(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in &self.state.args {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return String::new();
        }
        let values = names.iter().map(|name| format!(" {name}={}", self.arg_shown(name)));
        format!("|{}{} ", names.len(), values.collect::<String>())
    }

    fn arg_shown(&self, name: &str) -> &str {
        let declared = || self.state.args.iter().rev().find(|(known, _)| known == name);
        self.state
            .scope
            .get(name)
            .or_else(|| declared().and_then(|(_, value)| value.as_deref()))
            .unwrap_or_default()
    }
}

/// The arguments that the file declares anywhere, also in triggers.
pub(super) fn declared(stages: &StageGraph, reach: &Reach) -> Declared {
    let written = stages.stages.iter().flat_map(|stage| &stage.instructions);
    let reached = reach.stages.values().flatten().map(|step| &step.instruction);
    let args = written.chain(reached).filter_map(|instruction| match &instruction.kind {
        Kind::Arg(args) => Some(args),
        _ => None,
    });
    let names = args.flatten().map(|arg| arg.name.as_str().to_owned());
    names.chain(stages.declared.iter().cloned()).collect()
}

/// One warning for all build arguments that have no effect.
pub(super) fn unused(
    stages: &StageGraph,
    options: &Options,
    declared: &BTreeSet<String>,
) -> Option<Diagnostic> {
    let has_effect = |name: &str| {
        declared.contains(name)
            || is_predefined(name)
            || FOR_THE_BUILDER.contains(&name)
            || PROXIES.contains(&name.to_lowercase().as_str())
    };
    let unused: Vec<String> = options
        .build_args
        .keys()
        .filter(|name| !has_effect(name))
        .map(|name| format!("`{name}`"))
        .collect();
    if unused.is_empty() {
        return None;
    }
    let names = unused.join(", ");
    let message = match unused.len() {
        1 => format!("build argument {names} has no effect: no ARG declares it"),
        _ => format!("build arguments {names} have no effect: no ARG declares them"),
    };
    let span = stages.stages[stages.target].span.clone();
    Some(Diagnostic::warning("unused-build-arg", span, message))
}
