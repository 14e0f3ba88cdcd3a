//! `FROM --platform`, and bases for another platform.

use rbuild_solver::op::Platform;

use crate::ast::{Base, Instruction};
use crate::expand::{Expanded, Variables as _};
use crate::scope::expand;
use crate::stage::StageBase;

use super::{Facts, Found};

const TARGET: &str = "TARGETPLATFORM";

/// A stage whose name tells the architecture is meant to be like this.
pub(super) fn from_platform_flag_const_disallowed(facts: &Facts<'_>) -> Vec<Found> {
    let constant = |(from, base): (&Instruction, &Base)| {
        let text = base.platform.as_ref()?;
        let expanded = platform(facts, base)?;
        let platform = Platform::parse(&expanded.text)?;
        let name = base.name.as_ref().map(|name| name.as_str().to_lowercase()).unwrap_or_default();
        let told = name.contains(&platform.os) || name.contains(&platform.architecture);
        if told || !expanded.used.is_empty() || !expanded.unset.is_empty() {
            return None;
        }
        let message = format!("the base is for `{text}`, whatever platform is built for");
        Some(Found::in_text(&from.span, text, message))
    };
    facts.froms().filter_map(constant).collect()
}

pub(super) fn redundant_target_platform(facts: &Facts<'_>) -> Vec<Found> {
    let redundant = |(from, base): (&Instruction, &Base)| {
        let text = base.platform.as_ref()?;
        let expanded = platform(facts, base)?;
        let only = expanded.unset.is_empty() && expanded.used.iter().eq([TARGET]);
        if !only || facts.stages.globals.get(TARGET) != Some(&expanded.text) {
            return None;
        }
        let message = format!("`--platform={text}` is what holds without it");
        Some(Found::in_text(&from.span, text, message))
    };
    facts.froms().filter_map(redundant).collect()
}

fn platform(facts: &Facts<'_>, base: &Base) -> Option<Expanded> {
    expand(facts.style(), base.platform.as_ref()?, &facts.stages.globals).ok()
}

/// An image that has no variant for a platform is used as it is; programs in it may not run.
pub(super) fn invalid_base_image_platform(facts: &Facts<'_>) -> Vec<Found> {
    let other = |stage: usize| {
        let stage = &facts.stages.stages[stage];
        let StageBase::Image(reference) = &stage.base else { return None };
        let base = facts.bases.get(&(reference.clone(), stage.platform.clone()))?;
        let (os, architecture) = (&base.config.os, &base.config.architecture);
        let known = !os.is_empty() && !architecture.is_empty();
        if !known || (*os == stage.platform.os && *architecture == stage.platform.architecture) {
            return None;
        }
        let message = format!("`{reference}` is for {os}/{architecture}, not {}", stage.platform);
        Some(Found::at(stage.span.clone(), stage.span.clone(), message))
    };
    facts.wanted.iter().copied().filter_map(other).collect()
}
