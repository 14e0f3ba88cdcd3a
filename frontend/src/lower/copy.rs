//! `COPY` and `ADD` of files.

mod mode;

use rbuild_cache::pattern::rules::Rules;
use rbuild_cache::pattern::{BadPattern, Glob, has_wildcards};
use rbuild_cache::tree::{PathSelector, Selector, Top};
use rbuild_solver::graph::{Edge, Origin, Vertex, VertexId};
use rbuild_solver::op::{ContextOp, CopyOp, CopySource, Op, Unpack};

use crate::address::{Address, redacted};

use crate::ast::{AddFiles, CopyFiles, Heredoc, HeredocExpansion, Text, Transfer, TransferSource};
use crate::config::Layer;
use crate::diagnostic::Diagnostic;
use crate::expand::Style;
use crate::scope::{Fallible, expand};
use crate::source::Spanned;
use crate::stage::lookup::CopyFrom;
use crate::stage::reach::Step;

use super::path;
use super::remote::{Fetch, bad_address};
use super::stage::StageLowering;

/// What differs between the instructions that copy.
enum Verb<'a> {
    /// `COPY`
    Copy { from: Option<CopyFrom>, keeps: Keeps },
    /// `ADD`, with `--unpack`.
    Add { unpack: Option<bool>, fetch: Fetch<'a> },
}

/// What is kept of the path of a source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// Its name.
    Name,
    /// Its parents too: `--parents`.
    Parents,
}

/// `--chown` and `--chmod`, expanded.
struct Attributes {
    chown: Option<String>,
    chmod: Option<String>,
}

/// What is copied, expanded.
#[derive(Default)]
struct Sources<'a> {
    paths: Vec<Source<'a>>,
    inline: Vec<Inline>,
}

