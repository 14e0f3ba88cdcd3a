//! What a file offers to whoever builds it: its targets, and what one of them takes.
//!
//! `# name text` right above an `ARG` or `FROM` describes it. Nothing is looked up: triggers of base
//! images are not part of an outline.

use crate::ast::{Arg, Ast, Instruction, Kind, MountKey, OptionList, Text};
use crate::expand::Style;
use crate::options::Options;
use crate::replay::{Visit, replay};
use crate::scope::{Scope, expand};
use crate::source::Span;
use crate::stage::scope::is_predefined;
use crate::stage::{Bases, StageGraph};

/// One stage, as it can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: Option<String>,
    /// What the comment above it says.
    pub description: Option<String>,
    /// What it starts from, as written.
    pub base: String,
    /// `--platform`, as written.
    pub platform: Option<String>,
    /// Whether it is built if no target is named.
    pub is_default: bool,
    /// The `FROM`.
    pub span: Span,
}

/// What the target takes, each list in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The name of the stage.
    pub name: Option<String>,
    /// What the comment above it says.
    pub description: Option<String>,
    /// The arguments that its stages declare or use.
    pub args: Vec<Argument>,
    /// The secrets that its steps mount.
    pub secrets: Vec<Mounted>,
    /// The agents that its steps mount.
    pub ssh: Vec<Mounted>,
    /// The ids of the caches that its steps mount.
    pub caches: Vec<Mounted>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is: what was given, or the default.
    pub value: Option<String>,
    /// What the comment above it says.
    pub description: Option<String>,
    /// The `ARG` that gives it its value.
    pub span: Span,
}

/// Something that a `RUN --mount` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Its id.
    pub name: String,
    /// Whether the step fails without it.
    pub required: bool,
    /// The `RUN`.
    pub span: Span,
}

/// The stages of a file.
pub fn targets(ast: &Ast) -> Vec<Target> {
    let froms = ast.instructions.iter().filter_map(|instruction| match &instruction.kind {
        Kind::From(base) => Some((instruction, base)),
        _ => None,
    });
    let target = |(instruction, base): (&Instruction, &crate::ast::Base)| Target {
        name: base.name.as_ref().map(Text::to_string),
        description: base.name.as_ref().and_then(|name| description(instruction, name.as_str())),
        base: base.image.to_string(),
        platform: base.platform.as_ref().map(Text::to_string),
        is_default: false,
        span: instruction.span.clone(),
    };
    let mut targets: Vec<Target> = froms.map(target).collect();
    if let Some(last) = targets.last_mut() {
        last.is_default = true;
    }
    targets
}

/// What the wanted stages and everything they need take. Whether they can be built is not asked.
pub fn outline(ast: &Ast, stages: &StageGraph, options: &Options) -> Outline {
    let bases = Bases::new();
    let (reach, _) = stages.reach_with_errors(&bases);
    let stage = &stages.stages[stages.target];
    let from = ast.instructions.iter().find(|instruction| instruction.span == stage.span);
    let name = stage.name.clone();
    let description = name.as_ref().and_then(|name| description(from?, name));
    let mut collector = Collector {
        before: before_stages(ast),
        stages,
        options,
        outline: Outline { name, description, ..Outline::default() },
    };
    for (from, base) in ast.instructions.iter().filter_map(|instruction| match &instruction.kind {
        Kind::From(base) => Some((instruction, base)),
        _ => None,
    }) {
        if reach.stages.keys().any(|index| stages.stages[*index].span == from.span) {
            let texts = [Some(&base.image), base.platform.as_ref()];
            texts.into_iter().flatten().for_each(|text| collector.used_globally(text));
        }
    }
    for visit in replay(stages, &reach, &bases, options) {
        collector.visit(&visit);
    }
    let Outline { args, secrets, ssh, caches, .. } = &mut collector.outline;
    args.sort_by_key(|arg| arg.span.start);
    [secrets, ssh, caches].into_iter().for_each(|list| list.sort_by_key(|it| it.span.start));
    collector.outline
}

struct Collector<'a> {
    /// The instructions before the first `FROM`.
    before: &'a [Instruction],
    stages: &'a StageGraph,
    options: &'a Options,
    outline: Outline,
}

