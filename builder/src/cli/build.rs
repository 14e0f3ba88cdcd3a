//! `rbuild build`: flags with docker's words, and what they resolve to.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use rbuild_frontend::reference::Reference;
use rbuild_frontend::{Options as FrontendOptions, Platforms};
use rbuild_solver::op::{Network, Platform};

use crate::build::{self, Built};
use crate::cli::call::{self, Call};
use crate::cli::session::{Ending, Failure, Session};
use crate::cli::steps::{self, GivenArgs, StepArgs};
use crate::exit::Exit;
use crate::options::{BuildOptions, NamedContexts, Output, Pull};
use crate::progress::{Mode, Progress};

/// The host name that steps see, the one that BuildKit gives them.
const HOSTNAME: &str = "buildkitsandbox";

/// Predefined build arguments that reach steps without being declared and enter no key.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Flags of `rbuild build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The build context: a folder, the address of a git repository or archive, or `-` for an
    /// archive or a Dockerfile on standard input
    context: String,
    /// Name of the image, `name[:tag]`; may be given several times
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// The Dockerfile, `-` for standard input [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "PATH")]
    file: Option<String>,
    /// Set a build-time variable; without `=VALUE` it is taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// What takes the place of stages and images of a name: a folder, `docker-image://REFERENCE`,
    /// `oci-layout://PATH[:TAG]`, the address of a git repository or archive
    #[arg(long, value_name = "NAME=VALUE")]
    build_context: Vec<String>,
    /// The stage to build [default: the last one]
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Build these stages too, side by side; the build fails if they do, and the image gets nothing
    /// of them
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    also: Vec<String>,
    /// Run every step again
    #[arg(long)]
    no_cache: bool,
    /// Ask the registry for bases even if the store has images of these names
    #[arg(long)]
    pull: bool,
    /// The platform to build for, `os/arch[/variant]`, or several: the image is an index of one for
    /// each then [default: this machine's]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', env = "DOCKER_DEFAULT_PLATFORM")]
    platform: Vec<String>,
    /// Set a label of the image
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Where the result goes: a folder, `-`, or `type=image|registry|oci|docker|tar|local,dest=PATH`
    #[arg(short, long, value_name = "OUTPUT")]
    output: Vec<String>,
    /// Push the image to the registries that its names say
    #[arg(long)]
    push: bool,
    /// Keep the image in the store even if it also goes elsewhere
    #[arg(long)]
    load: bool,
    /// The network of RUN steps
    #[arg(long, value_name = "MODE", default_value = "default")]
    network: NetworkMode,
    /// Add a line to the /etc/hosts of steps
    #[arg(long, value_name = "HOST:IP")]
    add_host: Vec<String>,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    steps: StepArgs,
    /// How many steps may run at once [default: as many as are ready]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// How much memory the steps that run at once may need [default: what is left]
    ///
    /// Counted by what each step needed the last time; a step that needs more runs alone.
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<String>,
    /// Look at the Dockerfile instead of building it: `check`, `outline` or `targets`, and
    /// `,format=json`
    #[arg(long, value_name = "METHOD", default_value = "build")]
    call: String,
    /// Check the Dockerfile instead of building it, as `--call=check` does
    #[arg(long, conflicts_with = "call")]
    check: bool,
    /// How progress is shown
    #[arg(long, value_name = "MODE", default_value = "auto", env = "BUILDKIT_PROGRESS")]
    progress: Mode,
    /// Print nothing but the image's id
    #[arg(short, long)]
    quiet: bool,
    /// Write the image's id to a file
    #[arg(long, value_name = "PATH")]
    iidfile: Option<PathBuf>,
    /// Write a description of the result to a file, as JSON
    #[arg(long, value_name = "PATH")]
    metadata_file: Option<PathBuf>,
}

/// Which network steps see.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum NetworkMode {
    /// A private one that reaches the outside
    Default,
    /// The host's own
    Host,
    /// Loopback only
    None,
}

