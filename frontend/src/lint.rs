//! The rules: what works, but is better written otherwise.
//!
//! One function per rule, one table that lists them under the names that BuildKit gives them
//! (<https://docs.docker.com/reference/build-checks/>). Rules look at data: the tree, the stages,
//! the images that were looked up, and what the ignore file hides. None of them fails a build unless
//! the file asks for it; how findings are shown belongs to the builder.

mod casing;
mod config;
mod facts;
mod files;
mod form;
mod image_name;
mod instructions;
mod platforms;
mod secrets;
mod stages;
mod variables;

use crate::ast::Text;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

pub(crate) use config::ARGUMENT as CHECK_ARGUMENT;
use config::Config;
pub use config::OnWarning;
pub use facts::Facts;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// The name, as it is skipped by: `StageNameCasing`.
    pub name: &'static str,
    /// What it asks for, in one sentence.
    pub what: &'static str,
    /// What to do about a finding.
    pub help: &'static str,
    /// Whether it has to be asked for.
    pub status: Status,
    find: fn(&Facts<'_>) -> Vec<Found>,
}

/// Whether a rule has to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It applies unless it is skipped.
    Stable,
    /// It applies if `experimental=` names it, and cannot be skipped then.
    Experimental,
}

/// What a rule found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// What there is to say; its code is the rule's name.
    pub diagnostic: Diagnostic,
    /// The instruction, or the lines of it that the rule is about.
    pub lines: Span,
}

/// A finding before it is known whether anybody wants it.
#[derive(Debug)]
struct Found {
    /// The instruction of the file, whose comments can skip the rule.
    instruction: Span,
    lines: Span,
    span: Span,
    message: String,
    help: Option<String>,
}

/// What a file's findings come to.
#[derive(Debug, Clone)]
pub struct Findings {
    /// All of them, in the order of the file.
    pub findings: Vec<Finding>,
    /// Whether the file wants a build to fail because of them.
    pub on_warning: OnWarning,
}

