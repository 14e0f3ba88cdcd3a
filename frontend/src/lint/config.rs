//! `# check=skip=A,B;error=true;experimental=C`: which rules apply, for a file or one instruction.

use std::collections::BTreeSet;

use crate::ast::{Ast, Text};
use crate::diagnostic::Diagnostic;
use crate::options::Options;
use crate::parser::suggest::nearest;

use super::{Facts, Found, Rule, Status};

/// The build argument that takes the place of the file's line.
pub(crate) const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What the line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    skip: Names,
    experimental: Names,
    /// What findings mean for a build.
    pub on_warning: OnWarning,
}

/// What findings mean for a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnWarning {
    /// They are shown.
    #[default]
    Continue,
    /// They are shown, and nothing is built.
    Fail,
}

/// Rules that are named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    All,
    These(BTreeSet<String>),
}

impl Config {
    /// What applies to a whole file.
    pub(super) fn of(ast: &Ast, options: &Options) -> Result<Config, Vec<Diagnostic>> {
        let given = options.build_args.get(ARGUMENT);
        let text = match (given, &ast.directives.check) {
            (Some(given), _) => Text::verbatim(given, 0),
            (None, Some(text)) => text.clone(),
            (None, None) => return Ok(Config::default()),
        };
        // An argument of the command line has no place in the file.
        let place = |diagnostic: Diagnostic| match given {
            Some(_) => {
                Diagnostic { span: 0..0, ..diagnostic }.with_note(format!("in `{ARGUMENT}`"))
            }
            None => diagnostic,
        };
        Config::parse(&text).map_err(|diagnostic| vec![place(*diagnostic)])
    }

    /// Reads `key=value;key=value`.
    fn parse(text: &Text) -> Result<Config, Box<Diagnostic>> {
        let mut config = Config::default();
        let mut at = 0;
        for part in text.as_str().split(';') {
            let option = text.slice(at..at + part.len()).trimmed();
            at += part.len() + 1;
            if !option.is_empty() {
                config.option(&option)?;
            }
        }
        Ok(config)
    }

    fn option(&mut self, option: &Text) -> Result<(), Box<Diagnostic>> {
        let (key, value) = option.as_str().split_once('=').unwrap_or((option.as_str(), ""));
        match (key.trim(), value.trim()) {
            ("skip", value) => self.skip = Names::parse(value),
            ("experimental", value) => self.experimental = Names::parse(value),
            ("error", "1" | "t" | "T" | "true" | "TRUE" | "True") => {
                self.on_warning = OnWarning::Fail;
            }
            ("error", "0" | "f" | "F" | "false" | "FALSE" | "False") => {
                self.on_warning = OnWarning::Continue;
            }
            ("error", value) => {
                let message = format!("`error` cannot be `{value}`");
                let error = Diagnostic::error("bad-check-option", option.span(), message);
                return Err(Box::new(error.with_help("it is `true` or `false`")));
            }
            (key, _) => return Err(Box::new(unknown_option(key, option))),
        }
        Ok(())
    }

    /// What applies to one instruction: a comment above it can say more than the file's line.
    pub(super) fn for_instruction(&self, facts: &Facts<'_>, found: &Found) -> Config {
        let instruction = facts.instruction_at(&found.instruction);
        let comments = instruction.iter().flat_map(|instruction| &instruction.comments);
        let mut config = self.clone();
        for own in comments.filter_map(|comment| Config::parse(&options_of(comment)?).ok()) {
            config.skip.add(own.skip);
            config.experimental.add(own.experimental);
        }
        config
    }

    /// Whether a rule applies.
    pub(super) fn wants(&self, rule: &Rule) -> bool {
        match rule.status {
            Status::Stable => !self.skip.contains(rule.name),
            Status::Experimental => self.experimental.contains(rule.name),
        }
    }
}

/// What follows `check=` in a comment; none if it is an ordinary one.
pub(super) fn options_of(comment: &Text) -> Option<Text> {
    let (key, _) = comment.as_str().split_once('=')?;
    let is_check = key.trim().eq_ignore_ascii_case("check");
    is_check.then(|| comment.slice(key.len() + 1..comment.as_str().len()).trimmed())
}

fn unknown_option(key: &str, option: &Text) -> Diagnostic {
    let message = format!("`check` has no option `{key}`");
    let error = Diagnostic::error("bad-check-option", option.span(), message);
    error.with_help(match nearest(key, ["skip", "error", "experimental"].into_iter()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "its options are `skip`, `error` and `experimental`".to_owned(),
    })
}

impl Names {
    /// `all`, or names with commas in between.
    fn parse(text: &str) -> Names {
        match text {
            "all" => Names::All,
            names => Names::These(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }

    fn add(&mut self, more: Names) {
        match (self, more) {
            (Names::All, _) => {}
            (these, Names::All) => *these = Names::All,
            (Names::These(names), Names::These(more)) => names.extend(more),
        }
    }

    fn contains(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::These(names) => names.contains(name),
        }
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::These(BTreeSet::new())
    }
}
