//! A tree as text: one line for each part, with the place it stands at.

use std::fmt::Write;

use rbuild_frontend::ast::{
    AddFiles, Arg, Ast, Base, Command, CopyFiles, Healthcheck, Heredoc, HeredocExpansion,
    HeredocTabs, Instruction, Kind, MountOption, Onbuild, OptionList, PairForm, Pairs, Probe, Run,
    RunForm, Text, Transfer, TransferSource,
};
use rbuild_frontend::source::{Source, Span, Spanned};

/// Prints a whole tree.
pub fn ast(ast: &Ast, source: &Source) -> String {
    let mut printer = Printer { source, out: String::new(), depth: 0 };
    let directives = &ast.directives;
    printer.optional("# syntax", directives.syntax.as_ref());
    if directives.escape.char() != '\\' {
        printer.line(&format!("# escape {}", directives.escape.char()));
    }
    printer.optional("# check", directives.check.as_ref());
    for instruction in &ast.instructions {
        printer.instruction(instruction);
    }
    printer.out
}

struct Printer<'a> {
    source: &'a Source,
    out: String,
    depth: usize,
}

impl Printer<'_> {
    fn instruction(&mut self, instruction: &Instruction) {
        let Instruction { span, keyword, text, comments, blank_lines, kind } = instruction;
        let place = self.place(span);
        self.line(&format!("{keyword} {place}"));
        self.depth += 1;
        if self.source.text().get(text.span()) != Some(text.as_str()) {
            self.line(&format!("joined {:?}", text.as_str()));
        }
        for comment in comments {
            self.text("comment", comment);
        }
        for blank in blank_lines {
            let place = self.place(blank);
            self.line(&format!("blank line {place}"));
        }
        self.kind(kind);
        self.depth -= 1;
    }

    fn kind(&mut self, kind: &Kind) {
        match kind {
            Kind::From(base) => self.base(base),
            Kind::Arg(args) => args.iter().for_each(|arg| self.arg(arg)),
            Kind::Env(pairs) | Kind::Label(pairs) => self.pairs(pairs),
            Kind::Run(run) => self.run(run),
            Kind::Copy(copy) => self.copy(copy),
            Kind::Add(add) => self.add(add),
            Kind::Workdir(text)
            | Kind::User(text)
            | Kind::Stopsignal(text)
            | Kind::Maintainer(text) => self.text("value", text),
            Kind::Cmd(command) | Kind::Entrypoint(command) => self.command(command),
            Kind::Shell(words) | Kind::Expose(words) | Kind::Volume(words) => {
                self.list("word", words);
            }
            Kind::Healthcheck(Healthcheck::None) => self.line("none"),
            Kind::Healthcheck(Healthcheck::Probe(probe)) => self.probe(probe),
            Kind::Onbuild(Onbuild { trigger, stored }) => {
                self.line(&format!("stored {stored:?}"));
                if let Some(trigger) = trigger {
                    self.instruction(trigger);
                }
            }
        }
    }

    fn base(&mut self, base: &Base) {
        self.optional("--platform", base.platform.as_ref());
        self.text("image", &base.image);
        self.optional("name", base.name.as_ref());
    }

    fn arg(&mut self, arg: &Arg) {
        self.text("name", &arg.name);
        self.optional("value", arg.value.as_ref());
    }

    fn pairs(&mut self, pairs: &Pairs) {
        if pairs.form == PairForm::Legacy {
            self.line("legacy form");
        }
        for pair in &pairs.pairs {
            self.text("key", &pair.key);
            self.text("value", &pair.value);
        }
    }

    fn mount(&mut self, mount: &OptionList) {
        self.text("--mount", &mount.text);
        for MountOption { key, value, .. } in &mount.options {
            let value = value.as_ref().map_or(String::new(), |value| format!(" {value:?}"));
            self.line(&format!("  {key:?}{value}"));
        }
    }

    fn run(&mut self, run: &Run) {
        for mount in &run.mounts {
            self.mount(mount);
        }
        self.choice("--network", run.network.as_ref());
        self.choice("--security", run.security.as_ref());
        self.list("--device", &run.devices);
        self.command(&run.command);
        for heredoc in &run.heredocs {
            self.heredoc(heredoc);
        }
        match run.form() {
            RunForm::Shell(script) if !run.heredocs.is_empty() => {
                self.line(&format!("shell gets {script:?}"));
            }
            RunForm::Script(doc) => {
                self.line(&format!("shell gets {:?}", doc.content().as_str()));
            }
            RunForm::Executable(doc) => self.line(&format!("executes a file {:?}", doc.name)),
            RunForm::Shell(_) | RunForm::Exec(_) => {}
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Shell(text) => self.text("shell", text),
            Command::Exec(words) if words.is_empty() => self.line("exec nothing"),
            Command::Exec(words) => self.list("exec", words),
        }
    }

    fn heredoc(&mut self, heredoc: &Heredoc) {
        let expansion = match heredoc.expansion {
            HeredocExpansion::Expand => "",
            HeredocExpansion::Literal => " literal",
        };
        let tabs = match heredoc.tabs {
            HeredocTabs::Keep => "",
            HeredocTabs::Strip => " without tabs",
        };
        let fd = heredoc.fd.map(|fd| format!(" fd {fd}")).unwrap_or_default();
        let place = self.place(&heredoc.word.span());
        self.line(&format!("heredoc {:?}{fd}{expansion}{tabs} {place}", heredoc.name));
        self.depth += 1;
        self.text("body", &heredoc.body);
        self.depth -= 1;
    }

    fn transfer(&mut self, transfer: &Transfer) {
        self.optional("--chown", transfer.chown.as_ref());
        self.optional("--chmod", transfer.chmod.as_ref());
        self.choice("--link", transfer.link.as_ref());
        self.list("--exclude", &transfer.excludes);
        for source in &transfer.sources {
            match source {
                TransferSource::Path(path) => self.text("source", path),
                TransferSource::Heredoc(heredoc) => self.heredoc(heredoc),
            }
        }
        self.text("dest", &transfer.dest);
    }

    fn copy(&mut self, copy: &CopyFiles) {
        self.optional("--from", copy.from.as_ref());
        self.choice("--parents", copy.parents.as_ref());
        self.transfer(&copy.transfer);
    }

    fn add(&mut self, add: &AddFiles) {
        self.optional("--checksum", add.checksum.as_ref());
        self.choice("--keep-git-dir", add.keep_git_dir.as_ref());
        self.choice("--unpack", add.unpack.as_ref());
        self.transfer(&add.transfer);
    }

    fn probe(&mut self, probe: &Probe) {
        let durations = [
            ("--interval", probe.interval),
            ("--timeout", probe.timeout),
            ("--start-period", probe.start_period),
            ("--start-interval", probe.start_interval),
        ];
        for (name, duration) in durations {
            if let Some(duration) = duration {
                self.line(&format!("{name} {duration:?}"));
            }
        }
        if let Some(retries) = probe.retries {
            self.line(&format!("--retries {retries}"));
        }
        self.command(&probe.command);
    }

    fn choice<T: std::fmt::Debug>(&mut self, label: &str, choice: Option<&Spanned<T>>) {
        if let Some(Spanned { value, span }) = choice {
            let place = self.place(span);
            self.line(&format!("{label} {value:?} {place}"));
        }
    }

    fn list(&mut self, label: &str, texts: &[Text]) {
        texts.iter().for_each(|text| self.text(label, text));
    }

    fn optional(&mut self, label: &str, text: Option<&Text>) {
        text.into_iter().for_each(|text| self.text(label, text));
    }

    fn text(&mut self, label: &str, text: &Text) {
        let place = self.place(&text.span());
        self.check_characters(text);
        self.line(&format!("{label} {:?} {place}", text.as_str()));
    }

    /// Every character of a text has a place within the text's own.
    fn check_characters(&self, text: &Text) {
        for (at, ch) in text.as_str().char_indices() {
            let place = text.span_of(at..at + ch.len_utf8());
            assert!(text.span().start <= place.start && place.end <= text.span().end, "{text:?}");
            assert!(self.source.text().get(place.clone()).is_some(), "{place:?} in {text:?}");
        }
    }

    fn place(&self, span: &Span) -> String {
        assert!(self.source.text().get(span.clone()).is_some(), "{span:?} is not in the text");
        let (line, column) = self.source.position(span.start);
        let (end_line, end_column) = self.source.position(span.end);
        match end_line == line {
            true => format!("@{line}:{column}-{end_column}"),
            false => format!("@{line}:{column}-{end_line}:{end_column}"),
        }
    }

    fn line(&mut self, text: &str) {
        writeln!(self.out, "{:indent$}{text}", "", indent = self.depth * 2).unwrap();
    }
}
