//! The parts every instruction has, and the way from them to what the instruction says.

use crate::ast::{Escape, Heredoc, Kind, Text};
use crate::diagnostic::Diagnostic;
use crate::lexer::word;
use crate::source::Span;

use super::flags::{self, Flags};
use super::json::{self, Json};
use super::keyword::Keyword;
use super::{arg, command, from, healthcheck, onbuild, pairs, run, simple, transfer};

/// An instruction's line taken apart.
#[derive(Debug)]
pub(super) struct Statement {
    /// The first word as typed.
    pub word: Text,
    /// The instruction it names.
    pub keyword: Option<Keyword>,
    /// The flags before the arguments.
    pub flags: Flags,
    /// Everything behind the flags, blanks at the ends removed.
    pub args: Text,
    /// The blanks at the end of the line.
    pub blanks: String,
    /// The heredocs which the line announces, once they are read.
    pub heredocs: Vec<Heredoc>,
}

impl Statement {
    /// Takes a line apart.
    pub fn new(line: &Text) -> Self {
        let (word, rest) = word::split_first(line);
        let keyword = Keyword::new(word.as_str());
        let (flags, args) = flags::take(&rest);
        Self { word, keyword, flags, args, blanks: String::new(), heredocs: Vec::new() }
    }

    /// Whether `<<name` means a heredoc here: in `RUN`, `COPY`, `ADD` and triggers of these, unless
    /// in JSON form.
    pub fn can_hold_heredocs(&self) -> bool {
        match self.keyword {
            Some(Keyword::Run | Keyword::Copy | Keyword::Add) => {
                !matches!(json::parse(&self.args), Json::Array(_))
            }
            Some(Keyword::Onbuild) => {
                let trigger = Self::new(&self.args);
                trigger.keyword != Some(Keyword::Onbuild) && trigger.can_hold_heredocs()
            }
            _ => false,
        }
    }
}

/// What the parsers of the instructions share.
pub(super) struct Context<'a> {
    /// The file's escape character.
    pub escape: Escape,
    /// Where findings go.
    pub diagnostics: &'a mut Vec<Diagnostic>,
}

impl Context<'_> {
    /// What an instruction says; none if it cannot be told, which has then been reported.
    pub fn kind(&mut self, statement: Statement, keyword: Keyword) -> Option<Kind> {
        statement.flags.check(keyword, self);
        if statement.flags.are_open() {
            return None;
        }
        match keyword {
            Keyword::Add => transfer::add(statement, self),
            Keyword::Arg => arg::parse(&statement, self),
            Keyword::Cmd => Some(Kind::Cmd(command::parse(&statement.args, keyword, self)?)),
            Keyword::Copy => transfer::copy(statement, self),
            Keyword::Entrypoint => {
                Some(Kind::Entrypoint(command::parse(&statement.args, keyword, self)?))
            }
            Keyword::Env => Some(Kind::Env(pairs::parse(&statement, keyword, self)?)),
            Keyword::Expose => simple::expose(&statement, self),
            Keyword::From => from::parse(statement, self),
            Keyword::Healthcheck => healthcheck::parse(statement, self),
            Keyword::Label => Some(Kind::Label(pairs::parse(&statement, keyword, self)?)),
            Keyword::Maintainer => simple::one(&statement, keyword, self).map(Kind::Maintainer),
            Keyword::Onbuild => onbuild::parse(statement, self),
            Keyword::Run => run::parse(statement, self),
            Keyword::Shell => simple::shell(&statement, self),
            Keyword::Stopsignal => simple::one(&statement, keyword, self).map(Kind::Stopsignal),
            Keyword::User => simple::one(&statement, keyword, self).map(Kind::User),
            Keyword::Volume => simple::volume(&statement, self),
            Keyword::Workdir => simple::one(&statement, keyword, self).map(Kind::Workdir),
        }
    }

    /// Adds a finding.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports that something is missing after the keyword, with the instruction's usage.
    pub fn missing(&mut self, statement: &Statement, keyword: Keyword, what: &str) {
        let span = whole(statement);
        let message = format!("`{}` needs {what}", keyword.name());
        let error = Diagnostic::error("missing-argument", span, message);
        self.report(error.with_help(format!("usage: {}", keyword.usage())));
    }
}

/// From the keyword to the end of the arguments.
pub(super) fn whole(statement: &Statement) -> Span {
    let start = statement.word.span().start;
    start..statement.args.span().end.max(statement.word.span().end)
}

/// Advice for a word that looks like the begin of a comment behind an instruction.
pub(super) const COMMENT_HELP: &str = "a comment needs a line of its own";
