//! A Dockerfile, from its bytes to a graph and an image config, or to messages.

use std::collections::BTreeMap;

use rbuild_cache::Digest;
use rbuild_frontend::config::ImageConfig;
use rbuild_frontend::diagnostic::{Color, Diagnostic, render};
use rbuild_frontend::lint::{Facts, lint};
use rbuild_frontend::lower::lower;
use rbuild_frontend::outline;
use rbuild_frontend::parser::parse;
use rbuild_frontend::source::Source;
use rbuild_frontend::stage::{BaseRequest, Bases, ResolvedBase, StageGraph, stages_with_errors};
use rbuild_frontend::{Options, Platforms};
use rbuild_solver::graph::Graph;
use rbuild_solver::op::{Network, Platform, Resources};

/// An image can bring triggers, which can name images: more rounds than this are for nothing.
const ROUNDS: usize = 8;

/// Parses, finds the stages, resolves the bases to made-up images, checks the rules and lowers. Every
/// message lies inside the text and can be shown.
pub fn dockerfile(input: &[u8]) {
    let source = Source::new("Dockerfile", input.to_vec());
    let parsed = parse(&source);
    shown(&parsed.diagnostics, &source);
    let options = options();
    let (graph, found) = stages_with_errors(&parsed.ast, &source, &options);
    shown(&found, &source);
    if outline::targets(&parsed.ast).is_empty() {
        return;
    }
    let _ = outline::outline(&parsed.ast, &graph, &options);
    let bases = resolve(&graph, &source);
    match lint(&Facts::new(&parsed.ast, &graph, &bases, &options, &|path| path.len() > 8)) {
        Ok(found) => {
            let all: Vec<_> = found.findings.into_iter().map(|it| it.diagnostic).collect();
            shown(&all, &source);
        }
        Err(found) => shown(&found, &source),
    }
    if parsed.has_errors() || !found.is_empty() {
        return;
    }
    let mut ops = Graph::new();
    match lower(&mut ops, &graph, &bases, &options) {
        Ok(lowered) => {
            let needed = ops.needed(lowered.target.as_slice());
            assert!(needed.len() <= ops.len());
            let written = serde_json::to_vec(&lowered.config).unwrap_or_default();
            let read: Result<ImageConfig, _> = serde_json::from_slice(&written);
            assert!(read.is_ok(), "a config that is not read back: {read:?}");
            shown(&lowered.warnings, &source);
        }
        Err(found) => {
            assert!(!found.is_empty(), "no graph, and no reason");
            shown(&found, &source);
        }
    }
}

/// Messages lie inside the text, between characters, and are rendered with and without colours.
fn shown(found: &[Diagnostic], source: &Source) {
    for diagnostic in found {
        let (span, text) = (diagnostic.span.clone(), source.text());
        assert!(
            text.get(span.clone()).is_some(),
            "{span:?} of {} bytes: {diagnostic:?}",
            text.len()
        );
    }
    for color in [Color::Never, Color::Always] {
        assert!(found.is_empty() || !render(found, source, color).is_empty());
    }
}

fn resolve(graph: &StageGraph, source: &Source) -> Bases {
    let mut bases = Bases::new();
    for _ in 0..ROUNDS {
        let (missing, found) = graph.bases_with_errors(&bases);
        shown(&found, source);
        if missing.is_empty() {
            break;
        }
        let made = missing.into_iter().map(|request| {
            let key = (request.reference.clone(), request.platform.clone());
            (key, image(&request))
        });
        bases.extend(made);
    }
    bases
}

/// An image of one layer. What is called `onbuild` has triggers: the rest of its name, by lines.
fn image(request: &BaseRequest) -> ResolvedBase {
    let mut config = ImageConfig::empty(&request.platform);
    config.rootfs.diff_ids.push(Digest::of(request.reference.as_bytes()));
    config.config.env = vec!["PATH=/bin".to_owned(), "A=from the base".to_owned()];
    if request.reference.starts_with("onbuild") {
        let triggers = ["RUN echo $A", "COPY --from=other . /", "ARG B=1", "FROM x", "ENV A"];
        config.config.on_build = triggers.map(str::to_owned).to_vec();
    }
    let manifest = Digest::of(format!("{}{}", request.reference, request.platform).as_bytes());
    ResolvedBase { reference: request.reference.clone(), manifest, config }
}

fn options() -> Options {
    let platform = |text| Platform::parse(text).unwrap_or_else(|| panic!("`{text}` is a platform"));
    let value = ("A".to_owned(), "${B} \"'\\ \u{e4}".to_owned());
    Options {
        build_args: BTreeMap::from([value.clone()]),
        target: None,
        also: Vec::new(),
        contexts: BTreeMap::new(),
        platform: platform("linux/arm/v7"),
        platforms: Platforms::Several,
        build_platform: platform("linux/amd64"),
        labels: BTreeMap::from([value]),
        network: Network::Default,
        resources: Resources::default(),
        no_cache: false,
        proxies: Vec::new(),
        hostname: "host".to_owned(),
        epoch: Some(1),
    }
}
