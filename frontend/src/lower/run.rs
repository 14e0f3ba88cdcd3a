//! `RUN`.

use rbuild_solver::op::mount::{Device, Mount, MountKind, Need};
use rbuild_solver::op::{ExecOp, Network, Op, Security};

use crate::ast::{Command, Heredoc, Run, RunForm, RunNetwork, RunSecurity, Text};
use crate::config::Layer;
use crate::diagnostic::Diagnostic;
use crate::expand::{Style, Variables as _};
use crate::parser::mount;
use crate::scope::Fallible;
use crate::stage::reach::Step;

use super::mount::Mounted;
use super::path;
use super::stage::StageLowering;

/// The build argument that changes the host name of steps.
pub(super) const HOSTNAME_ARGUMENT: &str = "BUILDKIT_SANDBOX_HOSTNAME";

/// The shell of a base that names none.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Where a heredoc that is a script of its own is mounted.
const SCRIPTS: &str = "/dev/pipes";

/// Where programs look for the socket of an agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

impl StageLowering<'_, '_> {
    pub(super) fn run(&mut self, step: &Step, run: &Run) -> Fallible<()> {
        let (args, scripts) = self.invocation(run)?;
        if args.is_empty() {
            let span = step.instruction.span.clone();
            return Err(Box::new(Diagnostic::error("empty-command", span, "RUN runs nothing")));
        }
        let history = format!("RUN {}{} # buildkit", self.args_shown(), args.join(" "));
        let style = Style::shown(self.lowering.stages.escape.char());
        let mut shown = self.shown(&step.instruction, style);
        if let RunForm::Script(doc) | RunForm::Executable(doc) = run.form() {
            shown = format!("{shown} ({})", first_line(doc.body.as_str()));
        }
        let (mut inputs, root) = self.tip_edge();
        let mut mounted = self.mounts(run, &mut inputs)?;
        mounted.mounts.extend(scripts);
        let env = self.variables(&mounted);
        let runtime = &self.state.config.config;
        let op = Op::Exec(ExecOp {
            root,
            args,
            env,
            unkeyed_env: self.proxies(),
            cwd: path::clean(&runtime.working_dir),
            user: runtime.user.clone(),
            hostname: self.hostname(),
            network: self.network(run),
            security: security(run),
            mounts: mounted.mounts,
            secrets: mounted.secrets,
            devices: self.devices(run)?,
            resources: self.lowering.options.resources.clone(),
            platform: self.platform.clone(),
        });
        let origin = self.origin(step, "RUN", &shown);
        self.state.tip = Some(self.add(op, inputs, origin));
        self.state.config.record(history, Layer::Made);
        Ok(())
    }

    /// The argument vector, and the script if a heredoc is one.
    fn invocation(&self, run: &Run) -> Fallible<(Vec<String>, Vec<Mount>)> {
        match run.form() {
            RunForm::Exec(words) => Ok((words.iter().map(Text::to_string).collect(), Vec::new())),
            RunForm::Shell(text) => Ok((self.with_shell(&text), Vec::new())),
            RunForm::Script(doc) | RunForm::Executable(doc) => self.script(doc),
        }
    }

    /// A heredoc alone is what the shell runs. With `#!` it is a file, which the shell starts.
    fn script(&self, doc: &Heredoc) -> Fallible<(Vec<String>, Vec<Mount>)> {
        let content = doc.content();
        if !content.as_str().starts_with("#!") {
            return Ok((self.with_shell(content.as_str()), Vec::new()));
        }
        if doc.name.contains('/') || matches!(doc.name.as_str(), "" | "." | "..") {
            let message = format!("`{}` cannot be the name of a script", doc.name);
            let error = Diagnostic::error("bad-script-name", doc.word.span(), message);
            return Err(Box::new(error.with_help("take a word without `/`, such as `EOF`")));
        }
        let target = format!("{SCRIPTS}/{}", doc.name);
        let data = content.as_str().as_bytes().to_vec();
        let mount = Mount { target: target.clone(), kind: MountKind::File { data, mode: 0o755 } };
        Ok((self.with_shell(&target), vec![mount]))
    }

    /// The argument vector of a command in either form.
    pub(super) fn command(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.iter().map(Text::to_string).collect(),
            Command::Shell(text) => self.with_shell(text.as_str()),
        }
    }

    fn with_shell(&self, text: &str) -> Vec<String> {
        let shell = &self.state.config.config.shell;
        let mut args = match shell.is_empty() {
            true => DEFAULT_SHELL.map(str::to_owned).to_vec(),
            false => shell.clone(),
        };
        args.push(text.to_owned());
        args
    }

    /// The variables that are set, and where the agent is, unless that is set already.
    fn variables(&self, mounted: &Mounted) -> Vec<(String, String)> {
        let mut env = self.state.scope.pairs().to_vec();
        if let (Some(socket), None) = (&mounted.agent, self.state.scope.get(AGENT_VARIABLE)) {
            env.push((AGENT_VARIABLE.to_owned(), socket.clone()));
        }
        env
    }

    /// `--device=vendor/class=name[,required]`: a name has an `=` of its own.
    fn devices(&self, run: &Run) -> Fallible<Vec<Device>> {
        let mut devices = Vec::new();
        for flag in &run.devices {
            let mut device = Device { name: String::new(), need: Need::Optional };
            for field in mount::fields(flag)? {
                let field = self.word(&field)?;
                match field.as_str() {
                    "required" | "required=true" => device.need = Need::Required,
                    "required=false" => device.need = Need::Optional,
                    name => name.strip_prefix("name=").unwrap_or(name).clone_into(&mut device.name),
                }
            }
            if device.name.is_empty() {
                let message = format!("`{flag}` names no device");
                let error = Diagnostic::error("bad-device", flag.span(), message);
                return Err(Box::new(error.with_help("write `--device=VENDOR/CLASS=NAME`")));
            }
            devices.push(device);
        }
        Ok(devices)
    }

    fn network(&self, run: &Run) -> Network {
        match run.network.as_ref().map(|network| network.value) {
            None | Some(RunNetwork::Default) => self.lowering.options.network,
            Some(RunNetwork::None) => Network::None,
            Some(RunNetwork::Host) => Network::Host,
        }
    }

    fn hostname(&self) -> String {
        let options = self.lowering.options;
        options.build_args.get(HOSTNAME_ARGUMENT).unwrap_or(&options.hostname).clone()
    }

    /// Programs read proxies in either case, so both are set; one that is declared is a variable like
    /// any other.
    fn proxies(&self) -> Vec<(String, String)> {
        let mut proxies: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.lowering.options.proxies {
            for name in [name.to_uppercase(), name.to_lowercase()] {
                let known = proxies.iter().any(|(known, _)| *known == name);
                if !known && self.state.scope.get(&name).is_none() {
                    proxies.push((name, value.clone()));
                }
            }
        }
        proxies
    }
}

fn security(run: &Run) -> Security {
    match run.security.as_ref().map(|security| security.value) {
        None | Some(RunSecurity::Sandbox) => Security::Confined,
        Some(RunSecurity::Insecure) => Security::Insecure,
    }
}

/// The first line of a heredoc, marked if there are more.
fn first_line(body: &str) -> String {
    let body = body.trim();
    let first = body.lines().next().unwrap_or_default();
    if first.len() == body.len() { first.to_owned() } else { format!("{first}...") }
}