/// All rules, by name.
pub static RULES: [Rule; 22] = [
    Rule {
        name: "ConsistentInstructionCasing",
        what: "all instructions of a file are written in the same case",
        help: "write it like most of the others",
        status: Status::Stable,
        find: casing::consistent_instruction_casing,
    },
    Rule {
        name: "CopyIgnoredFile",
        what: "what is copied is not hidden by the ignore file",
        help: "correct the path, or take it out of the ignore file",
        status: Status::Stable,
        find: files::copy_ignored_file,
    },
    Rule {
        name: "DuplicateStageName",
        what: "every stage has a name of its own",
        help: "give one of the stages another name",
        status: Status::Stable,
        find: stages::duplicate_stage_name,
    },
    Rule {
        name: "ExposeInvalidFormat",
        what: "EXPOSE names ports of the container only",
        help: "leave out the address and the host's port: they are given when a container is started",
        status: Status::Stable,
        find: instructions::expose_invalid_format,
    },
    Rule {
        name: "ExposeProtoCasing",
        what: "protocols are written in lower case",
        help: "write the protocol in lower case",
        status: Status::Stable,
        find: instructions::expose_proto_casing,
    },
    Rule {
        name: "FromAsCasing",
        what: "`FROM` and `AS` are written in the same case",
        help: "write both in the same case",
        status: Status::Stable,
        find: casing::from_as_casing,
    },
    Rule {
        name: "FromPlatformFlagConstDisallowed",
        what: "the platform of a base is not a constant",
        help: "use `$BUILDPLATFORM` or another variable, or put the architecture into the stage's name",
        status: Status::Stable,
        find: platforms::from_platform_flag_const_disallowed,
    },
    Rule {
        name: "InvalidBaseImagePlatform",
        what: "a base is for the platform it is used for",
        help: "use a base that has a variant for this platform, or build for the base's platform",
        status: Status::Stable,
        find: platforms::invalid_base_image_platform,
    },
    Rule {
        name: "InvalidDefaultArgInFrom",
        what: "every base has a valid name without any `--build-arg`",
        help: "give the ARG a default, or write `${NAME:-default}`",
        status: Status::Stable,
        find: variables::invalid_default_arg_in_from,
    },
    Rule {
        name: "InvalidDefinitionDescription",
        what: "a comment right above an ARG or a stage describes it by its name",
        help: "put an empty line below a comment that describes something else",
        status: Status::Experimental,
        find: form::invalid_definition_description,
    },
    Rule {
        name: "JSONArgsRecommended",
        what: "CMD and ENTRYPOINT are JSON arrays, so that the program gets its signals",
        help: "write a JSON array, `[\"program\", \"argument\"]`; where a shell is wanted, say so with SHELL",
        status: Status::Stable,
        find: form::json_args_recommended,
    },
    Rule {
        name: "LegacyKeyValueFormat",
        what: "keys and values are joined by `=`",
        help: "write `KEY=VALUE`, in quotes where the value has blanks",
        status: Status::Stable,
        find: form::legacy_key_value_format,
    },
    Rule {
        name: "MaintainerDeprecated",
        what: "MAINTAINER is not used any more",
        help: "write `LABEL org.opencontainers.image.authors=\"...\"`",
        status: Status::Stable,
        find: form::maintainer_deprecated,
    },
    Rule {
        name: "MultipleInstructionsDisallowed",
        what: "CMD, ENTRYPOINT and HEALTHCHECK stand once in a stage",
        help: "remove it: only the last one counts",
        status: Status::Stable,
        find: instructions::multiple_instructions_disallowed,
    },
    Rule {
        name: "NoEmptyContinuation",
        what: "no empty line follows a continuation",
        help: "remove the empty lines, or make comments of them",
        status: Status::Stable,
        find: form::no_empty_continuation,
    },
    Rule {
        name: "RedundantTargetPlatform",
        what: "the platform of a base is not given if it is the target's",
        help: "leave the flag out: this is the default",
        status: Status::Stable,
        find: platforms::redundant_target_platform,
    },
    Rule {
        name: "ReservedStageName",
        what: "no stage is called `scratch` or `context`",
        help: "give the stage another name",
        status: Status::Stable,
        find: stages::reserved_stage_name,
    },
    Rule {
        name: "SecretsUsedInArgOrEnv",
        what: "secrets are not passed in variables, which images and their history keep",
        help: "mount the secret where it is needed: `RUN --mount=type=secret,id=NAME`",
        status: Status::Stable,
        find: secrets::secrets_used_in_arg_or_env,
    },
    Rule {
        name: "StageNameCasing",
        what: "names of stages are written in lower case",
        help: "write the name in lower case",
        status: Status::Stable,
        find: stages::stage_name_casing,
    },
    Rule {
        name: "UndefinedArgInFrom",
        what: "FROM uses arguments that are declared before the first FROM",
        help: "declare it before the first FROM",
        status: Status::Stable,
        find: variables::undefined_arg_in_from,
    },
    Rule {
        name: "UndefinedVar",
        what: "variables are defined before they are used",
        help: "define it with ARG or ENV in this stage",
        status: Status::Stable,
        find: variables::undefined_var,
    },
    Rule {
        name: "WorkdirRelativePath",
        what: "the first WORKDIR of a build is absolute",
        help: "begin the path with `/`: a base may change its working directory",
        status: Status::Stable,
        find: instructions::workdir_relative_path,
    },
];

/// Applies all rules that the file, or the build argument that beats it, does not skip.
///
/// The errors say what is wrong with the `# check` line.
pub fn lint(facts: &Facts<'_>) -> Result<Findings, Vec<Diagnostic>> {
    let config = Config::of(facts.ast, facts.options)?;
    let mut findings = Vec::new();
    for rule in &RULES {
        let found = (rule.find)(facts).into_iter();
        let wanted = found.filter(|found| config.for_instruction(facts, found).wants(rule));
        findings.extend(wanted.map(|found| Finding::new(rule, found)));
    }
    findings.sort_by_key(|finding| (finding.lines.start, finding.diagnostic.span.start));
    Ok(Findings { findings, on_warning: config.on_warning })
}

impl Finding {
    fn new(rule: &'static Rule, found: Found) -> Finding {
        let help = found.help.unwrap_or_else(|| rule.help.to_owned());
        let diagnostic = Diagnostic::warning(rule.name, found.span, found.message).with_help(help);
        Finding { rule, diagnostic, lines: found.lines }
    }
}

impl Found {
    /// Something about a place in an instruction of the file.
    fn at(instruction: Span, span: Span, message: impl Into<String>) -> Found {
        let lines = instruction.clone();
        Found { instruction, lines, span, message: message.into(), help: None }
    }

    /// Something about a piece of an instruction of the file.
    fn in_text(instruction: &Span, text: &Text, message: impl Into<String>) -> Found {
        Found::at(instruction.clone(), text.span(), message)
    }

    /// The same with advice of its own.
    fn with_help(mut self, help: impl Into<String>) -> Found {
        self.help = Some(help.into());
        self
    }
}

#[cfg(test)]
mod tests;