/// Builds, and prints the image's id where it is asked for.
pub fn main(args: Args) -> Result<Exit, Failure> {
    let call = if args.check { Some(Call::check()) } else { Call::parse(&args.call)? };
    let options = args.resolve()?;
    if let Some(call) = call {
        return call::main(&call, &options);
    }
    let session = Session::open(Ending::InOrder)?;
    let progress = Progress::new(options.progress);
    session.notices().for_each(|notice| progress.notice(&notice));
    let built = build::build(&options, &session, &progress);
    session.store.warnings().iter().for_each(|warning| progress.notice(warning));
    progress.finish();
    let built = built.map_err(|error| error.into_failure())?;
    if options.progress == Mode::Quiet && !options.outputs.iter().any(Output::is_stdout) {
        print_id(&built);
    }
    Ok(Exit::Success)
}

/// A closed pipe is no reason to fail a build that is done.
fn print_id(built: &Built) {
    let _ = writeln!(std::io::stdout(), "{}", built.id);
}

impl Args {
    /// What the flags mean; refuses what cannot be.
    fn resolve(self) -> Result<BuildOptions, Failure> {
        let tags = references(&self.tag)?;
        let platforms = platforms(&self.platform)?;
        let outputs = self.outputs(&tags, &platforms)?;
        let build_args = build_args(&self.build_arg);
        let named = NamedContexts::parse(&self.build_context).map_err(Failure::usage)?;
        let frontend = FrontendOptions {
            proxies: proxies(&build_args),
            epoch: epoch(&build_args)?,
            build_args,
            target: self.target,
            also: self.also,
            contexts: named.names,
            platform: platforms[0].clone(),
            platforms: if platforms.len() == 1 { Platforms::One } else { Platforms::Several },
            build_platform: host_platform(),
            labels: labels(&self.label)?,
            network: self.network.into(),
            resources: self.steps.resources()?,
            no_cache: self.no_cache,
            hostname: HOSTNAME.to_owned(),
        };
        Ok(BuildOptions {
            context: self.context,
            contexts: named.files,
            file: self.file,
            tags,
            outputs,
            platforms,
            frontend,
            given: self.given.resolve()?,
            devices: self.steps.devices(),
            allowed: self.steps.allowed(self.network.into())?,
            extra_hosts: hosts(&self.add_host)?,
            pull: if self.pull { Pull::Always } else { Pull::Missing },
            jobs: self.jobs,
            max_memory: self.max_memory.as_deref().map(steps::bytes).transpose()?,
            limits: self.steps.limits()?,
            progress: if self.quiet { Mode::Quiet } else { self.progress },
            iidfile: self.iidfile,
            metadata_file: self.metadata_file,
        })
    }

    /// Without `-o` the image is kept in the store; `--push` keeps it as well.
    fn outputs(&self, tags: &[Reference], platforms: &[Platform]) -> Result<Vec<Output>, Failure> {
        let mut outputs = Vec::new();
        for text in &self.output {
            outputs.extend(Output::parse(text).map_err(Failure::usage)?);
        }
        if self.push {
            outputs.push(Output::Registry);
        }
        if self.output.is_empty() || self.load {
            outputs.insert(0, Output::Store);
        }
        if outputs.contains(&Output::Registry) && tags.is_empty() {
            return Err(Failure::usage_text(
                "an image without a name cannot be pushed",
                "name it: `-t registry.example/app:1.0`",
            ));
        }
        let docker = |output: &Output| matches!(output, Output::Docker(_));
        if platforms.len() > 1 && outputs.iter().any(docker) {
            return Err(Failure::usage_text(
                "an archive of type `docker` holds the image of one platform, not of several",
                "write `type=oci`, or build for one platform",
            ));
        }
        if outputs.iter().filter(|output| output.is_stdout()).count() > 1 {
            return Err(Failure::usage_text(
                "two outputs want standard output",
                "give one of them `dest=PATH`",
            ));
        }
        Ok(outputs)
    }
}

