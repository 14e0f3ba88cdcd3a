//! Stages: what each `FROM` names, and which of them a build needs.
//!
//! The `ARG`s before the first `FROM` are evaluated here because only `FROM` sees them. A stage can
//! build on an image whose config nobody has read yet; [`StageGraph::bases`] says which, and is asked
//! again when more is known, because an image's `ONBUILD` triggers can name further images.

pub(crate) mod lookup;
pub(crate) mod reach;
pub(crate) mod scope;
pub(crate) mod unsupported;

use std::collections::{BTreeMap, BTreeSet};

use rbuild_cache::Digest;
use rbuild_solver::op::Platform;

use crate::ast::{Ast, Base, Escape, Instruction, Kind, Text};
use crate::config::ImageConfig;
use crate::diagnostic::Diagnostic;
use crate::expand::{Expanded, Style};
use crate::options::{NamedContext, Options, familiar};
use crate::parser::suggest::nearest;
use crate::scope::{Fallible, Scope, expand};
use crate::source::{Source, Span};

/// The stages of a file, with the one that is asked for.
#[derive(Debug, Clone)]
pub struct StageGraph {
    pub(crate) escape: Escape,
    /// What `FROM` sees, and what a bare `ARG` in a stage takes its value from.
    pub(crate) globals: Scope,
    /// The names that `ARG`s before the first `FROM` declare.
    pub(crate) declared: BTreeSet<String>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) target: usize,
    /// The stages that are wanted, with everything they need: the target and what is built besides
    /// it, or all of them.
    pub(crate) wanted: Vec<usize>,
    /// What is built besides the target.
    pub(crate) also: Vec<usize>,
    contexts: BTreeMap<String, NamedContext>,
    platform: Platform,
}

/// One `FROM` and what follows it.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// Lower case.
    pub(crate) name: Option<String>,
    pub(crate) base: StageBase,
    /// `--platform`, or the platform to build for.
    pub(crate) platform: Platform,
    /// Variables in the name of its base that have no value.
    pub(crate) unset: BTreeSet<String>,
    pub(crate) instructions: Vec<Instruction>,
    /// A named context stands for it, and nothing of it is built.
    pub(crate) replaced: bool,
    /// The `FROM`.
    pub(crate) span: Span,
    /// The line of the `FROM`, counted from 1.
    pub(crate) line: usize,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageBase {
    /// Nothing.
    Scratch,
    /// The result of an earlier stage.
    Stage(usize),
    /// An image, as the user wrote it.
    Image(String),
    /// The files of a named context.
    Context(String),
}

/// An image whose digest and config have to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRequest {
    /// As the user wrote it, variables expanded.
    pub reference: String,
    /// For which platform.
    pub platform: Platform,
    /// Where the file asks for it.
    pub span: Span,
}

/// An image that was looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedBase {
    /// Canonical: `docker.io/library/busybox:latest`.
    pub reference: String,
    /// The digest of the manifest for the platform that was asked for.
    pub manifest: Digest,
    /// Its config.
    pub config: ImageConfig,
}

/// Images that were looked up, by reference and platform as they were requested.
pub type Bases = BTreeMap<(String, Platform), ResolvedBase>;

/// Finds the stages of a file and the one to build.
pub fn stages(
    ast: &Ast,
    source: &Source,
    options: &Options,
) -> Result<StageGraph, Vec<Diagnostic>> {
    let (graph, diagnostics) = stages_with_errors(ast, source, options);
    if diagnostics.is_empty() { Ok(graph) } else { Err(diagnostics) }
}

