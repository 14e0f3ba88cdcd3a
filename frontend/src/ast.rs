//! What a Dockerfile says, instruction by instruction: plain data.
//!
//! Nothing here is expanded, looked up or checked against other instructions. Words keep their
//! quotes and variables exactly as written, together with the place they come from, so that
//! expansion can point at it.

mod mount;
mod text;

use std::time::Duration;

use crate::source::{Span, Spanned};
pub use mount::{MountKey, MountOption, OptionList};
pub use text::{Text, TextBuilder};

/// A parsed Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ast {
    /// The `# key=value` lines at the top.
    pub directives: Directives,
    /// The instructions in the order of the file. One that could not be understood is left out and
    /// has its diagnostic instead.
    pub instructions: Vec<Instruction>,
}

/// The parser directives of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// The value of `# syntax=`.
    pub syntax: Option<Text>,
    /// What `# escape=` chose.
    pub escape: Escape,
    /// The value of `# check=`.
    pub check: Option<Text>,
}

/// The character that continues lines and escapes in words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Escape {
    /// `\`, unless the file says otherwise.
    #[default]
    Backslash,
    /// `` ` ``, for Windows paths.
    Backtick,
}

impl Escape {
    /// The character itself.
    pub fn char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// One instruction with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// From the keyword to the end of the last line, heredocs included.
    pub span: Span,
    /// The keyword as typed.
    pub keyword: Text,
    /// The whole instruction on one line: continuations joined, comments dropped, heredoc bodies
    /// left out. This is what titles and history show.
    pub text: Text,
    /// The comment lines directly above, without `#` and surrounding blanks.
    pub comments: Vec<Text>,
    /// Blank lines within the instruction's continuation, which a lint rule dislikes.
    pub blank_lines: Vec<Span>,
    /// What it says.
    pub kind: Kind,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `FROM`
    From(Base),
    /// `ARG`, at least one.
    Arg(Vec<Arg>),
    /// `ENV`
    Env(Pairs),
    /// `RUN`
    Run(Run),
    /// `COPY`
    Copy(CopyFiles),
    /// `ADD`
    Add(AddFiles),
    /// `WORKDIR path`
    Workdir(Text),
    /// `USER user[:group]`
    User(Text),
    /// `CMD`; an empty [`Command::Exec`] for `CMD []`, an empty [`Command::Shell`] for a bare
    /// `CMD`.
    Cmd(Command),
    /// `ENTRYPOINT`; empty as with `CMD`.
    Entrypoint(Command),
    /// `SHELL`, at least one word.
    Shell(Vec<Text>),
    /// `LABEL`
    Label(Pairs),
    /// `EXPOSE`, at least one word.
    Expose(Vec<Text>),
    /// `VOLUME`, at least one word.
    Volume(Vec<Text>),
    /// `STOPSIGNAL`
    Stopsignal(Text),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `ONBUILD`
    Onbuild(Onbuild),
    /// `MAINTAINER`
    Maintainer(Text),
}

/// `FROM [--platform=P] image [AS name]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `--platform`
    pub platform: Option<Text>,
    /// The image or the earlier stage.
    pub image: Text,
    /// The `AS` as typed, where there is a name.
    pub r#as: Option<Text>,
    /// The stage's name as typed; names are compared without regard to case.
    pub name: Option<Text>,
}

/// One `name` or `name=value` of an `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The name, not empty.
    pub name: Text,
    /// What stands behind `=`, possibly empty; none without `=`.
    pub value: Option<Text>,
}

/// The pairs of an `ENV` or `LABEL`, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// How they are written.
    pub form: PairForm,
    /// The pairs in order.
    pub pairs: Vec<Pair>,
}

/// The two ways to write pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairForm {
    /// `key=value ...`
    Assigned,
    /// `key the rest of the line`: one pair.
    Legacy,
}

/// One pair, quotes and variables untouched on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key, not empty.
    pub key: Text,
    /// The value, possibly empty.
    pub value: Text,
}

/// The two forms of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The text as the shell gets it: continuations joined, comment lines dropped.
    Shell(Text),
    /// A JSON array, decoded.
    Exec(Vec<Text>),
}

/// `RUN [flags] command`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The `--mount` flags in order.
    pub mounts: Vec<OptionList>,
    /// `--network`
    pub network: Option<Spanned<RunNetwork>>,
    /// `--security`
    pub security: Option<Spanned<RunSecurity>>,
    /// The values of `--device`.
    pub devices: Vec<Text>,
    /// The command without the flags. See [`Run::form`] for how heredocs change its meaning.
    pub command: Command,
    /// The heredocs of the command's line in order; none in exec form.
    pub heredocs: Vec<Heredoc>,
}

/// `RUN --network`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNetwork {
    /// What the build uses.
    Default,
    /// Loopback only.
    None,
    /// The host's.
    Host,
}

