//! Images as other people's tools see them: skopeo and umoci on registries, layouts and archives.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::registry::LOGIN;
use crate::system::tool;
use crate::{Registry, World};

/// An image in an OCI layout that skopeo wrote.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
}

impl Layout {
    /// Copies an image, named as skopeo names it: `docker://..`, `oci:..`, `docker-archive:..`.
    pub fn copy(world: &World, source: &str) -> Layout {
        let layout = Layout { path: world.folder("layout").join("image") };
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--src-tls-verify=false"]);
        if source.starts_with("docker://") {
            skopeo.args(["--src-creds", &format!("{}:{}", LOGIN.0, LOGIN.1)]);
        }
        tool(skopeo.args([source, &layout.name()])).ok();
        world.user().own(&layout.path);
        layout
    }

    /// Copies an image from a registry.
    pub fn pull(world: &World, registry: &Registry, image: &str) -> Layout {
        Layout::copy(world, &format!("docker://{}", registry.name(image)))
    }

    /// Copies an image straight from rbuild's store, completed where bases were not fetched.
    pub fn of_store(world: &World, image: &str) -> Layout {
        world.rbuild(&["images", "--complete"]).ok();
        Layout::copy(world, &format!("oci:{}:{image}", world.store().display()))
    }

    /// Its name for skopeo and podman.
    pub fn name(&self) -> String {
        format!("oci:{}:latest", self.path.display())
    }

    /// What `skopeo inspect` says.
    pub fn manifest(&self) -> Value {
        self.inspect(&["--raw"])
    }

    /// The image's config.
    pub fn config(&self) -> Value {
        self.inspect(&["--config"])
    }

    fn inspect(&self, flags: &[&str]) -> Value {
        let run = tool(Command::new("skopeo").arg("inspect").args(flags).arg(self.name())).ok();
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// The image's files, unpacked by umoci.
    pub fn unpack(&self, world: &World) -> PathBuf {
        let bundle = world.folder("bundle").join("bundle");
        let image = format!("{}:latest", self.path.display());
        tool(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle)).ok();
        bundle.join("rootfs")
    }
}

/// The bytes of a file in a folder, as text.
#[track_caller]
pub fn text(root: &Path, path: &str) -> String {
    let path = root.join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