impl Collector<'_> {
    /// The global arguments in a text, and in their defaults.
    fn used_globally(&mut self, text: &Text) {
        let style = Style::word(self.stages.escape.char());
        let Ok(word) = expand(style, text, &self.stages.globals) else { return };
        word.used.union(&word.unset).for_each(|name| self.global(name));
    }

    fn global(&mut self, name: &str) {
        let declared = self.before.iter().rev().find_map(|instruction| match &instruction.kind {
            Kind::Arg(args) => {
                args.iter().find(|arg| arg.name == name).map(|arg| (instruction, arg))
            }
            _ => None,
        });
        let Some((instruction, arg)) = declared else { return };
        let value = crate::expand::Variables::get(&self.stages.globals, name);
        if self.add(instruction, arg, value.map(str::to_owned)) {
            arg.value.iter().for_each(|default| self.used_globally(default));
        }
    }

    fn visit(&mut self, visit: &Visit) {
        let instruction = &visit.step.instruction;
        match &instruction.kind {
            Kind::Arg(args) => {
                let mut state = visit.before.clone();
                for arg in args {
                    let name = arg.name.as_str();
                    state.arg(arg, self.stages, self.options);
                    let is_global = self.stages.declared.contains(name);
                    match &arg.value {
                        None if is_global => self.global(name),
                        None if is_predefined(name) => {}
                        _ => {
                            let value = crate::expand::Variables::get(&state.variables, name);
                            let value = value.map(str::to_owned);
                            self.add(instruction, arg, value);
                        }
                    }
                }
            }
            Kind::Run(run) => {
                for mount in &run.mounts {
                    self.mount(mount, &visit.before.variables, visit.step.span());
                }
            }
            _ => {}
        }
    }

    /// Whether it was not there yet.
    fn add(&mut self, instruction: &Instruction, arg: &Arg, value: Option<String>) -> bool {
        let span = instruction.span.clone();
        let is_known = |known: &Argument| known.name == arg.name.as_str() && known.span == span;
        if self.outline.args.iter().any(is_known) {
            return false;
        }
        let name = arg.name.to_string();
        let description = description(instruction, &name);
        self.outline.args.push(Argument { name, value, description, span });
        true
    }

    fn mount(&mut self, mount: &OptionList, variables: &Scope, span: Span) {
        let style = Style::word(self.stages.escape.char());
        let get = |key| {
            let text = mount.get(key)?.value.as_ref()?.as_str();
            let value = style.expand(text, variables);
            Some(value.map_or_else(|_| text.to_owned(), |value| value.text))
        };
        let required = mount.get(MountKey::Required).is_some_and(|option| {
            option.value.as_ref().is_none_or(|value| value.as_str().eq_ignore_ascii_case("true"))
        });
        let target = get(MountKey::Target);
        let id = get(MountKey::Id);
        let file_name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let (list, name) = match get(MountKey::Type).as_deref() {
            Some("secret") => {
                let id = id.or_else(|| get(MountKey::Source));
                (&mut self.outline.secrets, id.or_else(|| target.as_ref().map(file_name)))
            }
            Some("ssh") => {
                (&mut self.outline.ssh, Some(id.unwrap_or_else(|| "default".to_owned())))
            }
            Some("cache") => (&mut self.outline.caches, id.or(target)),
            _ => return,
        };
        let Some(name) = name else { return };
        match list.iter_mut().find(|known| known.name == name) {
            Some(known) => known.required |= required,
            None => list.push(Mounted { name, required, span }),
        }
    }
}

fn before_stages(ast: &Ast) -> &[Instruction] {
    let is_from = |instruction: &Instruction| matches!(instruction.kind, Kind::From(_));
    let first = ast.instructions.iter().position(is_from).unwrap_or(ast.instructions.len());
    &ast.instructions[..first]
}

/// The text behind the name, in a comment line above.
fn description(instruction: &Instruction, name: &str) -> Option<String> {
    let text = |comment: &Text| {
        let rest = comment.as_str().strip_prefix(name)?.strip_prefix(' ')?;
        Some(rest.trim().to_owned())
    };
    instruction.comments.iter().find_map(text)
}