/// The same for a file that need not be built: with what is wrong come the stages as far as they can
/// be told, none of them wanted.
pub fn stages_with_errors(
    ast: &Ast,
    source: &Source,
    options: &Options,
) -> (StageGraph, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    diagnostics.extend(unsupported::syntax(ast.directives.syntax.as_ref(), options));
    let is_from = |instruction: &&Instruction| matches!(instruction.kind, Kind::From(_));
    let first = ast.instructions.iter().position(|instruction| is_from(&instruction));
    let (before, after) = ast.instructions.split_at(first.unwrap_or(ast.instructions.len()));

    let escape = ast.directives.escape;
    let mut names = after.iter().filter_map(|instruction| match &instruction.kind {
        Kind::From(base) => Some(base.name.as_ref()),
        _ => None,
    });
    let last_name = names.next_back().flatten().map(|name| name.as_str().to_lowercase());
    let globals = scope::globals(before, escape, options, last_name, &mut diagnostics);
    let mut graph = StageGraph {
        escape,
        globals: globals.values,
        declared: globals.declared,
        stages: Vec::new(),
        target: 0,
        wanted: Vec::new(),
        also: Vec::new(),
        contexts: options.contexts.clone(),
        platform: options.platform.clone(),
    };
    diagnostics.extend(graph.add_stages(after, source));
    diagnostics.extend(graph.add_targets(options));
    if !diagnostics.is_empty() {
        graph.wanted.clear();
    }
    (graph, diagnostics)
}

impl StageGraph {
    /// The same with all stages wanted, not only the target: for looking at a file as a whole.
    pub fn with_all_stages(mut self) -> StageGraph {
        self.wanted = (0..self.stages.len()).collect();
        self
    }

    /// What still has to be looked up before [`crate::lower::lower`] can work. Empty when nothing
    /// is missing; until then there can be more than is named now.
    pub fn bases(&self, known: &Bases) -> Result<Vec<BaseRequest>, Vec<Diagnostic>> {
        Ok(self.reach(known)?.missing)
    }

    /// The same for a file that need not be built, with what is wrong.
    pub fn bases_with_errors(&self, known: &Bases) -> (Vec<BaseRequest>, Vec<Diagnostic>) {
        let (reach, diagnostics) = self.reach_with_errors(known);
        (reach.missing, diagnostics)
    }

    /// The platform that a stage is built for: that of its base where the base is a stage.
    pub(crate) fn platform_of(&self, mut stage: usize) -> &Platform {
        while let StageBase::Stage(base) = self.stages[stage].base {
            stage = base;
        }
        &self.stages[stage].platform
    }

    /// What a person knows a stage by.
    pub(crate) fn display_name(&self, stage: usize) -> String {
        self.stages[stage].name.clone().unwrap_or_else(|| format!("stage-{stage}"))
    }

    /// Whether a named context stands for this image: what its address is like is not for the file
    /// to say.
    pub(crate) fn is_named_image(&self, reference: &str) -> bool {
        let is_it = |context: &NamedContext| matches!(context, NamedContext::Image(name) if name == reference);
        self.contexts.values().any(is_it)
    }

