//! Layers as a registry gives them, imported into a store.

use rbuild_cache::Digest;
use rbuild_cache::archive::Members;
use rbuild_cache::layer::Kind;

use crate::lab::{self, Lab};
use crate::seal::sealed;

/// Layers that say they have more are not imported: time is better spent on small ones.
const MOST: u64 = 1 << 20;

/// A layer is imported or refused, and nothing but a layer comes of it. What was imported can be
/// written as an archive, which can be imported again.
pub fn layer(input: &[u8]) {
    lab::with(|lab| {
        imported(lab, input);
        imported(lab, &sealed(input));
    });
}

fn imported(lab: &Lab, input: &[u8]) {
    if size(input) > MOST {
        return;
    }
    let layers = lab.store.layers();
    let mut bytes = input;
    let Ok(layer) = layers.import(&mut bytes, &Digest::of(input)) else { return };
    let content = layers.content(&layer).unwrap_or_else(|error| panic!("no content: {error}"));
    let again = layers.content(&layer).ok();
    assert_eq!(again, Some(content));
}

/// What the files of an archive say they have.
fn size(input: &[u8]) -> u64 {
    let (mut members, mut size) = (Members::new(input), 0_u64);
    while let Ok(Some(member)) = members.next() {
        if let Kind::File { size: more } = member.kind {
            size = size.saturating_add(more);
        }
    }
    size
}
