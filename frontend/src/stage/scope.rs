//! The global scope: the arguments that are always there, and the `ARG`s before the first `FROM`.

use std::collections::BTreeSet;

use rbuild_solver::op::Platform;

use crate::ast::{Arg, Escape, Instruction, Kind};
use crate::diagnostic::Diagnostic;
use crate::expand::Style;
use crate::options::Options;
use crate::scope::{Fallible, Scope, expand};

/// The arguments that exist without being declared, in the global scope only.
const PREDEFINED: [&str; 11] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
];

/// What `FROM` sees.
pub(crate) struct Globals {
    pub(crate) values: Scope,
    pub(crate) declared: BTreeSet<String>,
}

/// Whether an argument of that name exists without being declared.
pub(crate) fn is_predefined(name: &str) -> bool {
    PREDEFINED.contains(&name)
}

/// Evaluates the instructions before the first `FROM`, each value with those before it.
pub(crate) fn globals(
    before: &[Instruction],
    escape: Escape,
    options: &Options,
    last_stage: Option<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Globals {
    let target = options.target.clone().or(last_stage).unwrap_or_else(|| "default".to_owned());
    let mut globals = Globals { values: predefined(options, &target), declared: BTreeSet::new() };
    let args = before.iter().filter_map(|instruction| match &instruction.kind {
        Kind::Arg(args) => Some(args),
        _ => None,
    });
    for arg in args.flatten() {
        globals.declared.insert(arg.name.as_str().to_owned());
        match value(arg, escape, options, &globals.values) {
            Ok(Some(value)) => globals.values.set(arg.name.as_str(), &value),
            Ok(None) => {}
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    globals
}

fn value(arg: &Arg, escape: Escape, options: &Options, scope: &Scope) -> Fallible<Option<String>> {
    match (options.build_arg(arg.name.as_str()), &arg.value) {
        (Some(given), _) => Ok(Some(given)),
        (None, Some(text)) => Ok(Some(expand(Style::word(escape.char()), text, scope)?.text)),
        (None, None) => Ok(None),
    }
}

fn predefined(options: &Options, target: &str) -> Scope {
    let mut scope = Scope::default();
    let values = platform_values(&options.build_platform)
        .into_iter()
        .chain(platform_values(&options.platform))
        .chain([target.to_owned()]);
    for (name, value) in PREDEFINED.into_iter().zip(values) {
        scope.set(name, options.build_args.get(name).unwrap_or(&value));
    }
    scope
}

/// The values in the order of the names: platform, os, version of the os, architecture, variant.
fn platform_values(platform: &Platform) -> [String; 5] {
    let Platform { os, architecture, variant } = platform.clone();
    [platform.to_string(), os, String::new(), architecture, variant]
}
