//! The specs of this machine's devices (Container Device Interface, SPEC.md).
//!
//! A spec is a JSON or YAML file that names devices of one kind, `vendor/class`, and says what a
//! container that has one sees. Of two folders the later one counts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::DeviceError;

/// Where specs are looked for unless the user says otherwise.
pub const FOLDERS: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// The annotation by which a device belongs to a class of several vendors.
const CLASS: &str = "org.mobyproject.buildkit.device.class";

/// The devices that are there, by their whole names.
#[derive(Debug, Default)]
pub struct Registry {
    devices: BTreeMap<String, Known>,
}

/// One device.
#[derive(Debug)]
struct Known {
    spec: PathBuf,
    class: Option<String>,
    /// Those of its spec, then its own.
    edits: [Edits; 2],
}

/// What a container with a device gets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Edits {
    /// `NAME=value`
    pub env: Vec<String>,
    /// Device files.
    pub device_nodes: Vec<Node>,
    /// Files and directories of the host.
    pub mounts: Vec<Mount>,
    /// Everything else: hooks, groups, network devices.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A device file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// In the container.
    pub path: String,
    /// On this machine, if it is called otherwise there.
    pub host_path: Option<String>,
    /// What may be done, of `rwm`; empty for everything.
    #[serde(default)]
    pub permissions: String,
    /// Its permission bits; none for those of the host's file.
    pub file_mode: Option<u32>,
    /// Its owner; none for that of the host's file.
    pub uid: Option<u32>,
    /// Its group; none for that of the host's file.
    pub gid: Option<u32>,
    /// Everything else: another number than the host's.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A file or directory of the host.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// On this machine.
    pub host_path: String,
    /// In the container.
    pub container_path: String,
    /// `bind`, or nothing.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// As `mount -o` has them.
    #[serde(default)]
    pub options: Vec<String>,
}

/// A file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    kind: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    container_edits: Edits,
    #[serde(default)]
    devices: Vec<Device>,
}

/// A device in a file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    container_edits: Edits,
}

impl Registry {
    /// Reads the specs of the folders that are there.
    pub fn read(folders: &[PathBuf]) -> Result<Registry, DeviceError> {
        let mut registry = Registry::default();
        for folder in folders {
            let mut found = Registry::default();
            for path in files(folder)? {
                found.add(&path)?;
            }
            registry.devices.extend(found.devices);
        }
        Ok(registry)
    }

    /// The whole names of the devices that `name` means: one (`vendor/class=name`), all of a kind
    /// (`vendor/class=*`), the first of a kind (`vendor/class`), or all of a class (`class`).
    pub fn find(&self, name: &str) -> Vec<&str> {
        let of_kind = |kind: &str| {
            let kind = format!("{kind}=");
            self.devices.keys().map(String::as_str).filter(move |known| known.starts_with(&kind))
        };
        match name.split_once('=') {
            Some((kind, "*")) => of_kind(kind).collect(),
            Some(_) => self
                .devices
                .get_key_value(name)
                .map(|(name, _)| name.as_str())
                .into_iter()
                .collect(),
            None if name.contains('/') => of_kind(name).take(1).collect(),
            None => {
                let of_class = |known: &&Known| known.class.as_deref() == Some(name);
                let devices = self.devices.iter().filter(|(_, known)| of_class(known));
                devices.map(|(name, _)| name.as_str()).collect()
            }
        }
    }

    /// What a container with the device gets.
    pub fn edits(&self, name: &str) -> &[Edits] {
        self.devices.get(name).map_or(&[], |known| &known.edits)
    }

    fn add(&mut self, path: &Path) -> Result<(), DeviceError> {
        let spec = parse(path)?;
        for device in spec.devices {
            let name = format!("{}={}", spec.kind, device.name);
            let class = device.annotations.get(CLASS).or(spec.annotations.get(CLASS)).cloned();
            let edits = [spec.container_edits.clone(), device.container_edits];
            let known = Known { spec: path.to_owned(), class, edits };
            if let Some(other) = self.devices.insert(name.clone(), known) {
                let paths = [other.spec, path.to_owned()];
                return Err(DeviceError::Twice { name, paths });
            }
        }
        Ok(())
    }
}