    fn add_stages(&mut self, instructions: &[Instruction], source: &Source) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for instruction in instructions {
            if let Kind::From(base) = &instruction.kind {
                let stage = self.stage(base, instruction, source).unwrap_or_else(|diagnostic| {
                    diagnostics.push(*diagnostic);
                    self.broken_stage(base, instruction, source)
                });
                self.stages.push(stage);
            } else if let Some(stage) = self.stages.last_mut().filter(|stage| !stage.replaced) {
                stage.instructions.push(instruction.clone());
            }
        }
        diagnostics
    }

    fn add_targets(&mut self, options: &Options) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        match self.find_target(options.target.as_deref()) {
            Ok(target) => (self.target, self.wanted) = (target, vec![target]),
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
        for name in &options.also {
            match self.find_target(Some(name)) {
                Ok(stage) => {
                    self.also.push(stage);
                    self.wanted.push(stage);
                }
                Err(diagnostic) => diagnostics.push(*diagnostic),
            }
        }
        diagnostics
    }

    fn stage(&self, from: &Base, instruction: &Instruction, source: &Source) -> Fallible<Stage> {
        let mut stage = self.broken_stage(from, instruction, source);
        if let Some(context) = stage.name.as_deref().and_then(|name| self.named_context(name)) {
            stage.base = context;
            stage.replaced = true;
            return Ok(stage);
        }
        let style = Style::word(self.escape.char());
        let image = expand(style, &from.image, &self.globals)?;
        if let Some(message) = incomplete(&image.text, &from.image) {
            let error = Diagnostic::error("empty-base", from.image.span(), message);
            return Err(Box::new(self.with_unset(error, &image.unset)));
        }
        stage.base = self.base(&image.text);
        stage.unset = image.unset;
        if let Some(text) = &from.platform {
            let platform = expand(style, text, &self.globals)?;
            stage.platform = Platform::parse(&platform.text)
                .ok_or_else(|| self.bad_platform(text, &platform))?;
        }
        Ok(stage)
    }

    /// A stage of which only the place is known; stands in for one with an error so that the others
    /// keep their numbers.
    fn broken_stage(&self, from: &Base, instruction: &Instruction, source: &Source) -> Stage {
        Stage {
            name: from.name.as_ref().map(|name| name.as_str().to_lowercase()),
            base: StageBase::Scratch,
            platform: self.platform.clone(),
            unset: BTreeSet::new(),
            instructions: Vec::new(),
            replaced: false,
            span: instruction.span.clone(),
            line: source.position(instruction.span.start).0,
        }
    }

    /// An earlier stage hides an image of the same name, even `scratch`.
    fn base(&self, name: &str) -> StageBase {
        match self.last_named(name, self.stages.len()) {
            Some(stage) => StageBase::Stage(stage),
            None if name == "scratch" => StageBase::Scratch,
            None => self.named_context(name).unwrap_or_else(|| StageBase::Image(name.to_owned())),
        }
    }

    /// What `--build-context` says that a name stands for.
    pub(crate) fn named_context(&self, name: &str) -> Option<StageBase> {
        let name = familiar(name);
        Some(match self.contexts.get(&name)? {
            NamedContext::Image(reference) => StageBase::Image(reference.clone()),
            NamedContext::Files => StageBase::Context(name),
        })
    }

    fn bad_platform(&self, text: &Text, platform: &Expanded) -> Diagnostic {
        let error = |message| Diagnostic::error("bad-platform", text.span(), message);
        if platform.text.is_empty() {
            let error = error(format!("`{text}` names no platform: it is empty"));
            return self.with_unset(error, &platform.unset);
        }
        error(format!("`{}` is not a platform", platform.text))
            .with_help("write `os/arch[/variant]`, such as `linux/amd64`")
    }

    /// Says which variable made a value empty.
    fn with_unset(&self, error: Diagnostic, unset: &BTreeSet<String>) -> Diagnostic {
        let Some(name) = unset.first() else { return error };
        if self.declared.contains(name) {
            return error.with_help(format!(
                "`{name}` has no value: give `--build-arg {name}=VALUE` or write `ARG {name}=VALUE`"
            ));
        }
        let known = self.globals.pairs().iter().map(|(known, _)| known.as_str());
        error.with_help(match nearest(name, known) {
            Some(known) => format!("did you mean `${known}`?"),
            None => format!("declare it before the first FROM: `ARG {name}=VALUE`"),
        })
    }
}
/// What is wrong with a reference in which a variable left a hole.
fn incomplete(expanded: &str, written: &Text) -> Option<String> {
    if expanded.is_empty() {
        return Some(format!("`{written}` names no image: it is empty"));
    }
    let has_variable = expanded != written.as_str();
    let has_hole = expanded.ends_with([':', '@', '/']) || expanded.starts_with([':', '@', '/']);
    (has_variable && has_hole)
        .then(|| format!("`{written}` names no image: it becomes `{expanded}`"))
}
