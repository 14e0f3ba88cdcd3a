use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::db::Form;
use crate::digest::Digest;
use crate::gc::RecordUsage;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn id(n: usize) -> LayerId {
    format!("{n:032x}").parse().unwrap()
}

fn layer(n: usize, size: u64) -> LayerUsage {
    let form = Form::Directory;
    LayerUsage { id: id(n), form: Some(form), size, used: NOW, held: false, has_diff_id: false }
}

fn record(key: u8, layers: &[usize], seconds: u64) -> RecordUsage {
    RecordUsage {
        key: [key; 32],
        slot: String::new(),
        layers: layers.iter().map(|n| id(*n)).collect(),
        size: 0,
        took: Duration::from_secs(seconds),
        used: NOW,
        held: false,
    }
}

fn blob(n: u8, size: u64, is_tar: bool) -> BlobUsage {
    BlobUsage { digest: Digest::of(&[n]), size, added: NOW, held: false, is_tar }
}

fn usage(layers: Vec<LayerUsage>, records: Vec<RecordUsage>) -> Usage {
    Usage { layers, records, ..Usage::default() }
}

#[test]
fn what_fits_stays_but_what_nobody_needs_goes() {
    let usage = usage(vec![layer(1, 100), layer(2, 100)], vec![record(1, &[1], 1)]);
    let doomed = plan(&usage, 1000, NOW);
    assert_eq!(doomed, Doomed { layers: vec![id(2)], ..Doomed::default() });
}

#[test]
fn the_cheapest_per_byte_goes_first() {
    let layers = vec![layer(1, 1 << 20), layer(2, 1 << 20), layer(3, 10 << 20)];
    let usage = usage(layers, vec![record(1, &[1], 60), record(2, &[2], 1), record(3, &[3], 5)]);
    assert_eq!(plan(&usage, 11 << 20, NOW).layers, [id(3)]);
    assert_eq!(plan(&usage, 1 << 20, NOW).layers, [id(3), id(2)]);
    assert_eq!(plan(&usage, 0, NOW).layers, [id(3), id(2), id(1)]);
}

#[test]
fn a_layer_costs_what_all_that_is_above_it_cost() {
    // The lower one was quick to make, but the upper one goes with it.
    let usage = usage(
        vec![layer(1, 1 << 20), layer(2, 1 << 20)],
        vec![record(1, &[1], 1), record(2, &[1, 2], 100)],
    );
    let doomed = plan(&usage, 1 << 20, NOW);
    assert_eq!((doomed.layers, doomed.records), (vec![id(2)], vec![[2; 32]]));
}

#[test]
fn what_was_not_used_for_days_goes_before() {
    let mut usage = usage(
        vec![layer(1, 1 << 20), layer(2, 1 << 20)],
        vec![record(1, &[1], 10), record(2, &[2], 20)],
    );
    let day = Duration::from_secs(86_400);
    usage.layers[0].used = NOW + 9 * day;
    assert_eq!(plan(&usage, 1 << 20, NOW + 9 * day).layers, [id(2)]);
}

#[test]
fn what_an_image_holds_stays_whatever_the_limit() {
    let mut usage = usage(vec![layer(1, 100), layer(2, 100)], vec![record(1, &[1, 2], 1)]);
    usage.layers[0].held = true;
    usage.blobs = vec![blob(1, 100, false), blob(2, 100, true)];
    usage.blobs[0].held = true;
    let doomed = plan(&usage, 0, NOW);
    assert_eq!((doomed.layers, doomed.blobs), (vec![id(2)], vec![Digest::of(&[2])]));
}

#[test]
fn a_tar_goes_before_what_must_be_fetched() {
    let mut usage =
        Usage { blobs: vec![blob(1, 1000, false), blob(2, 1000, true)], ..Usage::default() };
    assert_eq!(plan(&usage, 1000, NOW).blobs, [Digest::of(&[2])]);
    usage.blobs[1].held = true;
    assert_eq!(plan(&usage, 1000, NOW).blobs, [Digest::of(&[1])]);
}

prop_compose! {
    fn any_usage()(
        layers in prop::collection::vec((1..1000u64, any::<bool>(), any::<bool>()), 1..20),
        records in prop::collection::vec((prop::collection::vec(0..20usize, 0..6), 0..100u64), 0..30),
        blobs in prop::collection::vec((1..1000u64, any::<bool>(), any::<bool>()), 0..10),
        other in 0..1000u64,
    ) -> Usage {
        let layers = layers.into_iter().enumerate().map(|(n, (size, held, has_diff_id))| {
            LayerUsage { held, has_diff_id, ..layer(n, size) }
        });
        let blobs = (0..).zip(blobs).map(|(n, (size, held, is_tar))| {
            BlobUsage { held, ..blob(n, size, is_tar) }
        });
        let records = (0..).zip(records).map(|(key, (layers, took))| record(key, &layers, took));
        Usage { layers: layers.collect(), blobs: blobs.collect(), records: records.collect(), volumes: Vec::new(), other }
    }
}

proptest! {
    #[test]
    fn a_limit_is_a_limit_and_nothing_goes_by_halves(usage in any_usage(), limit in 0..10_000u64) {
        let doomed = plan(&usage, limit, NOW);
        let is_gone = |layer: &LayerUsage| doomed.layers.contains(&layer.id);
        let gone_blob = |blob: &BlobUsage| doomed.blobs.contains(&blob.digest);
        // Each once, and never what is held.
        let layers = usage.layers.iter().filter(|layer| is_gone(layer) && !layer.held).count();
        let blobs = usage.blobs.iter().filter(|blob| gone_blob(blob) && !blob.held).count();
        prop_assert_eq!((doomed.layers.len(), doomed.blobs.len()), (layers, blobs));
        let freed: u64 = usage.layers.iter().filter(|layer| is_gone(layer)).map(|layer| layer.size).sum::<u64>()
            + usage.blobs.iter().filter(|blob| gone_blob(blob)).map(|blob| blob.size).sum::<u64>();
        let all_gone = usage.layers.iter().all(|layer| layer.held || is_gone(layer))
            && usage.blobs.iter().all(|blob| blob.held || gone_blob(blob));
        prop_assert!(usage.total() - freed <= limit || all_gone);
        // A record goes if and only if one of its layers does.
        for record in &usage.records {
            let broken = record.layers.iter().any(|id| doomed.layers.contains(id));
            prop_assert_eq!(broken, doomed.records.contains(&record.key));
        }
    }
}