/// The specs of a folder in the order of their names. No folder is an empty one.
fn files(folder: &Path) -> Result<Vec<PathBuf>, DeviceError> {
    let failed = |source| DeviceError::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("json" | "yaml" | "yml")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn parse(path: &Path) -> Result<Spec, DeviceError> {
    let bytes =
        fs::read(path).map_err(|source| DeviceError::Read { path: path.to_owned(), source })?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let spec: Result<Spec, String> = match is_json {
        true => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        false => serde_yaml_ng::from_slice(&bytes).map_err(|error| error.to_string()),
    };
    let bad = |reason| DeviceError::Spec { path: path.to_owned(), reason };
    let spec = spec.map_err(bad)?;
    let is_kind = spec.kind.split_once('/').is_some_and(|(vendor, class)| {
        !vendor.is_empty() && !class.is_empty() && !class.contains(['/', '='])
    });
    if is_kind {
        Ok(spec)
    } else {
        Err(bad(format!("its kind `{}` is not VENDOR/CLASS", spec.kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"cdiVersion":"0.6.0","kind":"acme.example/net",
        "containerEdits":{"env":["ALL=1"]},
        "devices":[{"name":"b"},{"name":"a","annotations":{"org.mobyproject.buildkit.device.class":"fast"},
        "containerEdits":{"deviceNodes":[{"path":"/dev/a","hostPath":"/dev/zero"}]}}]}"#;
    const YAML: &str = "cdiVersion: 0.6.0\nkind: other.example/net\ndevices:\n- name: c\n  containerEdits:\n    hooks:\n    - hookName: createContainer\n      path: /bin/true\n";

    fn registry(files: &[(&str, &str)]) -> Result<Registry, DeviceError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Registry::read(&["1", "2", "none"].map(|name| folder.path().join(name)))
    }

    #[test]
    fn devices_are_found_by_name_kind_and_class() {
        let all =
            registry(&[("1/a.json", JSON), ("2/b.yaml", YAML), ("1/notes.txt", "x")]).unwrap();
        let rows: [(&str, &[&str]); 7] = [
            ("acme.example/net=a", &["acme.example/net=a"]),
            ("acme.example/net=*", &["acme.example/net=a", "acme.example/net=b"]),
            ("acme.example/net", &["acme.example/net=a"]),
            ("other.example/net=c", &["other.example/net=c"]),
            ("fast", &["acme.example/net=a"]),
            ("acme.example/net=c", &[]),
            ("acme.example/ne", &[]),
        ];
        for (name, expected) in rows {
            assert_eq!(all.find(name), expected, "{name}");
        }
        let [of_spec, own] = all.edits("acme.example/net=a") else { panic!() };
        assert_eq!(
            (of_spec.env.as_slice(), own.device_nodes.len()),
            (&["ALL=1".to_owned()][..], 1)
        );
        assert!(all.edits("other.example/net=c")[1].other.contains_key("hooks"));
    }

    #[test]
    fn the_later_folder_counts_and_one_folder_has_a_device_once() {
        let other = JSON.replace("ALL=1", "ALL=2");
        let all = registry(&[("1/a.json", JSON), ("2/a.json", &other)]).unwrap();
        assert_eq!(all.edits("acme.example/net=b")[0].env, ["ALL=2"]);
        let twice = registry(&[("1/a.json", JSON), ("1/b.json", &other)]).unwrap_err();
        assert!(twice.to_string().contains("`acme.example/net=b` is in"), "{twice}");
    }

    #[test]
    fn a_spec_that_is_none_says_why() {
        for (text, reason) in
            [("{", "EOF"), (r#"{"kind":"x"}"#, "VENDOR/CLASS"), ("[]", "expected")]
        {
            let error = registry(&[("1/a.json", text)]).unwrap_err().to_string();
            assert!(error.contains("a.json") && error.contains(reason), "{error}");
        }
    }
}
