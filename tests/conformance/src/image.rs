//! An image out of an OCI layout in a tar (OCI image layout specification), whoever wrote it.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use tar::Archive;

use crate::base::Bases;
use crate::case::Case;
use crate::outcome::Image;
use crate::servers::Served;
use crate::tree::Tree;

/// Reads the one image of an archive; its tree is told as what differs from the base that it is
/// built on.
pub fn read(archive: &Path, bases: &Bases, case: &Case, served: &Served) -> Image {
    let files = Files::read(archive);
    let manifest = files.manifest();
    let mut config = files.json(digest(&manifest["config"]));
    let diff_ids = diff_ids(&config);
    let mut tree = Tree::default();
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        tree.apply(&files.layer(layer));
    }
    let base = bases
        .all
        .iter()
        .filter(|base| diff_ids.starts_with(&base.diff_ids))
        .max_by_key(|base| base.diff_ids.len());
    let nothing = Tree::default();
    let base_tree = base.map_or(&nothing, |base| &base.tree);
    normalise(&mut config);
    let config = serde_json::from_str(&served.without_ports(&config.to_string())).unwrap();
    let mut tree = tree.lines(base_tree, &case.times);
    tree.retain(|path, _| !case.apart.iter().any(|apart| Path::new(path).starts_with(apart)));
    Image { config, layers: diff_ids.len(), tree }
}

/// The ids of the layers that a config lists.
pub fn diff_ids(config: &Value) -> Vec<String> {
    let ids = config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Takes out what differs from build to build: times, and the ids of layers, which hold times.
fn normalise(config: &mut Value) {
    let fields = config.as_object_mut().unwrap();
    fields.remove("created");
    fields.remove("rootfs");
    if fields.get("history").is_some_and(Value::is_null) {
        // A list of no entries, as Go writes one that was never made.
        fields.remove("history");
    }
    for entry in fields.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
        entry.as_object_mut().unwrap().remove("created");
    }
}

struct Files(HashMap<String, Vec<u8>>);

impl Files {
    fn read(archive: &Path) -> Files {
        let mut files = HashMap::new();
        let mut archive = Archive::new(std::fs::File::open(archive).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
        }
        Files(files)
    }

    fn blob(&self, digest: &str) -> &[u8] {
        &self.0[&format!("blobs/{}", digest.replace(':', "/"))]
    }

    fn json(&self, digest: &str) -> Value {
        serde_json::from_slice(self.blob(digest)).unwrap()
    }

    fn manifest(&self) -> Value {
        let mut document: Value = serde_json::from_slice(&self.0["index.json"]).unwrap();
        while let Some(manifests) = document["manifests"].as_array() {
            document = self.json(digest(&manifests[0]));
        }
        document
    }

    fn layer(&self, descriptor: &Value) -> Vec<u8> {
        let blob = self.blob(digest(descriptor));
        if !descriptor["mediaType"].as_str().unwrap().ends_with("gzip") {
            return blob.to_vec();
        }
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut plain).unwrap();
        plain
    }
}

fn digest(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().unwrap()
}
