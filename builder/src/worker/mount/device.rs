//! Devices by their CDI name: what a step that asks for one sees.
//!
//! A device file is the host's own, mounted where the spec wants it, or one like it with the mode
//! and owner that the spec gives; in a user namespace none can be made, so they have to be the host's. What a spec can ask for and a step cannot be given (hooks, groups, network devices)
//! is refused. A step gets only what the user allows.

mod spec;

use std::io;
use std::path::PathBuf;

use rbuild_solver::op::ExecOp;
use rbuild_solver::op::mount::{Device, Need};

use self::spec::{Edits, Registry};
use super::Prepared;
use crate::sandbox::{Access, DeviceLook, Mount, MountKind, Source};

/// The devices that steps can have.
#[derive(Debug, Clone)]
pub struct Devices {
    /// Where specs are looked for.
    pub folders: Vec<PathBuf>,
    /// Which of them steps may have.
    pub allowed: Allowed,
}

/// Which devices steps may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Allowed {
    /// None.
    #[default]
    None,
    /// These, by a name or a kind.
    Named(Vec<String>),
    /// All.
    All,
}

/// Why a step does not get a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The user has not allowed it.
    #[error("the step asks for the device `{0}`, which is not allowed")]
    NotAllowed(String),
    /// It cannot do without, and there is none.
    #[error("the step needs the device `{name}`, and no spec in {folders} has it")]
    Missing {
        /// As the step has it.
        name: String,
        /// Where specs were looked for.
        folders: String,
    },
    /// A folder or file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no spec.
    #[error("`{}` is not a CDI spec: {reason}", path.display())]
    Spec {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Two files of one folder have it.
    #[error("the device `{name}` is in `{}` and in `{}`", paths[0].display(), paths[1].display())]
    Twice {
        /// The device.
        name: String,
        /// The files.
        paths: [PathBuf; 2],
    },
    /// Its spec asks for something that steps cannot have.
    #[error("the device `{name}` needs {what}, which steps cannot have")]
    Unsupported {
        /// The device.
        name: String,
        /// What its spec asks for.
        what: String,
    },
}

impl Default for Devices {
    fn default() -> Devices {
        Devices { folders: spec::FOLDERS.map(PathBuf::from).to_vec(), allowed: Allowed::None }
    }
}

impl Allowed {
    /// Allows `device` (all), or `device=NAME`; whether that is what the text says.
    pub fn add(&mut self, text: &str) -> bool {
        match (text.strip_prefix("device"), &mut *self) {
            (Some(""), _) => *self = Allowed::All,
            (Some(rest), _) if !rest.starts_with('=') || rest.len() == 1 => return false,
            (Some(_), Allowed::All) => {}
            (Some(rest), Allowed::Named(names)) => names.push(rest[1..].to_owned()),
            (Some(rest), Allowed::None) => *self = Allowed::Named(vec![rest[1..].to_owned()]),
            (None, _) => return false,
        }
        true
    }

    fn allows(&self, asked: &str, device: &str) -> bool {
        match self {
            Allowed::None => false,
            Allowed::All => true,
            Allowed::Named(names) => names.iter().any(|name| {
                let kind = name.strip_suffix("=*").unwrap_or(name);
                name == asked || name == device || device.split('=').next() == Some(kind)
            }),
        }
    }
}

impl DeviceError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            DeviceError::NotAllowed(name) => {
                Some(format!("allow it with `--allow device={name}`, if you trust the Dockerfile"))
            }
            DeviceError::Missing { .. } => {
                Some("`--cdi-spec-dir` names another folder of specs".to_owned())
            }
            _ => None,
        }
    }
}

/// Adds to the step what its devices bring. Gives what the user should know: one line each.
pub(super) fn prepare(
    devices: &Devices,
    op: &ExecOp,
    prepared: &mut Prepared,
) -> Result<Vec<String>, DeviceError> {
    let mut notices = Vec::new();
    if op.devices.is_empty() {
        return Ok(notices);
    }
    let registry = Registry::read(&devices.folders)?;
    for device in &op.devices {
        let found = registry.find(&device.name);
        if found.is_empty() {
            notices.push(devices.missing(device)?);
        }
        for name in found {
            if !devices.allowed.allows(&device.name, name) {
                return Err(DeviceError::NotAllowed(name.to_owned()));
            }
            for edits in registry.edits(name) {
                add(edits, name, op, prepared)?;
            }
        }
    }
    Ok(notices)
}

impl Devices {
    fn missing(&self, device: &Device) -> Result<String, DeviceError> {
        let name = device.name.clone();
        let folders: Vec<_> =
            self.folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
        let folders = folders.join(" or ");
        match device.need {
            Need::Required => Err(DeviceError::Missing { name, folders }),
            Need::Optional => Ok(format!(
                "the step runs without the device `{name}`: no spec in {folders} has it"
            )),
        }
    }
}

fn add(edits: &Edits, name: &str, op: &ExecOp, prepared: &mut Prepared) -> Result<(), DeviceError> {
    let refuse = |what: String| Err(DeviceError::Unsupported { name: name.to_owned(), what });
    if let Some(key) = edits.other.keys().next() {
        return refuse(format!("`{key}`"));
    }
    for node in &edits.device_nodes {
        if !node.permissions.is_empty() && !["r", "w"].iter().all(|p| node.permissions.contains(p))
        {
            return refuse(format!("`{}` with the permissions `{}`", node.path, node.permissions));
        }
        if let Some(key) = node.other.keys().next() {
            return refuse(format!("`{key}` of `{}`", node.path));
        }
        let path = PathBuf::from(node.host_path.as_ref().unwrap_or(&node.path));
        let look = DeviceLook { mode: node.file_mode, uid: node.uid, gid: node.gid };
        let kind = MountKind::Device { path, look };
        prepared.mounts.push(Mount { target: node.path.clone(), kind });
    }
    for mount in &edits.mounts {
        if !matches!(mount.kind.as_str(), "" | "bind") {
            return refuse(format!("a mount of type `{}`", mount.kind));
        }
        let writable = mount.options.iter().any(|option| option == "rw");
        let access = if writable { Access::ReadWrite } else { Access::ReadOnly };
        let source = Source::Path(PathBuf::from(&mount.host_path));
        let kind = MountKind::Bind { source, access };
        prepared.mounts.push(Mount { target: mount.container_path.clone(), kind });
    }
    for variable in &edits.env {
        let (key, value) = variable.split_once('=').unwrap_or((variable, ""));
        let mut set = op.env.iter().chain(&op.unkeyed_env).chain(&prepared.env);
        if !set.any(|(known, _)| known == key) {
            prepared.env.push((key.to_owned(), value.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_a_device_its_kind_or_what_was_asked_for() {
        let rows = [
            ("device", true),
            ("device=v/c=n", true),
            ("device=v/c", true),
            ("device=v/c=*", true),
            ("device=class", true),
            ("device=v/c=m", false),
            ("device=v", false),
        ];
        for (text, expected) in rows {
            let mut allowed = Allowed::None;
            assert!(allowed.add(text), "{text}");
            assert_eq!(allowed.allows("class", "v/c=n"), expected, "{text}");
        }
        for text in ["", "devices", "device=", "network.host"] {
            assert!(!Allowed::None.add(text), "{text}");
        }
        assert!(!Allowed::None.allows("v/c=n", "v/c=n"));
    }
}
