//! What a registry says of an image: manifest, index, config.

use rbuild_frontend::config::ImageConfig;
use rbuild_frontend::document::{Document, RawManifest, parse};
use rbuild_solver::op::Platform;

/// What is read of a config is written and read again as the same. What an index offers fits a
/// platform.
pub fn document(input: &[u8]) {
    let _ = RawManifest::new(input.to_vec().into());
    if let Ok(document) = parse(input) {
        offers(&document);
    }
    if let Ok(config) = serde_json::from_slice::<ImageConfig>(input) {
        let written = serde_json::to_vec(&config);
        let written = written.unwrap_or_else(|error| panic!("{error}: {config:?}"));
        let again: ImageConfig =
            serde_json::from_slice(&written).unwrap_or_else(|error| panic!("{error}: {config:?}"));
        let twice = serde_json::to_vec(&again).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&written));
    }
}

fn offers(document: &Document) {
    let Document::Index(index) = document else { return };
    let platforms = index.platforms();
    assert!(platforms.len() <= index.manifests.len());
    for text in platforms.iter().map(String::as_str).chain(["linux/amd64", "linux/arm/v7"]) {
        let Some(platform) = Platform::parse(text) else { continue };
        if let Some(best) = index.best(&platform) {
            assert!(index.manifests.contains(best));
        }
    }
}