impl From<NetworkMode> for Network {
    fn from(mode: NetworkMode) -> Network {
        match mode {
            NetworkMode::Default => Network::Default,
            NetworkMode::Host => Network::Host,
            NetworkMode::None => Network::None,
        }
    }
}

fn references(tags: &[String]) -> Result<Vec<Reference>, Failure> {
    let parse = |tag: &String| match tag.parse::<Reference>() {
        Ok(reference) if reference.digest.is_some() => Err(Failure::usage_text(
            &format!("`{tag}` names a digest, and an image that is yet to be built has none"),
            "give a name and a tag",
        )),
        other => other.map_err(Failure::usage),
    };
    tags.iter().map(parse).collect()
}

/// A name without a value takes the environment's; if there is none, the argument is not given.
fn build_args(args: &[String]) -> BTreeMap<String, String> {
    let value = |arg: &String| match arg.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(arg).ok().map(|value| (arg.clone(), value)),
    };
    let mut args: BTreeMap<_, _> = args.iter().filter_map(value).collect();
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(epoch);
    }
    args
}

fn proxies(build_args: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let is_proxy = |name: &str| PROXIES.contains(&name.to_uppercase().as_str());
    build_args
        .iter()
        .filter(|(name, _)| is_proxy(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// `SOURCE_DATE_EPOCH`: seconds since 1970; empty means none
/// (<https://reproducible-builds.org/docs/source-date-epoch/>).
fn epoch(build_args: &BTreeMap<String, String>) -> Result<Option<i64>, Failure> {
    match build_args.get("SOURCE_DATE_EPOCH").map(String::as_str) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Failure::usage_text(
                &format!("SOURCE_DATE_EPOCH is `{text}`, which is not a number of seconds"),
                "set it to a time such as `git log -1 --format=%ct` prints",
            )
        }),
    }
}

fn labels(labels: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |label: &String| {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        match key {
            "" => Err(Failure::usage_text(
                &format!("the label `{label}` has no key"),
                "write `--label KEY=VALUE`",
            )),
            _ => Ok((key.to_owned(), value.to_owned())),
        }
    };
    labels.iter().map(pair).collect()
}

fn hosts(hosts: &[String]) -> Result<Vec<(String, IpAddr)>, Failure> {
    let pair = |text: &String| {
        let (host, address) = text.split_once(['=', ':'])?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), address.parse().ok()?))
    };
    let read = |text: &String| {
        pair(text).ok_or_else(|| {
            Failure::usage_text(
                &format!("`{text}` is not a host and its address"),
                "write `--add-host HOST:IP`",
            )
        })
    };
    hosts.iter().map(read).collect()
}

/// The platforms of a list, each once; this machine's for none.
fn platforms(texts: &[String]) -> Result<Vec<Platform>, Failure> {
    let mut platforms = Vec::new();
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let platform = platform(text)?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if platforms.is_empty() {
        platforms.push(host_platform());
    }
    Ok(platforms)
}

/// Reads `os/arch[/variant]`; `local` is this machine's.
pub fn platform(text: &str) -> Result<Platform, Failure> {
    if text == "local" {
        return Ok(host_platform());
    }
    Platform::parse(text).ok_or_else(|| {
        Failure::usage_text(
            &format!("`{text}` is not a platform"),
            "write `os/arch[/variant]`, such as `linux/amd64`",
        )
    })
}

/// The platform that this binary runs on.
pub fn host_platform() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", ""),
        "aarch64" => ("arm64", ""),
        "arm" => ("arm", "v7"),
        "x86" => ("386", ""),
        "powerpc64" => ("ppc64le", ""),
        other => (other, ""),
    };
    Platform { os: "linux".into(), architecture: architecture.into(), variant: variant.into() }
}
