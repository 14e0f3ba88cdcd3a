//! Instructions that only change how a container of the image runs: `CMD`, `ENTRYPOINT`, `SHELL`,
//! `VOLUME`, `STOPSIGNAL`, `HEALTHCHECK` and `MAINTAINER`.

use std::time::Duration;

use crate::ast::{Command, Healthcheck as Check, Probe, Text};
use crate::config::{Healthcheck, Layer};
use crate::diagnostic::Diagnostic;
use crate::scope::Fallible;

use super::stage::{CmdFrom, StageLowering};
use super::{gotext, signal};

impl StageLowering<'_, '_> {
    pub(super) fn cmd(&mut self, command: &Command) -> Fallible<()> {
        let args = self.command(command);
        self.record(format!("CMD {}", gotext::quoted_list(&args)));
        let runtime = &mut self.state.config.config;
        runtime.cmd = args;
        runtime.args_escaped = true;
        self.state.cmd = CmdFrom::Stage;
        Ok(())
    }

    /// A `CMD` of the base was meant for the base's entry point.
    pub(super) fn entrypoint(&mut self, command: &Command) -> Fallible<()> {
        let args = self.command(command);
        self.record(format!("ENTRYPOINT {}", gotext::quoted_list(&args)));
        let runtime = &mut self.state.config.config;
        runtime.entrypoint = args;
        if self.state.cmd == CmdFrom::Base {
            runtime.cmd.clear();
        }
        Ok(())
    }

    pub(super) fn shell(&mut self, words: &[Text]) -> Fallible<()> {
        let words: Vec<String> = words.iter().map(Text::to_string).collect();
        self.record(format!("SHELL {}", gotext::list(&words)));
        self.state.config.config.shell = words;
        Ok(())
    }

    pub(super) fn volume(&mut self, paths: &[Text]) -> Fallible<()> {
        let mut volumes = Vec::new();
        for path in paths {
            let volume = self.word(&path.trimmed())?;
            if volume.is_empty() {
                let error = Diagnostic::error("empty-path", path.span(), "`VOLUME` needs a path");
                return Err(Box::new(error.with_help(format!("`{path}` stands for nothing here"))));
            }
            volumes.push(volume);
        }
        self.record(format!("VOLUME {}", gotext::list(&volumes)));
        self.state.config.config.volumes.extend(volumes);
        Ok(())
    }

    pub(super) fn stop_signal(&mut self, text: &Text) -> Fallible<()> {
        let name = self.word(text)?;
        if !signal::exists(&name) {
            let message = format!("`{name}` is not a signal");
            let error = Diagnostic::error("bad-signal", text.span(), message);
            return Err(Box::new(error.with_help("write a name such as `SIGTERM` or a number")));
        }
        self.record(format!("STOPSIGNAL {name}"));
        self.state.config.config.stop_signal = name;
        Ok(())
    }

    pub(super) fn healthcheck(&mut self, check: &Check) -> Fallible<()> {
        let check = match check {
            Check::None => Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() },
            Check::Probe(probe) => healthcheck(probe),
        };
        self.record(format!("HEALTHCHECK {}", gotext::healthcheck(&check)));
        self.state.config.config.healthcheck = Some(check);
        Ok(())
    }

    pub(super) fn maintainer(&mut self, author: &Text) -> Fallible<()> {
        self.record(format!("MAINTAINER {author}"));
        self.state.config.author = author.to_string();
        Ok(())
    }

    fn record(&mut self, created_by: String) {
        self.state.config.record(created_by, Layer::Empty);
    }
}

/// The shell of a check is the container's, so its text is kept as it is.
fn healthcheck(probe: &Probe) -> Healthcheck {
    let test = match &probe.command {
        Command::Exec(words) => {
            std::iter::once("CMD".to_owned()).chain(words.iter().map(Text::to_string)).collect()
        }
        Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.to_string()],
    };
    Healthcheck {
        test,
        interval: nanoseconds(probe.interval),
        timeout: nanoseconds(probe.timeout),
        start_period: nanoseconds(probe.start_period),
        start_interval: nanoseconds(probe.start_interval),
        retries: probe.retries.unwrap_or(0).into(),
    }
}

fn nanoseconds(duration: Option<Duration>) -> i64 {
    i64::try_from(duration.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}
