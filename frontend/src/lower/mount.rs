//! `RUN --mount`: what each mount is and where its files come from.
//!
//! Values are expanded here, except for `from`, which says what a stage depends on and has to be
//! known before.

mod options;

use rbuild_cache::pattern::escaped;
use rbuild_cache::tree::{PathSelector, Selector, Top};
use rbuild_solver::graph::{Edge, VertexId};
use rbuild_solver::op::Op;
use rbuild_solver::op::mount::{
    Access, CacheMount, FileOwner, Mount, MountKind, SecretMount, SecretVariable, Sharing, Source,
    SshMount,
};

use crate::ast::{MountKey, OptionList, Run, Text};
use crate::scope::Fallible;

use super::path;
use super::stage::StageLowering;
use options::{MountOptions, Type};

/// The build argument that sets caches of mounts apart.
pub(super) const CACHE_NAMESPACE_ARGUMENT: &str = "BUILDKIT_CACHE_MOUNT_NS";

/// Where secrets are mounted that say no target.
const SECRETS: &str = "/run/secrets";
/// Where sockets of agents are mounted, with a number.
const AGENT: &str = "/run/buildkit/ssh_agent";

/// Of a secret that says nothing else.
const SECRET_OWNER: FileOwner = FileOwner { mode: 0o400, uid: 0, gid: 0 };
/// Of an agent's socket.
const AGENT_OWNER: FileOwner = FileOwner { mode: 0o600, uid: 0, gid: 0 };
/// Of a cache that begins empty.
const CACHE_OWNER: FileOwner = FileOwner { mode: 0o755, uid: 0, gid: 0 };

/// All that the `--mount` flags of one step add up to.
#[derive(Default)]
pub(super) struct Mounted {
    pub(super) mounts: Vec<Mount>,
    pub(super) secrets: Vec<SecretVariable>,
    /// The socket of the first agent.
    pub(super) agent: Option<String>,
    agents: usize,
}

impl StageLowering<'_, '_> {
    /// Reads the flags. What they use of other stages, images and the context is added to `inputs`.
    pub(super) fn mounts(&mut self, run: &Run, inputs: &mut Vec<Edge>) -> Fallible<Mounted> {
        let mut mounted = Mounted::default();
        for list in &run.mounts {
            let options = MountOptions::read(list, |text| self.word(text))?;
            self.lowering.warnings.extend(options.without_effect());
            match options.kind {
                Type::Bind => {
                    let kind = self.bind(&options, inputs)?;
                    mounted.add(self.target(&options)?, kind);
                }
                Type::Cache => {
                    let kind = self.cache(&options, inputs)?;
                    mounted.add(self.target(&options)?, kind);
                }
                Type::Tmpfs => {
                    mounted.add(self.target(&options)?, MountKind::Tmpfs { size: options.size()? });
                }
                Type::Secret => self.secret(&options, &mut mounted)?,
                Type::Ssh => self.ssh(&options, &mut mounted)?,
            }
        }
        // What is mounted on a directory would be hidden if the directory came later.
        mounted.mounts.sort_by_key(|mount| mount.target.matches('/').count());
        Ok(mounted)
    }

    fn bind(&mut self, options: &MountOptions<'_>, inputs: &mut Vec<Edge>) -> Fallible<MountKind> {
        let source = self.mount_source(options, inputs)?;
        Ok(MountKind::Bind { source, access: options.access(Access::ReadOnly)? })
    }

    fn cache(&mut self, options: &MountOptions<'_>, inputs: &mut Vec<Edge>) -> Fallible<MountKind> {
        let target = options.text(MountKey::Target).unwrap_or_default();
        let id = options.text(MountKey::Id).filter(|id| !id.is_empty());
        let build_args = &self.lowering.options.build_args;
        let namespace = build_args.get(CACHE_NAMESPACE_ARGUMENT).cloned().unwrap_or_default();
        Ok(MountKind::Cache(CacheMount {
            namespace,
            id: id.map_or_else(|| cache_id(target), str::to_owned),
            sharing: options.sharing()?.unwrap_or(Sharing::Shared),
            seed: self.mount_source(options, inputs)?,
            access: options.access(Access::ReadWrite)?,
            owner: options.owner(CACHE_OWNER)?,
        }))
    }