/// A path or pattern, or an address.
struct Source<'a> {
    text: &'a Text,
    path: String,
    address: Option<Address>,
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
        let keeps = if is_on(copy.parents.as_ref()) { Keeps::Parents } else { Keeps::Name };
        self.transfer(step, &copy.transfer, &Verb::Copy { from, keeps })
    }

    pub(super) fn add_files(&mut self, step: &Step, add: &AddFiles) -> Fallible<()> {
        let unpack = add.unpack.as_ref().map(|unpack| unpack.value);
        self.transfer(step, &add.transfer, &Verb::Add { unpack, fetch: self.fetch(add)? })
    }

    fn transfer(&mut self, step: &Step, transfer: &Transfer, verb: &Verb<'_>) -> Fallible<()> {
        let dest = self.word(&transfer.dest)?;
        let attributes = self.attributes(transfer)?;
        let Sources { paths, inline } = self.sources(transfer, verb)?;
        let exclude = excludes(transfer)?;
        let history = history(verb, &attributes, &paths, &inline, &dest);
        // With a mode it is an ordinary copy to Docker, and the same tree has to come out.
        let apart = is_on(transfer.link.as_ref()) && attributes.chmod.is_none();
        if apart && let (Some(owner), Some(text)) = (&attributes.chown, &transfer.chown) {
            check_numbers(owner, text)?;
        }

        let (mut inputs, base) = if apart { (Vec::new(), None) } else { self.tip_edge() };
        let mut sources = Vec::new();
        for source in &paths {
            if let Some(edge) = self.edge(step, source, &exclude, verb)? {
                let unpack = verb.unpack(source);
                sources.push(CopySource::Input { input: inputs.len(), unpack });
                inputs.push(edge);
            }
        }
        let inline =
            inline.into_iter().map(|Inline { name, data }| CopySource::Inline { name, data });
        sources.extend(inline);
        let Attributes { chown, chmod } = attributes;
        let dest = path::destination(&self.state.config.config.working_dir, &dest);
        let op = Op::Copy(CopyOp { base, sources, dest, chown, chmod });
        let line = self.shown(&step.instruction, self.style());
        let origin = self.origin(step, verb.keyword(), &line);
        let copied = self.add(op, inputs, origin.clone());
        self.state.tip = Some(if apart { self.on_tip(copied, origin) } else { copied });
        self.state.config.record(history, Layer::Made);
        Ok(())
    }

    /// What was made apart from the stage's tree, on it.
    fn on_tip(&mut self, made: VertexId, origin: Origin) -> VertexId {
        let Some(tip) = self.state.tip else { return made };
        let part = |from| Edge { from, selector: Selector::Whole };
        self.add(Op::Stack, vec![part(tip), part(made)], origin)
    }

    fn attributes(&self, transfer: &Transfer) -> Fallible<Attributes> {
        let chown = self.optional(transfer.chown.as_ref())?;
        let chmod = self.optional(transfer.chmod.as_ref())?;
        if let (Some(mode), Some(text)) = (&chmod, &transfer.chmod) {
            mode::check(mode).map_err(|reason| {
                let message = format!("`{mode}` is not a mode: {reason}");
                Diagnostic::error("bad-mode", text.span(), message)
            })?;
        }
        Ok(Attributes { chown, chmod })
    }

    /// The paths and the files given inline, expanded.
    fn sources<'t>(&self, transfer: &'t Transfer, verb: &Verb<'_>) -> Fallible<Sources<'t>> {
        let mut sources = Sources::default();
        for source in &transfer.sources {
            match source {
                TransferSource::Path(text) => {
                    sources.paths.push(self.source(text, verb)?);
                }
                TransferSource::Heredoc(doc) => sources.inline.push(self.inline(doc)?),
            }
        }
        Ok(sources)
    }

    fn source<'t>(&self, text: &'t Text, verb: &Verb<'_>) -> Fallible<Source<'t>> {
        let path = self.word(text)?;
        if let Some(address) = Address::parse(&path) {
            if let Verb::Copy { .. } = verb {
                return Err(Box::new(remote_source(text)));
            }
            let address = address.map_err(|error| bad_address(&error, text))?;
            return Ok(Source { text, path, address: Some(address) });
        }
        if let Verb::Add { fetch, .. } = verb {
            fetch.check_path()?;
        }
        check_pattern(&verb.selector(&path, &[]), text)?;
        Ok(Source { text, path, address: None })
    }

    fn inline(&self, doc: &Heredoc) -> Fallible<Inline> {
        if doc.name.contains('/') || matches!(doc.name.as_str(), "" | "." | "..") {
            let message = format!("`{}` cannot be the name of a file", doc.name);
            let error = Diagnostic::error("bad-file-name", doc.word.span(), message);
            let help = "the word of a heredoc names the file: put folders into the destination";
            return Err(Box::new(error.with_help(help)));
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
    /// which matches nothing; its root is an empty directory like any other.
    fn edge(
        &mut self,
        step: &Step,
        source: &Source<'_>,
        exclude: &[String],
        verb: &Verb<'_>,
    ) -> Fallible<Option<Edge>> {
        if let (Some(address), Verb::Add { fetch, .. }) = (&source.address, verb) {
            return self.remote_edge(address, source.text, step, fetch, exclude).map(Some);
        }
        let selector = verb.selector(&source.path, exclude);
        let Some(from) = self.tree(verb.from()) else {
            if has_wildcards(&source.path) {
                return Ok(None);
            }
            if selector == verb.selector("/", exclude) {
                let from = self.add(Op::Stack, Vec::new(), Origin::default());
                return Ok(Some(Edge { from, selector: Selector::Paths(selector) }));
            }
            let message = format!("`{}` does not exist: what is copied from is empty", source.path);
            return Err(Box::new(Diagnostic::error("empty-source", source.text.span(), message)));
        };
        Ok(Some(Edge { from, selector: Selector::Paths(selector) }))
    }

    /// Whose result the sources are in.
    pub(super) fn tree(&mut self, from: Option<&CopyFrom>) -> Option<VertexId> {
        match from {
            None => Some(self.context(ContextOp::MAIN)),
            Some(CopyFrom::Context(name)) => Some(self.context(name)),
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

    /// The files that the user gives under this name.
    pub(super) fn context(&mut self, name: &str) -> VertexId {
        let (title, slot) = match name {
            ContextOp::MAIN => ("[internal] load build context".to_owned(), "context"),
            name => (format!("[context {name}] load files"), name),
        };
        let origin = Origin { title, slot: slot.to_owned(), ..Origin::default() };
        let op = Op::Context(ContextOp { name: name.to_owned() });
        self.lowering.graph.add(Vertex { op, inputs: Vec::new(), origin })
    }
}

impl Verb<'_> {
    fn keyword(&self) -> &'static str {
        match self {
            Verb::Copy { .. } => "COPY",
            Verb::Add { .. } => "ADD",
        }
    }

    fn from(&self) -> Option<&CopyFrom> {
        match self {
            Verb::Copy { from, .. } => from.as_ref(),
            Verb::Add { .. } => None,
        }
    }

    /// Which paths of a tree a source names.
    fn selector(&self, source: &str, exclude: &[String]) -> PathSelector {
        let (pattern, include) = match self {
            Verb::Copy { keeps: Keeps::Parents, .. } => path::with_parents(source),
            _ => (path::source(source), None),
        };
        PathSelector { pattern, include, exclude: exclude.to_vec(), top: Top::Contents }
    }

    /// What is local is unpacked unless `--unpack` says no, a file from elsewhere only if it says
    /// yes.
    fn unpack(&self, source: &Source<'_>) -> Unpack {
        let wanted = match (self, &source.address) {
            (Verb::Copy { .. }, _) | (_, Some(Address::Git(_))) => false,
            (Verb::Add { unpack, .. }, Some(Address::Http(_))) => unpack.unwrap_or(false),
            (Verb::Add { unpack, .. }, None) => unpack.unwrap_or(true),
        };
        if wanted { Unpack::Archives } else { Unpack::No }
    }
}

/// The line that the image's history has of a copy. `--link` and `--exclude` do not show in it.
fn history(
    verb: &Verb<'_>,
    attributes: &Attributes,
    paths: &[Source<'_>],
    inline: &[Inline],
    dest: &str,
) -> String {
    let mut shown = vec![verb.keyword().to_owned()];
    if let Verb::Copy { keeps: Keeps::Parents, .. } = verb {
        shown.push("--parents".to_owned());
    }
    shown.extend(attributes.chown.as_ref().map(|owner| format!("--chown={owner}")));
    shown.extend(attributes.chmod.as_ref().map(|mode| format!("--chmod={mode}")));
    shown.extend(paths.iter().map(|source| redacted(&source.path)));
    shown.extend(inline.iter().map(|file| format!("<<{}", file.name)));
    shown.push(dest.to_owned());
    format!("{} # buildkit", shown.join(" "))
}

fn is_on(flag: Option<&Spanned<bool>>) -> bool {
    flag.is_some_and(|flag| flag.value)
}

/// Names of owners are in the image, which a linked copy does not see; `root` is the same in all.
fn check_numbers(owner: &str, text: &Text) -> Fallible<()> {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let Some(name) = owner.split(':').find(|part| !is_number(part) && *part != "root") else {
        return Ok(());
    };
    let message = format!("`--link` cannot look up the name `{name}`: it does not see the image");
    let error = Diagnostic::error("linked-owner", text.span(), message);
    Err(Box::new(error.with_help("use numbers, as in `--chown=1000:1000`, or drop `--link`")))
}

fn check_pattern(selector: &PathSelector, text: &Text) -> Fallible<()> {
    let bad = |error: BadPattern| Box::new(bad_pattern(text, error.to_string()));
    if has_wildcards(&selector.pattern) {
        Glob::components(&selector.pattern).map_err(bad)?;
    }
    Rules::new(&selector.include).map_err(|(_, error)| bad(error))?;
    Ok(())
}

fn remote_source(text: &Text) -> Diagnostic {
    let message = "`COPY` takes files of the build context, and this is an address";
    let help = format!("did you mean `ADD {}`?", redacted(text.as_str()));
    Diagnostic::error("remote-source", text.span(), message).with_help(help)
}

/// `--exclude` patterns, checked. They are not expanded.
fn excludes(transfer: &Transfer) -> Fallible<Vec<String>> {
    let patterns: Vec<String> = transfer.excludes.iter().map(Text::to_string).collect();
    Rules::new(&patterns).map_err(|(position, error)| {
        bad_pattern(&transfer.excludes[position], error.to_string())
    })?;
    Ok(patterns)
}

fn bad_pattern(text: &Text, message: String) -> Diagnostic {
    let error = Diagnostic::error("bad-pattern", text.span(), message);
    error.with_help("a character of a name is written as `[[]`, `[*]` or `[?]`")
}
