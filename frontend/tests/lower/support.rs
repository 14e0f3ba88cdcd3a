//! A build as far as the frontend takes it, with bases that exist only here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rbuild_cache::Digest;
use rbuild_frontend::config::{History, ImageConfig};
use rbuild_frontend::diagnostic::Diagnostic;
use rbuild_frontend::lower::{Lowered, lower};
use rbuild_frontend::parser::parse;
use rbuild_frontend::source::Source;
use rbuild_frontend::stage::{BaseRequest, Bases, ResolvedBase, StageGraph, stages};
use rbuild_frontend::{Options, Platforms};
use rbuild_solver::graph::{Graph, Vertex};
use rbuild_solver::op::{CopyOp, CopySource, ExecOp, Network, Op, Platform, Resources, Unpack};

/// A Dockerfile with flags.
pub struct Build {
    pub source: Source,
    pub options: Options,
    /// What is built for besides the platform of the options.
    pub further: Vec<Platform>,
}

/// What came of it.
pub struct Built {
    pub graph: Graph,
    /// What each platform needs of the graph.
    pub platforms: Vec<Lowered>,
    /// What had to be looked up, in the order in which it was asked for.
    pub requests: Vec<BaseRequest>,
}

impl Build {
    pub fn of(dockerfile: &str) -> Build {
        let amd64 = Platform::parse("linux/amd64").unwrap();
        let options = Options {
            build_args: BTreeMap::new(),
            target: None,
            also: Vec::new(),
            contexts: BTreeMap::new(),
            platform: amd64.clone(),
            platforms: Platforms::One,
            build_platform: amd64,
            labels: BTreeMap::new(),
            network: Network::Default,
            resources: Resources::default(),
            no_cache: false,
            proxies: Vec::new(),
            hostname: "buildkitsandbox".to_owned(),
            epoch: None,
        };
        let source = Source::new("Dockerfile", dockerfile.into());
        Build { source, options, further: Vec::new() }
    }

    /// `--build-arg A=1` and so on.
    pub fn flag(mut self, flag: &str) -> Build {
        let (name, value) = flag.split_once(' ').unwrap_or((flag, ""));
        let pair = value.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        match name {
            "--build-arg" => self.options.build_args.extend(pair),
            "--label" => self.options.labels.extend(pair),
            "--proxy" => self.options.proxies.extend(pair),
            "--target" => self.options.target = Some(value.to_owned()),
            "--platform" => {
                let mut platforms = value.split(',').map(|one| Platform::parse(one).unwrap());
                self.options.platform = platforms.next().unwrap();
                self.further = platforms.collect();
            }
            "--no-cache" => self.options.no_cache = true,
            "--network" if value == "none" => self.options.network = Network::None,
            _ => panic!("unknown flag {flag}"),
        }
        self
    }

    pub fn run(&self) -> Result<Built, Vec<Diagnostic>> {
        let parsed = parse(&self.source);
        if parsed.has_errors() {
            return Err(parsed.diagnostics);
        }
        let mut built = Built { graph: Graph::new(), platforms: Vec::new(), requests: Vec::new() };
        let mut options = self.options.clone();
        if !self.further.is_empty() {
            options.platforms = Platforms::Several;
        }
        for platform in [&self.options.platform].into_iter().chain(&self.further) {
            options.platform = platform.clone();
            let stages = stages(&parsed.ast, &self.source, &options)?;
            built.add(&stages, &options)?;
        }
        Ok(built)
    }
}

impl Built {
    fn add(&mut self, stages: &StageGraph, options: &Options) -> Result<(), Vec<Diagnostic>> {
        let mut bases = Bases::new();
        loop {
            let missing = stages.bases(&bases)?;
            if missing.is_empty() {
                break;
            }
            for request in missing {
                let key = (request.reference.clone(), request.platform.clone());
                bases.insert(key, fake(&request));
                self.requests.push(request);
            }
        }
        self.platforms.push(lower(&mut self.graph, stages, &bases, options)?);
        Ok(())
    }

