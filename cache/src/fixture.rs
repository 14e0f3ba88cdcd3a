//! Stores for tests, and small things to put into them.

use std::time::Duration;

use crate::db::{self, Form};
use crate::digest::{ContentDigest, Digest};
use crate::fs;
use crate::id::LayerId;
use crate::images::Descriptor;
use crate::record::{Record, RecordedInput};
use crate::root::PlaceError;
use crate::store::Store;
use crate::tree::Selector;

/// A new store in a folder that goes with the first value.
pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

/// A layer with the one file `fs/file` of these bytes.
pub(crate) fn layer(
    store: &Store,
    bytes: &[u8],
    diff_id: Option<Digest>,
) -> Result<LayerId, PlaceError> {
    let folder = store.ground().temporary()?;
    fs::create_dir_all(&folder.join("fs"))?;
    let path = folder.join("fs/file");
    fs::write_all(&fs::create_file(&path)?, &path, bytes)?;
    store.ground().place_layer(&folder, Form::Directory, diff_id, None)
}

/// The record number `key` of the same op in the same slot, which took that many seconds.
pub(crate) fn record(key: u8, layers: Vec<LayerId>) -> Record {
    Record {
        key: [key; 32],
        op: [7; 32],
        slot: "app 2".to_owned(),
        inputs: vec![RecordedInput {
            layers: Some(layers.clone()),
            content: Some(ContentDigest::of(&[key])),
            selector: Selector::Whole,
        }],
        layers,
        warnings: vec![format!("warning {key}")],
        parts: serde_json::json!([{"name": "command", "digest": "00"}]),
        took: Duration::from_secs(u64::from(key)),
        memory: Some(u64::from(key) << 20),
        created: db::time(1_700_000_000_000_000_000 + i64::from(key)),
    }
}

/// An index of these images.
pub(crate) fn index(store: &Store, images: &[Descriptor]) -> Descriptor {
    let bytes = serde_json::json!({ "schemaVersion": 2, "manifests": images }).to_string();
    store.blobs().put(bytes.as_bytes()).unwrap();
    let media_type = "application/vnd.oci.image.index.v1+json".to_owned();
    Descriptor { media_type, ..descriptor(bytes.as_bytes()) }
}

/// Describes these bytes as a manifest.
pub(crate) fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        annotations: Default::default(),
        rest: Default::default(),
    }
}

/// An image with a config and one layer, whose tar has these bytes; not yet tagged.
pub(crate) fn image(store: &Store, tar: &[u8]) -> Descriptor {
    let diff_id = store.blobs().put(tar).unwrap();
    let config = serde_json::json!({"rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let config = store.blobs().put(config.to_string().as_bytes()).unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": {"mediaType": "c", "digest": config, "size": 1},
        "layers": [{"mediaType": "l", "digest": diff_id, "size": tar.len()}],
    });
    let bytes = manifest.to_string();
    store.blobs().put(bytes.as_bytes()).unwrap();
    descriptor(bytes.as_bytes())
}

/// The names below a folder of the store.
pub(crate) fn names(store: &Store, folder: &str) -> Vec<String> {
    fs::list(&store.root().join(folder)).unwrap()
}
