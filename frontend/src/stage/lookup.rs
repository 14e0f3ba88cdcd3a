//! Names and numbers of stages: the target, and what `COPY --from` means.

use crate::ast::Text;
use crate::diagnostic::Diagnostic;
use crate::expand::Style;
use crate::parser::suggest::nearest;
use crate::scope::{Fallible, Scope, expand};
use crate::source::Span;

use super::{Stage, StageBase, StageGraph};

/// Where the sources of a `COPY` are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopyFrom {
    /// In the result of an earlier stage.
    Stage(usize),
    /// In an image, as the user wrote it.
    Image(String),
    /// In a named context.
    Context(String),
    /// Nowhere.
    Scratch,
}

impl StageGraph {
    /// The stage to build: by name, by number, or the last one.
    pub(super) fn find_target(&self, target: Option<&str>) -> Fallible<usize> {
        let Some(last) = self.stages.len().checked_sub(1) else {
            let message = "there is no stage to build: the file has no FROM";
            return Err(Box::new(Diagnostic::error("no-stage", 0..0, message)));
        };
        let Some(target) = target.filter(|target| !target.is_empty()) else { return Ok(last) };
        let number = target.parse().ok().filter(|number| *number <= last);
        self.last_named(target, self.stages.len())
            .or(number)
            .ok_or_else(|| Box::new(self.unknown_target(target)))
    }

    /// The last stage of that name before stage number `before`. Case does not matter.
    pub(super) fn last_named(&self, name: &str, before: usize) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages[..before].iter().rposition(|stage| stage.name.as_deref() == Some(&name))
    }

    /// What to say about an image that cannot be had, in case a stage was meant: its name is
    /// nearly this one, or it only comes later.
    pub fn meant_stage(&self, name: &str, at: &Span) -> Option<String> {
        let earlier = self.stages.iter().filter(|stage| stage.span.end <= at.start);
        let names: Vec<&str> = earlier.filter_map(|stage| stage.name.as_deref()).collect();
        let lower = name.to_lowercase();
        let later = |stage: &&Stage| stage.name.as_deref() == Some(&lower);
        if let Some(later) = self.stages.iter().find(later) {
            return Some(format!("the stage `{name}` begins on line {}: move it up", later.line));
        }
        nearest(name, names.into_iter()).map(|near| format!("did you mean the stage `{near}`?"))
    }

    /// What the `--from` of a `COPY` in stage number `stage` means.
    pub(crate) fn copy_from(&self, from: &Text, stage: usize) -> Fallible<CopyFrom> {
        let name = from.as_str();
        let plain = expand(Style::word(self.escape.char()), from, &Scope::default())?;
        if plain.text != name {
            return Err(Box::new(
                Diagnostic::error("variable-in-from", from.span(), "`--from` takes no variables")
                    .with_help(
                        "name it in a stage of its own, `FROM $NAME AS x`, and copy from that",
                    ),
            ));
        }
        if let Ok(number) = name.parse::<usize>() {
            return self.earlier(number, stage, from).map(CopyFrom::Stage);
        }
        if let Some(earlier) = self.last_named(name, stage) {
            return Ok(CopyFrom::Stage(earlier));
        }
        match self.last_named(name, self.stages.len()) {
            Some(later) => Err(Box::new(self.not_earlier(later, stage, from))),
            None if name == "scratch" => Ok(CopyFrom::Scratch),
            None => Ok(match self.named_context(name) {
                Some(StageBase::Context(name)) => CopyFrom::Context(name),
                Some(StageBase::Image(reference)) => CopyFrom::Image(reference),
                _ => CopyFrom::Image(name.to_owned()),
            }),
        }
    }

    fn earlier(&self, number: usize, stage: usize, from: &Text) -> Fallible<usize> {
        if number < stage {
            return Ok(number);
        }
        if number < self.stages.len() {
            return Err(Box::new(self.not_earlier(number, stage, from)));
        }
        let message = format!("there is no stage number {number}");
        let help = format!("stages are numbered from 0 to {}", self.stages.len() - 1);
        Err(Box::new(Diagnostic::error("unknown-stage", from.span(), message).with_help(help)))
    }

    fn not_earlier(&self, named: usize, stage: usize, from: &Text) -> Diagnostic {
        let error = |message: String| Diagnostic::error("forward-reference", from.span(), message);
        if named == stage {
            let help = "name an earlier stage; for an image of that name, rename this stage";
            return error(format!("stage `{from}` cannot take files from itself")).with_help(help);
        }
        error(format!("stage `{from}` must be defined before it is used"))
            .with_help(format!("it begins on line {}: move it up", self.stages[named].line))
    }

    fn unknown_target(&self, target: &str) -> Diagnostic {
        let names: Vec<&str> =
            self.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
        let message = format!("target stage `{target}` could not be found");
        let span = self.stages.last().map_or(0..0, |stage| stage.span.clone());
        let error = Diagnostic::error("unknown-target", span, message);
        let error = match nearest(target, names.iter().copied()) {
            Some(name) => error.with_help(format!("did you mean `{name}`?")),
            None => error,
        };
        if names.is_empty() {
            return error.with_note("no stage of this file has a name");
        }
        error.with_note(format!("the stages are: {}", names.join(", ")))
    }
}
