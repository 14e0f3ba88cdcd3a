//! `COPY` and `ADD` of files.

mod mode;

use rbuild_cache::pattern::rules::Rules;
use rbuild_cache::pattern::{Glob, has_wildcards};
use rbuild_cache::tree::{PathSelector, Selector};
use rbuild_solver::graph::{Edge, Origin, Vertex, VertexId};
use rbuild_solver::op::{ContextOp, CopyOp, CopySource, Op, Unpack};

use crate::ast::{AddFiles, CopyFiles, Heredoc, HeredocExpansion, Text, Transfer, TransferSource};
use crate::config::Layer;
use crate::diagnostic::Diagnostic;
use crate::expand::Style;
use crate::scope::{Fallible, expand};
use crate::stage::lookup::CopyFrom;
use crate::stage::reach::Step;
use crate::stage::unsupported::is_address;

use super::path;
use super::stage::StageLowering;

/// What differs between the instructions that copy.
struct Verb {
    keyword: &'static str,
    unpack: Unpack,
    from: Option<CopyFrom>,
}

/// What is copied, expanded.
#[derive(Default)]
struct Sources<'a> {
    paths: Vec<Source<'a>>,
    inline: Vec<Inline>,
}

/// A path or pattern.
struct Source<'a> {
    text: &'a Text,
    path: String,
}

/// A file that the Dockerfile holds.
struct Inline {
    name: String,
    data: Vec<u8>,
}

impl StageLowering<'_, '_> {
    pub(super) fn copy(&mut self, step: &Step, copy: &CopyFiles) -> Fallible<()> {
        let from = copy.from.as_ref();
        let from = from.map(|from| self.lowering.stages.copy_from(from, self.index)).transpose()?;
        let verb = Verb { keyword: "COPY", unpack: Unpack::No, from };
        self.transfer(step, &copy.transfer, &verb)
    }

    pub(super) fn add_files(&mut self, step: &Step, add: &AddFiles) -> Fallible<()> {
        let unpack = match add.unpack.as_ref().map(|unpack| unpack.value) {
            Some(false) => Unpack::No,
            None | Some(true) => Unpack::Archives,
        };
        self.transfer(step, &add.transfer, &Verb { keyword: "ADD", unpack, from: None })
    }

    fn transfer(&mut self, step: &Step, transfer: &Transfer, verb: &Verb) -> Fallible<()> {
        let dest = self.word(&transfer.dest)?;
        let chown = self.optional(transfer.chown.as_ref())?;
        let chmod = self.optional(transfer.chmod.as_ref())?;
        if let (Some(mode), Some(text)) = (&chmod, &transfer.chmod) {
            mode::check(mode).map_err(|reason| {
                let message = format!("`{mode}` is not a mode: {reason}");
                Diagnostic::error("bad-mode", text.span(), message)
            })?;
        }
        let Sources { paths, inline } = self.sources(transfer, verb)?;
        let exclude = excludes(transfer)?;
        let mut shown = vec![verb.keyword.to_owned()];
        shown.extend(chown.as_ref().map(|owner| format!("--chown={owner}")));
        shown.extend(chmod.as_ref().map(|mode| format!("--chmod={mode}")));
        shown.extend(paths.iter().map(|source| source.path.clone()));
        shown.extend(inline.iter().map(|file| format!("<<{}", file.name)));
        shown.push(dest.clone());

        let (mut inputs, base) = self.tip_edge();
        let mut sources = Vec::new();
        for source in &paths {
            if let Some(edge) = self.edge(source, &exclude, verb)? {
                sources.push(CopySource::Input { input: inputs.len() });
                inputs.push(edge);
            }
        }
        let inline =
            inline.into_iter().map(|Inline { name, data }| CopySource::Inline { name, data });
        sources.extend(inline);
        let op = Op::Copy(CopyOp {
            base,
            sources,
            dest: path::destination(&self.state.config.config.working_dir, &dest),
            chown,
            chmod,
            unpack: verb.unpack,
            keep_owner: verb.from.is_some(),
        });
        let line = self.shown(&step.instruction, self.style());
        let origin = self.origin(step, verb.keyword, &line);
        self.state.tip = Some(self.add(op, inputs, origin));
        self.state.config.record(format!("{} # buildkit", shown.join(" ")), Layer::Made);
        Ok(())
    }

