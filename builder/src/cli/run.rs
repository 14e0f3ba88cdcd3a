//! `rbuild run`: a command in a stored image, in the foreground, to try what was built.

use std::io::{IsTerminal, Write};

use rbuild_frontend::config::Runtime;
use rbuild_solver::op::{Resources, Security};

use super::build::{NetworkMode, platform};
use super::images::failure;
use super::session::{Ending, Failure, Session};
use crate::exit::Exit;
use crate::progress::{Mode, Progress};
use crate::sandbox::{
    self, Access, Entitlement, Limits, Mount, MountKind, Root, Sandbox, SandboxError, Source, Spec,
    Stdio,
};
use crate::source::images::{Images, ImagesError};
use crate::source::stored::{self, StoredImage};

/// What docker ends with when the command could not be run.
const NOT_RUN: u8 = 125;

/// Flags of `rbuild run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Set an environment variable; without `=VALUE` it is taken from the environment
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Mount a file or folder of the host
    #[arg(short, long, value_name = "SOURCE:TARGET[:ro]")]
    volume: Vec<String>,
    /// The working directory
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,
    /// The user, `name|uid[:group|gid]`
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Replace the image's entrypoint
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// The network
    #[arg(long, value_name = "MODE", default_value = "default")]
    network: NetworkMode,
    /// The host name that the command sees
    #[arg(long, value_name = "NAME", default_value = "rbuild")]
    hostname: String,
    /// Which image of several, `os/arch[/variant]` [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Accepted as docker's: nothing is kept of a run anyway
    #[arg(long)]
    rm: bool,
    /// The image, by name or id
    image: String,
    /// The command, in place of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs the command; what it wrote is gone afterwards.
pub fn main(args: Args) -> Result<Exit, Failure> {
    run(args).map_err(|failure| match failure.exit {
        Exit::Interrupted => failure,
        _ => failure.ending_with(Exit::Step(NOT_RUN)),
    })
}

fn run(args: Args) -> Result<Exit, Failure> {
    let platform = args.platform.as_deref().map(platform).transpose()?;
    let session = Session::open(Ending::InOrder)?;
    let progress = Progress::new(Mode::Quiet);
    let image = stored::find(&session.store, &args.image)
        .and_then(|stored| stored.choose(platform.as_ref(), &args.image))
        .map_err(failure)?;
    let images = Images::open(&session, &progress)?;
    let snapshot = images
        .stored_layers(&image, &args.image, &session.cancel)
        .map_err(|error: ImagesError| Failure::new(error.exit(), &error, error.help()))?;
    let active = session.store.layers().activate(&snapshot).map_err(machine)?;
    let root = Root::Overlay {
        lowers: active.lowers.clone(),
        upper: active.upper.clone(),
        work: active.work.clone(),
    };
    let spec = args.spec(&image, root)?;
    let sandbox = Sandbox::new(&session.isolation, vec![Entitlement::HostNetwork]);
    // Only a terminal's output comes this way: other streams are lent to the command.
    let mut show = |bytes: &[u8]| {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    };
    let ended = sandbox.run(&spec, &mut show, &session.cancel).map_err(not_started)?;
    Ok(Exit::Step(match ended.exit {
        sandbox::Exit::Code(code) => u8::try_from(code).unwrap_or(NOT_RUN),
        sandbox::Exit::Signal(signal) => 128 + u8::try_from(signal).unwrap_or_default(),
    }))
}

impl Args {
    fn spec(&self, image: &StoredImage, root: Root) -> Result<Spec, Failure> {
        let runtime = &image.config.config;
        let cwd = self.workdir.clone().unwrap_or_else(|| runtime.working_dir.clone());
        Ok(Spec {
            root,
            args: self.command(runtime)?,
            env: self.environment(runtime),
            cwd,
            user: self.user.clone().unwrap_or_else(|| runtime.user.clone()),
            hostname: self.hostname.clone(),
            network: self.network.into(),
            platform: image.platform.clone(),
            security: Security::Confined,
            resources: Resources::default(),
            limits: Limits::default(),
            extra_hosts: Vec::new(),
            mounts: self.volume.iter().map(|text| volume(text)).collect::<Result<_, _>>()?,
            stdio: self.stdio()?,
        })
    }

    /// Entrypoint and command as docker joins them: a new entrypoint drops the image's command.
    fn command(&self, runtime: &Runtime) -> Result<Vec<String>, Failure> {
        let mut command = match &self.entrypoint {
            Some(entrypoint) => vec![entrypoint.clone()],
            None => runtime.entrypoint.clone(),
        };
        match (&self.entrypoint, self.command.as_slice()) {
            (None, []) => command.extend(runtime.cmd.clone()),
            (_, given) => command.extend_from_slice(given),
        }
        if command.is_empty() {
            return Err(Failure::usage_text(
                &format!("the image `{}` does not say what to run", self.image),
                "name a command after the image",
            ));
        }
        Ok(command)
    }

    fn environment(&self, runtime: &Runtime) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> =
            runtime.env_pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for text in &self.env {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text.as_str(), std::env::var(text).ok()),
            };
            env.retain(|(known, _)| known != name);
            env.extend(value.map(|value| (name.to_owned(), value)));
        }
        env
    }

    fn stdio(&self) -> Result<Stdio, Failure> {
        if !self.tty {
            return Ok(if self.interactive { Stdio::Inherit } else { Stdio::Output });
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage_text(
                "`--tty` needs a terminal on standard input",
                "leave `-t` out where there is none, as in a pipeline",
            ));
        }
        Ok(Stdio::Terminal)
    }
}

fn volume(text: &str) -> Result<Mount, Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, access) = match parts[..] {
        [source, target] | [source, target, "rw"] => (source, target, Access::ReadWrite),
        [source, target, "ro"] => (source, target, Access::ReadOnly),
        _ => {
            return Err(Failure::usage_text(
                &format!("`{text}` is not a volume"),
                "write `-v SOURCE:TARGET` or `-v SOURCE:TARGET:ro`",
            ));
        }
    };
    let source = std::fs::canonicalize(source).map_err(|error| {
        let help = "volumes are files or folders that are there: named volumes are not supported";
        Failure::usage_text(&format!("cannot mount `{source}`: {error}"), help)
    })?;
    let kind = MountKind::Bind { source: Source::Path(source), access };
    Ok(Mount { target: target.to_owned(), kind })
}

fn not_started(error: SandboxError) -> Failure {
    let exit = match error {
        SandboxError::Cancelled => Exit::Interrupted,
        _ => Exit::Machine,
    };
    Failure::new(exit, &error, error.help().map(str::to_owned))
}

fn machine(error: impl std::error::Error) -> Failure {
    Failure::new(Exit::Machine, &error, None)
}
