//! The bases of the cases: a busybox and what `bases.toml` lays over it, in an archive that both
//! builders load. They are local images of both, so that no registry takes part.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::archive::tar;
use crate::file::File;
use crate::tree::Tree;

/// All bases.
#[derive(Debug)]
pub struct Bases {
    /// One each.
    pub all: Vec<Base>,
    /// An archive of them, an OCI layout.
    pub archive: PathBuf,
}

/// A base that cases build on.
#[derive(Debug)]
pub struct Base {
    /// `name:tag`
    name: String,
    /// The descriptor of its manifest.
    descriptor: Value,
    /// Its layers.
    pub diff_ids: Vec<String>,
    /// Its files.
    pub tree: Tree,
}

/// An entry of `bases.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    name: String,
    /// The `config` object of the image config.
    config: String,
    /// Fields beside that object.
    #[serde(default)]
    fields: Option<String>,
    /// Whether it has the layer with busybox.
    #[serde(default = "yes")]
    busybox: bool,
    /// One more layer.
    #[serde(default)]
    files: Vec<File>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
struct Recipes {
    base: Vec<Recipe>,
}

/// All bases, with their archive in `folder`.
pub fn make(folder: &Path) -> Bases {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("bases.toml");
    let recipes: Recipes = toml::from_str(&std::fs::read_to_string(recipes).unwrap()).unwrap();
    let busybox = busybox();
    let mut layout = Layout::default();
    let all = recipes.base.iter().map(|recipe| layout.add(recipe, &busybox)).collect();
    let archive = folder.join("bases.tar");
    std::fs::write(&archive, layout.finish()).unwrap();
    Bases { all, archive }
}

impl Bases {
    /// Lays one of them out as a layout of its own in `folder`: `layout-name`, with the base's tag.
    pub fn layout(&self, name: &str, folder: &Path) {
        let base = self.all.iter().find(|base| base.name == name);
        let mut descriptor = base.unwrap_or_else(|| panic!("no base `{name}`")).descriptor.clone();
        let (name, tag) = name.split_once(':').unwrap();
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let layout = folder.join(format!("layout-{name}"));
        tar::Archive::new(std::fs::File::open(&self.archive).unwrap()).unpack(&layout).unwrap();
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    }
}

/// The machine's busybox, which has to be a static one.
pub fn busybox_path() -> Option<&'static Path> {
    let paths = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    paths.into_iter().find(|path| path.exists())
}

/// A tree with busybox under all its names.
fn busybox() -> Vec<u8> {
    let path = busybox_path().expect("busybox is not installed");
    let folders = ["bin/", "dev/", "etc/", "home/", "mnt/", "proc/", "root/", "run/", "sys/"];
    let folders = folders.iter().chain(&["tmp/", "usr/", "usr/bin/", "var/"]);
    let mut files: Vec<File> = folders.map(|path| entry(path)).collect();
    set_mode(&mut files, "tmp/", "1777");
    set_mode(&mut files, "root/", "700");
    files.push(text("etc/passwd", include_str!("../passwd")));
    files.push(text("etc/group", include_str!("../group")));
    let names = Command::new(path).arg("--list").output().unwrap().stdout;
    for name in String::from_utf8(names).unwrap().lines().filter(|name| *name != "busybox") {
        files.push(File { link: Some("busybox".to_owned()), ..entry(&format!("bin/{name}")) });
    }
    let mut layer = tar(&files);
    layer.truncate(layer.len() - 1024);
    layer.extend(program(&std::fs::read(path).unwrap()));
    layer
}

fn entry(path: &str) -> File {
    File { path: path.to_owned(), ..File::default() }
}

fn text(path: &str, text: &str) -> File {
    File { text: Some(text.to_owned()), ..entry(path) }
}

fn set_mode(files: &mut [File], path: &str, mode: &str) {
    let file = files.iter_mut().find(|file| file.path == path).unwrap();
    file.mode = Some(mode.to_owned());
}

/// The end of the tar: the one file that is not text.
fn program(bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("bin/busybox").unwrap();
    header.set_mode(0o755);
    header.set_size(bytes.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(crate::file::TIME.try_into().unwrap());
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, bytes).unwrap();
    builder.into_inner().unwrap()
}

/// An OCI layout as the entries of a tar.
struct Layout {
    builder: tar::Builder<Vec<u8>>,
    manifests: Vec<Value>,
    written: Vec<String>,
}

impl Default for Layout {
    fn default() -> Layout {
        let builder = tar::Builder::new(Vec::new());
        let mut layout = Layout { builder, manifests: Vec::new(), written: Vec::new() };
        layout.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        layout
    }
}

impl Layout {
    fn add(&mut self, recipe: &Recipe, busybox: &[u8]) -> Base {
        let mut layers = Vec::new();
        if recipe.busybox {
            layers.push(busybox.to_vec());
        }
        if !recipe.files.is_empty() {
            layers.push(tar(&recipe.files));
        }
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let config = self.config(recipe, &diff_ids);
        let mut tree = Tree::default();
        layers.iter().for_each(|layer| tree.apply(layer));
        let media = "application/vnd.oci.image.layer.v1.tar";
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(media, layer)).collect();
        let media = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media, "config": config, "layers": layers});
        let mut descriptor = self.blob(media, manifest.to_string().as_bytes());
        descriptor["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/library/{}", recipe.name),
            "org.opencontainers.image.ref.name": recipe.name,
        });
        self.manifests.push(descriptor.clone());
        Base { name: recipe.name.clone(), descriptor, diff_ids, tree }
    }

    fn config(&mut self, recipe: &Recipe, diff_ids: &[String]) -> Value {
        let time = "2020-02-02T02:02:02Z";
        let history: Vec<Value> =
            diff_ids.iter().map(|_| json!({"created": time, "created_by": "a base"})).collect();
        let mut config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": time,
            "config": serde_json::from_str::<Value>(&recipe.config).unwrap(),
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        });
        if let Some(fields) = &recipe.fields {
            let fields: Value = serde_json::from_str(fields).unwrap();
            config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        }
        let media = "application/vnd.oci.image.config.v1+json";
        self.blob(media, config.to_string().as_bytes())
    }

    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        if !self.written.contains(&digest) {
            self.file(&format!("blobs/{}", digest.replace(':', "/")), bytes);
            self.written.push(digest.clone());
        }
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn file(&mut self, path: &str, bytes: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.builder.append_data(&mut header, path, bytes).unwrap();
    }

    fn finish(mut self) -> Vec<u8> {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests}).to_string();
        self.file("index.json", index.as_bytes());
        self.builder.into_inner().unwrap()
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
