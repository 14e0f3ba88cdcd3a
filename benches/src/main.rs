//! rbuild beside the other builders: the same builds, turn by turn, in one run.
//!
//! `scripts/bench.sh` is what a person calls: it makes the bases, serves them and calls this. Here
//! are the words of the command line; a run is in `run`, what is built in `workload`, who builds in
//! `builder`, what comes of it in `report`.

mod builder;
mod machine;
mod measure;
mod random;
mod report;
mod results;
mod run;
mod workload;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use builder::{Builder, Kind, Wipe};
use results::{Phase, Results};
use run::Plan;
use workload::{Scale, Workload};

/// Times builders side by side, and writes a report.
#[derive(Debug, Parser)]
#[command(name = "bench.sh", disable_help_subcommand = true)]
enum Cli {
    /// Build every workload with every builder, turn by turn
    Run(Box<RunArgs>),
    /// Make the report again from the figures of an earlier run
    Report(ReportArgs),
    /// Run one command and print what it took, as JSON
    #[command(hide = true)]
    Measure(MeasureArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// The registry with the bases, `host:port` on loopback; takes the heavy base in
    #[arg(long, value_name = "ADDRESS")]
    registry: String,
    /// Where contexts and stores are put, on the disk to be measured
    #[arg(long, value_name = "FOLDER")]
    work: PathBuf,
    /// rbuild, with whatever words lead to it
    #[arg(long, value_name = "WORDS", env = "RBUILD", default_value = "rbuild")]
    rbuild: String,
    /// rbuild once more, as an ordinary user: `runuser -u USER -- /path/to/rbuild`
    #[arg(long, value_name = "WORDS", env = "RBUILD_ROOTLESS")]
    rootless: Option<String>,
    /// docker, with whatever words lead to it; left out if no daemon answers
    #[arg(long, value_name = "WORDS", env = "DOCKER", default_value = "docker")]
    docker: String,
    /// buildah, with whatever words lead to it; left out if there is none
    #[arg(long, value_name = "WORDS", env = "BUILDAH", default_value = "buildah")]
    buildah: String,
    /// Allow `docker system prune --all` before the run and before every cold build
    #[arg(long)]
    wipe_docker: bool,
    /// Only these workloads and series
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these phases
    #[arg(long, value_name = "PHASE", value_delimiter = ',')]
    phases: Vec<Phase>,
    /// How often each build is measured
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3)]
    times: usize,
    /// What takes longer than this many seconds is measured once
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0)]
    patience: f64,
    /// A larger size of a series that would take docker or buildah longer is left out
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    limit: f64,
    /// Tiny workloads, once, with rbuild alone: whether everything builds, not how fast
    #[arg(long)]
    smoke: bool,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, clap::Args)]
struct ReportArgs {
    /// The folder of the report and its figures
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Put the table into this document too, between its two `speed` marks
    #[arg(long, value_name = "FILE")]
    quote: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct MeasureArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    line: Vec<String>,
}