    fn secret(&self, options: &MountOptions<'_>, mounted: &mut Mounted) -> Fallible<()> {
        let [source, id, target, variable] =
            [MountKey::Source, MountKey::Id, MountKey::Target, MountKey::Env]
                .map(|key| options.text(key).filter(|text| !text.is_empty()));
        let id = match (source, id, target) {
            (Some(_), Some(_), _) => {
                let message = "a secret has either `id` or `source`: they mean the same";
                let help = "remove one of them";
                return Err(options.error_with(MountKey::Source, message, help));
            }
            (Some(id), None, _) | (None, Some(id), _) => id,
            (None, None, Some(target)) => base_name(target),
            (None, None, None) => {
                let message = "a secret mount does not say which secret";
                let help = "add the name that `--secret` gives it: `id=NAME`";
                return Err(options.error_with(MountKey::Type, message, help));
            }
        };
        let (id, need) = (id.to_owned(), options.need()?);
        let owner = options.owner(SECRET_OWNER)?.unwrap_or(SECRET_OWNER);
        if let Some(name) = variable {
            let name = name.to_owned();
            mounted.secrets.push(SecretVariable { name, id: id.clone(), need });
        }
        let target = match (target, variable) {
            (Some(_), _) => self.target(options)?,
            (None, Some(_)) => return Ok(()),
            (None, None) => format!("{SECRETS}/{}", base_name(&id)),
        };
        mounted.add(target, MountKind::Secret(SecretMount { id, owner, need }));
        Ok(())
    }

    fn ssh(&self, options: &MountOptions<'_>, mounted: &mut Mounted) -> Fallible<()> {
        let id = options.text(MountKey::Id).filter(|id| !id.is_empty()).unwrap_or("default");
        let target = match options.text(MountKey::Target) {
            None | Some("") => format!("{AGENT}.{}", mounted.agents),
            Some(_) => self.target(options)?,
        };
        let owner = options.owner(AGENT_OWNER)?.unwrap_or(AGENT_OWNER);
        let mount = SshMount { id: id.to_owned(), owner, need: options.need()? };
        mounted.agents += 1;
        mounted.agent.get_or_insert_with(|| target.clone());
        mounted.add(target, MountKind::Ssh(mount));
        Ok(())
    }

    /// Where a mount goes. Without a target that is the working directory.
    fn target(&self, options: &MountOptions<'_>) -> Fallible<String> {
        let written = options.text(MountKey::Target).unwrap_or_default();
        let workdir = &self.state.config.config.working_dir;
        let target = match written.starts_with('/') {
            true => path::clean(written),
            false => path::clean(&format!("{workdir}/{written}")),
        };
        if target == "/" {
            let message = match options.text(MountKey::Target) {
                Some(_) => "nothing can be mounted on `/`",
                None => "the mount does not say where: it has no `target`",
            };
            let help = "mount it on a folder below, such as `target=/mnt`";
            return Err(options.error_with(MountKey::Target, message, help));
        }
        Ok(target)
    }

    /// What a bind mount shows, or a cache begins with. None for nothing.
    fn mount_source(
        &mut self,
        options: &MountOptions<'_>,
        inputs: &mut Vec<Edge>,
    ) -> Fallible<Option<Source>> {
        let from = options.from();
        let written = options.text(MountKey::Source).unwrap_or_default();
        let path = path::source(written);
        let tree = match (from, options.kind) {
            (None, Type::Cache) => None,
            (None, _) => self.tree(None),
            (Some(from), _) => {
                let from = self.lowering.stages.copy_from(from, self.index)?;
                self.tree(Some(&from))
            }
        };
        match tree {
            Some(tree) => {
                inputs.push(Edge { from: tree, selector: self.selector(tree, &path) });
                Ok(Some(Source { input: inputs.len() - 1, path }))
            }
            None if path.is_empty() => Ok(None),
            None if from.is_none() => {
                let message = "a cache mount has a `source` only together with `from`";
                let help = "add `from=STAGE` for what the cache begins with, or remove `source`";
                Err(options.error_with(MountKey::Source, message, help))
            }
            None => {
                let message = format!("`{written}` does not exist: what is mounted from is empty");
                let help = "an image `scratch`, or a stage of it without files, has none to mount";
                Err(options.error_with(MountKey::Source, &message, help))
            }
        }
    }

    /// The whole of an image or a stage is known by its layers, without reading any file.
    fn selector(&self, tree: VertexId, path: &str) -> Selector {
        let is_context = matches!(self.lowering.graph.vertex(tree).op, Op::Context(_));
        match path.is_empty() && !is_context {
            true => Selector::Whole,
            false => {
                let pattern = escaped(path);
                Selector::Paths(PathSelector {
                    pattern,
                    top: Top::Itself,
                    ..PathSelector::default()
                })
            }
        }
    }
}

impl Mounted {
    fn add(&mut self, target: String, kind: MountKind) {
        self.mounts.push(Mount { target, kind });
    }
}

/// The names of stages and images that the mounts of a step need, as they are written.
pub(crate) fn froms<'a>(mounts: &'a [OptionList]) -> impl Iterator<Item = &'a Text> {
    let from = |list: &'a OptionList| list.get(MountKey::From)?.value.as_ref();
    mounts.iter().filter_map(from).filter(|from| !from.is_empty())
}

/// A cache that says no `id` is named by its target: a relative one as it is written.
fn cache_id(target: &str) -> String {
    match path::clean(target) {
        absolute if target.starts_with('/') => absolute,
        absolute => absolute[1..].to_owned(),
    }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
