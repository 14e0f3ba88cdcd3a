//! Making layers visible: the directories of a stack, and a read-only merged view of it.
//!
//! Mounts are made once per process and kept. They are reached by name, since the sandbox's
//! processes share the mount namespace but no descriptors.

use std::collections::{HashMap, HashSet};
use std::fs::Permissions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use rustix::io::Errno;
use rustix::mount::{
    FsOpenFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsopen, unmount,
};

use super::error::MOST_LAYERS;
use super::indexed::{INDEX, TAR};
use super::overlay::{self, Access, attach, handle, short_name};
use super::squash::{self, Squashed};
use super::{Layers, MountError, Snapshot};
use crate::db::Form;
use crate::fs::{self, FsError};
use crate::id::LayerId;
use crate::root::guard;

/// What this process has mounted.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Where each layer is to be seen.
    lowers: Mutex<HashMap<LayerId, PathBuf>>,
    /// What deep stacks have below.
    squashed: Mutex<HashMap<Vec<LayerId>, Squashed>>,
    mounted: Mutex<Vec<PathBuf>>,
    views: Mutex<HashMap<Snapshot, Weak<View>>>,
}

/// The merged tree of a snapshot, read-only. It stays until the last owner drops it.
#[derive(Debug)]
pub struct View {
    path: PathBuf,
    mounted: bool,
}

/// A part of a stack, bottom first.
enum Part<'a> {
    Layer(&'a LayerId),
    Group(&'a [LayerId]),
}

impl View {
    /// The root of the tree.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Layers {
    /// The directories that overlayfs is given for `snapshot`: the topmost first. Overlayfs needs
    /// one at least, so that for `scratch` it is an empty directory.
    ///
    /// A layer may be twice in a stack: base images are like that. Overlayfs refuses that, and the
    /// upper one alone shows the same.
    pub fn lowers(&self, snapshot: &Snapshot) -> Result<Vec<PathBuf>, MountError> {
        let (groups, above) = squash::groups(&snapshot.layers);
        let parts = groups.map(Part::Group).chain(above.iter().map(Part::Layer));
        let (mut seen, mut lowers) = (HashSet::new(), Vec::new());
        'parts: for part in parts.rev() {
            for lower in self.part(part)? {
                if seen.insert(lower.clone()) {
                    lowers.push(lower);
                }
                // Overlayfs merges all roots, whatever their marks say.
                if lowers.last().is_some_and(|lower| self.is_opaque(lower)) {
                    break 'parts;
                }
            }
        }
        if lowers.is_empty() {
            lowers.push(self.empty()?);
        }
        if lowers.len() > MOST_LAYERS {
            return Err(MountError::TooDeep(lowers.len()));
        }
        Ok(lowers)
    }

    /// The merged tree of `snapshot`, mounted once however often it is asked for.
    pub fn view(&self, snapshot: &Snapshot) -> Result<Arc<View>, MountError> {
        let mut views = guard(&self.inner.mounts.views);
        if let Some(view) = views.get(snapshot).and_then(Weak::upgrade) {
            return Ok(view);
        }
        let view = Arc::new(self.mount_view(snapshot)?);
        views.retain(|_, view| view.strong_count() > 0);
        views.insert(snapshot.clone(), Arc::downgrade(&view));
        Ok(view)
    }

    fn mount_view(&self, snapshot: &Snapshot) -> Result<View, MountError> {
        let lowers = self.lowers(snapshot)?;
        let empty = self.empty()?;
        match lowers == [empty.clone()] {
            true => Ok(View { path: empty, mounted: false }),
            false => self.mount_lowers(lowers),
        }
    }

    pub(super) fn mount_lowers(&self, mut lowers: Vec<PathBuf>) -> Result<View, MountError> {
        // Overlayfs without an upper wants two lowers.
        lowers.push(self.empty()?);
        let path = self.mount_point()?;
        let view = View { path, mounted: true };
        let failed = |cause| MountError::Mount { what: "a stack of layers".to_owned(), cause };
        overlay::lay(&lowers, None, self.inner.rights, &view.path).map_err(failed)?;
        Ok(view)
    }

    fn is_opaque(&self, lower: &Path) -> bool {
        let mut value = [0; 1];
        let mark = self.inner.rights.opaque_mark();
        rustix::fs::lgetxattr(lower, mark, &mut value).is_ok() && value == *b"y"
    }

    /// What is shown for a part of a stack, the topmost first.
    fn part(&self, part: Part<'_>) -> Result<Vec<PathBuf>, MountError> {
        let group = match part {
            Part::Layer(layer) => return Ok(vec![self.lower(layer)?]),
            Part::Group(group) => group,
        };
        let mut known = guard(&self.inner.mounts.squashed);
        if let Some(squashed) = known.get(group) {
            return Ok(squashed.lowers.clone());
        }
        let squashed = self.squash(group)?;
        let lowers = squashed.lowers.clone();
        known.insert(group.to_vec(), squashed);
        Ok(lowers)
    }

    pub(super) fn lower(&self, layer: &LayerId) -> Result<PathBuf, MountError> {
        let mut known = guard(&self.inner.mounts.lowers);
        if let Some(path) = known.get(layer) {
            return Ok(path.clone());
        }
        let row = self.row(layer)?.ok_or(MountError::Missing(*layer))?;
        let folder = self.inner.root.layer(layer);
        let path = match row.form {
            None => return Err(MountError::NotHere(*layer)),
            Some(Form::Directory) => folder.join("fs"),
            Some(Form::Erofs) => {
                let at = self.mount_point()?;
                let failed = |cause: Errno| MountError::Mount {
                    what: format!("layer `{layer}`"),
                    cause: cause.into(),
                };
                let indexed = open_indexed(&folder).map_err(failed)?;
                attach(&indexed, Access::Read, &at).map_err(failed)?;
                guard(&self.inner.mounts.mounted).push(at.clone());
                at
            }
        };
        known.insert(*layer, path.clone());
        Ok(path)
    }

    /// What is below `scratch`.
    fn empty(&self) -> Result<PathBuf, MountError> {
        let path = self.inner.root.mounts().join("empty");
        fs::create_dir(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o755))
            .map_err(|cause| FsError::new("chmod", &path, cause))?;
        Ok(path)
    }

    /// A directory to mount on. Every process has its own mounts on the same few directories, so
    /// that none is ever removed: that would take away what another process has mounted there.
    pub(super) fn mount_point(&self) -> Result<PathBuf, MountError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.inner.root.mounts().join(number.to_string());
        fs::create_dir(&path)?;
        Ok(path)
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for path in guard(&self.mounted).drain(..) {
            let _ = unmount(&path, UnmountFlags::DETACH);
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.mounted {
            // Nobody is told: the namespace ends with the process anyway.
            let _ = unmount(&self.path, UnmountFlags::DETACH);
        }
    }
}

/// Configures the file system of an indexed layer.
pub(super) fn open_indexed(folder: &Path) -> rustix::io::Result<OwnedFd> {
    let (index, tar) = (handle(&folder.join(INDEX))?, handle(&folder.join(TAR))?);
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", short_name(&index))?;
    fsconfig_set_string(&context, "device", short_name(&tar))?;
    fsconfig_create(&context)?;
    Ok(context)
}