/// `RUN --security`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunSecurity {
    /// Confined as usual.
    Sandbox,
    /// All capabilities, no seccomp.
    Insecure,
}

/// What a `RUN` executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunForm<'a> {
    /// This argument vector.
    Exec(&'a [Text]),
    /// The shell with this text, which includes the heredocs that the shell itself has to read.
    Shell(String),
    /// Nothing but one heredoc: the shell with its content as the text.
    Script(&'a Heredoc),
    /// Nothing but one heredoc whose content begins with `#!`: the content as an executable file.
    Executable(&'a Heredoc),
}

impl Run {
    /// What is to be executed, heredocs taken into account.
    pub fn form(&self) -> RunForm<'_> {
        let text = match &self.command {
            Command::Exec(words) => return RunForm::Exec(words),
            Command::Shell(text) => text,
        };
        match self.heredocs.as_slice() {
            [only, ..] if only.word.as_str() == text.as_str() => only.run_form(),
            heredocs => RunForm::Shell(with_heredocs(text.as_str(), heredocs)),
        }
    }
}

/// Puts heredocs back below the line which names them.
pub(crate) fn with_heredocs(line: &str, heredocs: &[Heredoc]) -> String {
    let bodies = heredocs.iter().map(|doc| format!("\n{}{}", doc.body, doc.name));
    std::iter::once(line.to_owned()).chain(bodies).collect()
}

/// `<<name` and the lines up to `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word on the instruction's line, such as `3<<-"EOF"`.
    pub word: Text,
    /// The name, quotes and escapes removed.
    pub name: String,
    /// Whether variables count in the body.
    pub expansion: HeredocExpansion,
    /// Whether leading tabs count in the body.
    pub tabs: HeredocTabs,
    /// The digits before `<<`.
    pub fd: Option<u32>,
    /// The lines between, exactly as in the file, each with its line end.
    pub body: Text,
}

/// Whether a heredoc's name was quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeredocExpansion {
    /// `<<EOF`: variables are expanded (by the builder for files, by the shell in `RUN`).
    Expand,
    /// `<<"EOF"`: every byte stands for itself.
    Literal,
}

/// Whether a heredoc was written with `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeredocTabs {
    /// `<<EOF`
    Keep,
    /// `<<-EOF`: leading tabs are not part of the content.
    Strip,
}

impl Heredoc {
    /// The body as a file or a script gets it: leading tabs removed if asked for, nothing expanded.
    pub fn content(&self) -> Text {
        match self.tabs {
            HeredocTabs::Keep => self.body.clone(),
            HeredocTabs::Strip => self.body.without_leading_tabs(),
        }
    }

    fn run_form(&self) -> RunForm<'_> {
        if self.body.as_str().starts_with("#!") {
            RunForm::Executable(self)
        } else {
            RunForm::Script(self)
        }
    }
}

/// What `COPY` and `ADD` share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What is copied, at least one, in the order written.
    pub sources: Vec<TransferSource>,
    /// Where to.
    pub dest: Text,
    /// `--chown`
    pub chown: Option<Text>,
    /// `--chmod`
    pub chmod: Option<Text>,
    /// `--link`
    pub link: Option<Spanned<bool>>,
    /// The values of `--exclude`.
    pub excludes: Vec<Text>,
}

/// One thing to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferSource {
    /// A path, a pattern, or for `ADD` a URL.
    Path(Text),
    /// A file named like the heredoc with its content.
    Heredoc(Heredoc),
}

/// `COPY [flags] source... dest`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFiles {
    /// Sources, destination and the common flags.
    pub transfer: Transfer,
    /// `--from`
    pub from: Option<Text>,
    /// `--parents`
    pub parents: Option<Spanned<bool>>,
}

/// `ADD [flags] source... dest`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddFiles {
    /// Sources, destination and the common flags.
    pub transfer: Transfer,
    /// `--checksum`
    pub checksum: Option<Text>,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<Spanned<bool>>,
    /// `--unpack`
    pub unpack: Option<Spanned<bool>>,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`: what the base has is switched off.
    None,
    /// `HEALTHCHECK [flags] CMD command`
    Probe(Probe),
}

/// A health check's command and schedule. A duration that is absent or zero means the base's or the
/// default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `--interval`
    pub interval: Option<Duration>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--start-period`
    pub start_period: Option<Duration>,
    /// `--start-interval`
    pub start_interval: Option<Duration>,
    /// `--retries`
    pub retries: Option<u32>,
    /// The command, not empty.
    pub command: Command,
}

/// `ONBUILD instruction`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The instruction to run in a child build; none if it cannot be told, so that every child
    /// build fails.
    pub trigger: Option<Box<Instruction>>,
    /// Its text as the image config stores it, heredocs included; `parser::parse_trigger` reads it.
    pub stored: String,
}
