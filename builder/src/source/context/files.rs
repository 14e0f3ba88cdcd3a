//! The files of one context: where they come from, and for how long they are there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_cache::stat::StatCache;
use rbuild_cache::tree::{Filter, Owners, Tree};
use rbuild_cache::{Scratch, View};

use super::ContextError;
use super::ignore::Ignore;

/// The files that a build sees under one name.
#[derive(Debug)]
pub struct Files {
    /// The files, as the ignore rules leave them.
    pub tree: Tree,
    /// The directory they are in, absolute, links resolved.
    pub root: PathBuf,
    /// What the files hashed to in earlier builds. Nothing of files that are here for one build.
    pub stats: StatCache,
    /// The rules that hide files.
    pub ignore: Option<Arc<Ignore>>,
    _keep: Keep,
}

/// What has to live as long as the files are read.
#[derive(Debug)]
pub(super) enum Keep {
    /// A directory of the user's, which stays.
    Nothing,
    /// A folder that goes with this value.
    Folder { _folder: Scratch },
    /// A tree of the store.
    View { _view: Arc<View> },
}

impl Files {
    /// A directory of the user's: owners do not count, and its ignore file does.
    pub(super) fn of_directory(
        root: &Path,
        ignore: Option<Ignore>,
        stats: StatCache,
    ) -> Result<Files, ContextError> {
        let ignore = ignore.map(Arc::new);
        let filter = ignore.clone().map(|ignore| ignore as Arc<dyn Filter>);
        let tree = open(root, Owners::Root, filter)?;
        Ok(Files { tree, root: root.to_owned(), stats, ignore, _keep: Keep::Nothing })
    }

    /// What was unpacked or fetched: owners count, ignore files do not.
    pub(super) fn fetched(root: &Path, keep: Keep) -> Result<Files, ContextError> {
        let tree = open(root, Owners::Kept, None)?;
        let (root, stats) = (root.to_owned(), StatCache::none());
        Ok(Files { tree, root, stats, ignore: None, _keep: keep })
    }
}

fn open(
    root: &Path,
    owners: Owners,
    filter: Option<Arc<dyn Filter>>,
) -> Result<Tree, ContextError> {
    Tree::open(root, owners, filter)
        .map_err(|error| ContextError::Root { path: error.path, source: error.source })
}