/// Why there is no report; what a person reads.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let done = match Cli::parse() {
        Cli::Run(args) => args.run(),
        Cli::Report(args) => {
            report::read(&args.out).map_err(Failure::from).and_then(|results| args.write(&results))
        }
        Cli::Measure(args) => measure::help(&args.line).map_err(Failure::from).map(|told| {
            let _ = writeln!(std::io::stdout(), "{told}");
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Progress, for whoever waits.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl RunArgs {
    fn run(&self) -> Result<(), Failure> {
        let scale = if self.smoke { Scale::Smoke } else { Scale::Full };
        let workloads = self.workloads(scale)?;
        let folder = self.work.join(scale.pick("contexts", "contexts-smoke"));
        std::fs::create_dir_all(&folder)?;
        say("writing the contexts");
        workload::write(&folder, &self.registry, scale, &workloads)?;
        serve_heavy(&folder, &self.registry, scale)?;
        let builders = self.builders(&folder)?;
        let times = if self.smoke { 1 } else { self.times };
        let plan =
            Plan { folder, workloads, times, patience: self.patience, limit: self.limit, builders };
        let results = run::run(&plan, &say);
        self.report.write(&results)?;
        own_failures(&results)
    }

    fn workloads(&self, scale: Scale) -> Result<Vec<Workload>, Failure> {
        let mut workloads = workload::all(scale);
        let unknown = self.only.iter().find(|name| !workloads.iter().any(|one| one.name == **name));
        if let Some(name) = unknown {
            return Err(format!("there is no workload `{name}`").into());
        }
        workloads
            .retain(|one| self.only.is_empty() || self.only.iter().any(|name| name == one.name));
        for workload in &mut workloads {
            workload.phases.retain(|phase| self.phases.is_empty() || self.phases.contains(phase));
        }
        Ok(workloads)
    }

    /// Those that answer. rbuild has to.
    fn builders(&self, folder: &Path) -> Result<Vec<Builder>, Failure> {
        let wipe = if self.wipe_docker { Wipe::Allowed } else { Wipe::Forbidden };
        let mut builders =
            vec![Builder::new("rbuild", Kind::Rbuild, Wipe::Allowed, &self.rbuild, folder)?];
        if let Some(words) = &self.rootless {
            let name = "rbuild rootless";
            builders.push(Builder::new(name, Kind::Rbuild, Wipe::Allowed, words, folder)?);
        }
        let others = [
            ("docker", Kind::Docker, wipe, &self.docker),
            ("buildah", Kind::Buildah, Wipe::Allowed, &self.buildah),
        ];
        for (name, kind, wipe, words) in others.into_iter().filter(|_| !self.smoke) {
            match Builder::new(name, kind, wipe, words, folder) {
                Ok(builder) => builders.push(builder),
                Err(why) => say(&format!("{name} is left out: {why}")),
            }
        }
        for builder in builders.iter().filter(|builder| builder.entering > 0.0) {
            let milliseconds = builder.entering * 1000.0;
            say(&format!("{}: {milliseconds:.0} ms to get there are taken off", builder.name));
        }
        Ok(builders)
    }
}

impl ReportArgs {
    fn write(&self, results: &Results) -> Result<(), Failure> {
        report::write(results, &self.out)?;
        if let Some(document) = &self.quote {
            report::quote(results, document)?;
        }
        say(&format!("the report is in `{}`", self.out.display()));
        Ok(())
    }
}

/// Puts the heavy base into the registry, if it is not there yet.
fn serve_heavy(folder: &Path, registry: &str, scale: Scale) -> Result<(), Failure> {
    let image = format!("docker://{registry}/{}", workload::heavy::name(scale));
    let skopeo = |args: &[&str]| Command::new("skopeo").args(args).output();
    if skopeo(&["inspect", "--tls-verify=false", "--raw", &image])?.status.success() {
        return Ok(());
    }
    say("making the heavy base");
    let layout = folder.with_extension("heavy");
    workload::heavy::write(&layout, scale, Path::new("/bin/busybox"))?;
    let from = format!("oci:{}", layout.display());
    let copied = skopeo(&["copy", "--quiet", "--dest-tls-verify=false", &from, &image])?;
    std::fs::remove_dir_all(&layout)?;
    match copied.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&copied.stderr).into_owned().into()),
    }
}

/// Others may fail, which the report says; rbuild may not.
fn own_failures(results: &Results) -> Result<(), Failure> {
    let own = |name: &str| name.starts_with("rbuild");
    let failed = results.cells.iter().filter(|cell| own(&cell.builder)).find_map(|cell| {
        let failure = cell.failure.as_ref()?;
        Some(format!("{} {}: {failure}", cell.workload, cell.phase.name()))
    });
    failed.map_or(Ok(()), |failure| Err(failure.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