    /// Of a build for one platform.
    pub fn lowered(&self) -> &Lowered {
        assert_eq!(self.platforms.len(), 1);
        &self.platforms[0]
    }

    pub fn config(&self) -> &ImageConfig {
        &self.lowered().config
    }

    pub fn vertices(&self) -> impl Iterator<Item = &Vertex> {
        self.graph.in_order().map(|id| self.graph.vertex(id))
    }

    /// The processes in the order of the graph.
    pub fn execs(&self) -> Vec<&ExecOp> {
        self.vertices()
            .filter_map(|vertex| match &vertex.op {
                Op::Exec(exec) => Some(exec),
                _ => None,
            })
            .collect()
    }

    /// The copies in the order of the graph, with the patterns of their sources.
    pub fn copies(&self) -> Vec<&CopyOp> {
        self.vertices()
            .filter_map(|vertex| match &vertex.op {
                Op::Copy(copy) => Some(copy),
                _ => None,
            })
            .collect()
    }

    /// Whether the sources of the copies are unpacked.
    pub fn unpack(&self) -> Vec<Unpack> {
        let of = |source: &CopySource| match source {
            CopySource::Input { unpack, .. } => Some(*unpack),
            CopySource::Inline { .. } => None,
        };
        self.copies().iter().flat_map(|copy| &copy.sources).filter_map(of).collect()
    }

    /// The value of a variable that the last process sees.
    pub fn variable(&self, name: &str) -> Option<String> {
        let exec = *self.execs().last().unwrap();
        exec.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// What the history says, without what the base brought.
    pub fn history(&self) -> Vec<&str> {
        let ours = |entry: &&History| entry.comment == "buildkit.dockerfile.v0";
        self.config().history.iter().filter(ours).map(|entry| entry.created_by.as_str()).collect()
    }
}

/// Builds what has to succeed.
pub fn built(dockerfile: &str) -> Built {
    run(Build::of(dockerfile))
}

/// Runs what has to succeed.
pub fn run(build: Build) -> Built {
    build.run().unwrap_or_else(|found| panic!("{found:#?}"))
}

/// The codes of what is wrong.
pub fn codes(build: &Build) -> Vec<&'static str> {
    match build.run() {
        Ok(_) => panic!("no error in:\n{}", build.source.text()),
        Err(found) => found.iter().map(|diagnostic| diagnostic.code).collect(),
    }
}

/// Looks up what a file needs.
#[allow(dead_code)] // The rules' tests need it.
pub fn resolve(graph: &StageGraph) -> Bases {
    let mut bases = Bases::new();
    loop {
        let (missing, _) = graph.bases_with_errors(&bases);
        if missing.is_empty() {
            return bases;
        }
        let found =
            missing.into_iter().map(|it| (it.reference.clone(), it.platform.clone(), fake(&it)));
        bases.extend(found.map(|(reference, platform, base)| ((reference, platform), base)));
    }
}

/// An image of the table `bases.json`, or one with nothing but a layer.
fn fake(request: &BaseRequest) -> ResolvedBase {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/lower/bases.json");
    let table: BTreeMap<String, ImageConfig> =
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut config = table.get(&request.reference).cloned().unwrap_or_else(|| {
        let mut config = ImageConfig::empty(&request.platform);
        config.rootfs.diff_ids.push(Digest::of(request.reference.as_bytes()));
        config
    });
    if config.architecture.is_empty() {
        let Platform { os, architecture, variant } = request.platform.clone();
        (config.os, config.architecture, config.variant) = (os, architecture, variant);
    }
    let tag = if request.reference.contains(':') { "" } else { ":latest" };
    ResolvedBase {
        reference: format!("docker.io/library/{}{tag}", request.reference),
        manifest: Digest::of(format!("{}{}", request.reference, request.platform).as_bytes()),
        config,
    }
}
