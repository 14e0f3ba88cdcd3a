//! The instructions there are: their names, how they are used and which flags they take.

/// An instruction's keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

/// A flag an instruction takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlagSpec {
    /// The name without the dashes.
    pub name: &'static str,
    /// What it takes.
    pub kind: FlagKind,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagKind {
    /// A value, once.
    Text,
    /// `true`, `false` or nothing, once.
    Switch,
    /// A value, as often as wanted.
    List,
}

const fn text(name: &'static str) -> FlagSpec {
    FlagSpec { name, kind: FlagKind::Text }
}

const fn switch(name: &'static str) -> FlagSpec {
    FlagSpec { name, kind: FlagKind::Switch }
}

const fn list(name: &'static str) -> FlagSpec {
    FlagSpec { name, kind: FlagKind::List }
}

const ADD_FLAGS: &[FlagSpec] = &[
    text("checksum"),
    text("chmod"),
    text("chown"),
    list("exclude"),
    switch("keep-git-dir"),
    switch("link"),
    switch("unpack"),
];
const COPY_FLAGS: &[FlagSpec] = &[
    text("chmod"),
    text("chown"),
    list("exclude"),
    text("from"),
    switch("link"),
    switch("parents"),
];
const FROM_FLAGS: &[FlagSpec] = &[text("platform")];
const HEALTHCHECK_FLAGS: &[FlagSpec] = &[
    text("interval"),
    text("retries"),
    text("start-interval"),
    text("start-period"),
    text("timeout"),
];
const RUN_FLAGS: &[FlagSpec] = &[list("device"), list("mount"), text("network"), text("security")];

impl Keyword {
    /// All of them, by name.
    pub const ALL: [Self; 18] = [
        Self::Add,
        Self::Arg,
        Self::Cmd,
        Self::Copy,
        Self::Entrypoint,
        Self::Env,
        Self::Expose,
        Self::From,
        Self::Healthcheck,
        Self::Label,
        Self::Maintainer,
        Self::Onbuild,
        Self::Run,
        Self::Shell,
        Self::Stopsignal,
        Self::User,
        Self::Volume,
        Self::Workdir,
    ];

    /// The keyword a word is, in any case.
    pub fn new(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keyword| keyword.name().eq_ignore_ascii_case(word))
    }

    /// The name in capitals.
    pub fn name(self) -> &'static str {
        self.usage().split(' ').next().unwrap_or_default()
    }

    /// The shape of the instruction, beginning with its name.
    pub fn usage(self) -> &'static str {
        match self {
            Self::Add => "ADD [FLAGS] SOURCE... DEST",
            Self::Arg => "ARG NAME[=DEFAULT]...",
            Self::Cmd => "CMD [\"PROGRAM\", \"ARGUMENT\"...] or CMD COMMAND",
            Self::Copy => "COPY [FLAGS] SOURCE... DEST",
            Self::Entrypoint => "ENTRYPOINT [\"PROGRAM\", \"ARGUMENT\"...] or ENTRYPOINT COMMAND",
            Self::Env => "ENV NAME=VALUE...",
            Self::Expose => "EXPOSE PORT[/PROTOCOL]...",
            Self::From => "FROM [--platform=PLATFORM] IMAGE [AS NAME]",
            Self::Healthcheck => "HEALTHCHECK [FLAGS] CMD COMMAND or HEALTHCHECK NONE",
            Self::Label => "LABEL KEY=VALUE...",
            Self::Maintainer => "MAINTAINER NAME",
            Self::Onbuild => "ONBUILD INSTRUCTION",
            Self::Run => "RUN [FLAGS] COMMAND",
            Self::Shell => "SHELL [\"PROGRAM\", \"ARGUMENT\"...]",
            Self::Stopsignal => "STOPSIGNAL SIGNAL",
            Self::User => "USER USER[:GROUP]",
            Self::Volume => "VOLUME PATH...",
            Self::Workdir => "WORKDIR PATH",
        }
    }

    /// The flags it takes, by name.
    pub fn flags(self) -> &'static [FlagSpec] {
        match self {
            Self::Add => ADD_FLAGS,
            Self::Copy => COPY_FLAGS,
            Self::From => FROM_FLAGS,
            Self::Healthcheck => HEALTHCHECK_FLAGS,
            Self::Run => RUN_FLAGS,
            _ => &[],
        }
    }

    /// The flag of this name.
    pub fn flag(self, name: &str) -> Option<FlagSpec> {
        self.flags().iter().copied().find(|flag| flag.name == name)
    }
}
