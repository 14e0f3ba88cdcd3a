//! The store: whether it can be opened, and whether its file system can hold layers.

use std::path::{Path, PathBuf};

use rbuild_cache::{Active, Store};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::{Diagnosis, Status};
use crate::progress::size;
use crate::sandbox::Isolation;

/// In bytes; with less even a small base image does not fit.
const LITTLE: u64 = 1 << 30;

/// Opens it.
pub fn check(diagnosis: &mut Diagnosis, root: Result<PathBuf, &'static str>) -> Option<Store> {
    let open = |root: PathBuf| Store::open(&root).map_err(|error| error.to_string());
    let opened = root.map_err(str::to_owned).and_then(open);
    match opened {
        Ok(store) => {
            room(diagnosis, store.root());
            Some(store)
        }
        Err(why) => {
            let help = "set RBUILD_ROOT to a folder that this user can write to";
            diagnosis.add("store", Status::Missing, why).help = Some(help.into());
            None
        }
    }
}

fn room(diagnosis: &mut Diagnosis, root: &Path) {
    let disk = rustix::fs::statvfs(root);
    let free = disk.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    let text = match free {
        u64::MAX => format!("`{}`", root.display()),
        free => format!("`{}`, {} free", root.display(), size(free)),
    };
    let check = diagnosis.add("store", Status::Ok, text);
    if free < LITTLE {
        check.help = Some("that is little: `rbuild prune` makes room, RBUILD_ROOT moves it".into());
    }
}

/// Sets the attribute by which overlayfs marks a directory: without it a step cannot delete one.
pub fn attributes(diagnosis: &mut Diagnosis, isolation: &Isolation, active: &Active) {
    let name = match isolation.rootless {
        true => "user.overlay.opaque",
        false => "trusted.overlay.opaque",
    };
    let tried = rustix::fs::setxattr(&active.work, name, b"y", XattrFlags::empty())
        .and_then(|()| rustix::fs::removexattr(&active.work, name));
    match tried {
        Ok(()) => {
            diagnosis.add("attributes", Status::Ok, format!("the store's disk keeps `{name}`"));
        }
        Err(errno) => {
            let text = format!("the store's disk does not keep `{name}`: {}", reason(errno));
            diagnosis.add("attributes", Status::Missing, text).help = Some(
                "put the store on ext4, xfs, btrfs, or tmpfs of Linux 6.6: set RBUILD_ROOT".into(),
            );
        }
    }
}

fn reason(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}