    /// The paths and the files given inline, expanded.
    fn sources<'t>(&self, transfer: &'t Transfer, verb: &Verb) -> Fallible<Sources<'t>> {
        let mut sources = Sources::default();
        for source in &transfer.sources {
            match source {
                TransferSource::Path(text) => {
                    sources.paths.push(Source { text, path: self.source_path(text, verb)? });
                }
                TransferSource::Heredoc(doc) => sources.inline.push(self.inline(doc)?),
            }
        }
        Ok(sources)
    }

    fn source_path(&self, text: &Text, verb: &Verb) -> Fallible<String> {
        let path = self.word(text)?;
        if is_address(&path) {
            let message = match verb.keyword {
                "ADD" => "ADD of an address is not supported by this rbuild yet".to_owned(),
                keyword => format!("{keyword} takes files, `{path}` is an address"),
            };
            return Err(Box::new(Diagnostic::error("unsupported", text.span(), message)));
        }
        if has_wildcards(&path) {
            Glob::components(&path).map_err(|error| {
                Diagnostic::error("bad-pattern", text.span(), error.to_string())
            })?;
        }
        Ok(path)
    }

    fn inline(&self, doc: &Heredoc) -> Fallible<Inline> {
        if doc.name.contains('/') || matches!(doc.name.as_str(), "" | "." | "..") {
            let message = format!("`{}` cannot be the name of a file", doc.name);
            return Err(Box::new(Diagnostic::error("bad-file-name", doc.word.span(), message)));
        }
        let content = doc.content();
        let data = match doc.expansion {
            HeredocExpansion::Literal => content.to_string(),
            HeredocExpansion::Expand => expand(Style::heredoc(), &content, &self.state.scope)?.text,
        };
        Ok(Inline { name: doc.name.clone(), data: data.into_bytes() })
    }

    /// A flag's value; one that is empty after expansion is as if it were not there.
    fn optional(&self, flag: Option<&Text>) -> Fallible<Option<String>> {
        let value = flag.map(|text| self.word(text)).transpose()?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// The tree that a source is in, and which of its paths. None for a pattern in an empty tree,
    /// which matches nothing, and for its root.
    fn edge(
        &mut self,
        source: &Source<'_>,
        exclude: &[String],
        verb: &Verb,
    ) -> Fallible<Option<Edge>> {
        let pattern = path::source(&source.path);
        let Some(from) = self.tree(verb.from.as_ref()) else {
            if has_wildcards(&pattern) || pattern.is_empty() {
                return Ok(None);
            }
            let message = format!("`{}` does not exist: what is copied from is empty", source.path);
            return Err(Box::new(Diagnostic::error("empty-source", source.text.span(), message)));
        };
        let selector = Selector::Paths(PathSelector { pattern, exclude: exclude.to_vec() });
        Ok(Some(Edge { from, selector }))
    }

    /// Whose result the sources are in.
    fn tree(&mut self, from: Option<&CopyFrom>) -> Option<VertexId> {
        match from {
            None => Some(self.context()),
            Some(CopyFrom::Scratch) => None,
            Some(CopyFrom::Stage(stage)) => self.lowering.done.get(stage)?.tip,
            Some(CopyFrom::Image(reference)) => {
                let platform = &self.lowering.options.platform;
                let base = self.lowering.bases.get(&(reference.clone(), platform.clone()))?;
                let origin = Origin {
                    title: format!("FROM {}", base.reference),
                    slot: format!("FROM {} {platform}", base.reference),
                    ..Origin::default()
                };
                self.lowering.image(base, platform, origin)
            }
        }
    }

    fn context(&mut self) -> VertexId {
        let origin = Origin {
            title: "[internal] load build context".to_owned(),
            slot: "context".to_owned(),
            ..Origin::default()
        };
        let op = Op::Context(ContextOp { name: "context".to_owned() });
        self.lowering.graph.add(Vertex { op, inputs: Vec::new(), origin })
    }
}

/// `--exclude` patterns, checked. They are not expanded.
fn excludes(transfer: &Transfer) -> Fallible<Vec<String>> {
    let patterns: Vec<String> = transfer.excludes.iter().map(Text::to_string).collect();
    Rules::new(&patterns).map_err(|(position, error)| {
        Diagnostic::error("bad-pattern", transfer.excludes[position].span(), error.to_string())
    })?;
    Ok(patterns)
}
