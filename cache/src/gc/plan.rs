//! What is removed when the store is too large, and in which order.
//!
//! What is cheapest to have again per byte goes first. The cost of a layer is the time that the
//! records took which could not be used without it; it shrinks as they go. What nobody used for
//! long counts less: each day since the last use divides the cost once more.
//!
//! A pure function of what is in the store, so that it is tested without one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::SystemTime;

use super::usage::{BlobUsage, LayerUsage, Usage};
use crate::db::Doomed;
use crate::id::LayerId;
use crate::volume::VolumeUsage;

/// What a byte is worth, in picoseconds of making it again.
type Worth = u128;

/// Something that can go: its place in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Layer(usize),
    Blob(usize),
    Volume(usize),
}

/// Nanoseconds to fetch a byte: 20 MB/s.
const FETCH: u128 = 50;
/// Nanoseconds to make a byte of a tar again: 100 MB/s.
const MAKE: u128 = 10;
/// Nanoseconds for a question to a registry.
const ROUND_TRIP: u128 = 300_000_000;

struct Plan<'a> {
    usage: &'a Usage,
    now: SystemTime,
    /// The records that need each layer, by their place in the list.
    needed_by: HashMap<LayerId, Vec<usize>>,
    alive: Vec<bool>,
    layer_alive: Vec<bool>,
    places: HashMap<LayerId, usize>,
    heap: BinaryHeap<Reverse<(Worth, Item)>>,
    doomed: Doomed,
}

/// What must go so that no more than `limit` bytes stay. What no record and no image needs goes in
/// any case; what an image holds never goes.
pub(super) fn plan(usage: &Usage, limit: u64, now: SystemTime) -> Doomed {
    let mut plan = Plan::new(usage, now);
    let mut total = usage.total();
    while let Some(Reverse((worth, item))) = plan.heap.pop() {
        if worth > 0 && total <= limit {
            break;
        }
        if plan.is_current(worth, item) {
            total -= plan.remove(item);
        }
    }
    plan.doomed
}

impl<'a> Plan<'a> {
    fn new(usage: &'a Usage, now: SystemTime) -> Plan<'a> {
        let mut needed_by: HashMap<LayerId, Vec<usize>> = HashMap::new();
        for (place, record) in usage.records.iter().enumerate() {
            for id in &record.layers {
                needed_by.entry(*id).or_default().push(place);
            }
        }
        needed_by.values_mut().for_each(|records| records.dedup());
        let places = usage.layers.iter().enumerate().map(|(place, layer)| (layer.id, place));
        let mut plan = Plan {
            usage,
            now,
            needed_by,
            alive: vec![true; usage.records.len()],
            layer_alive: vec![true; usage.layers.len()],
            places: places.collect(),
            heap: BinaryHeap::new(),
            doomed: Doomed::default(),
        };
        plan.fill();
        plan
    }

    fn fill(&mut self) {
        let blobs = self.usage.blobs.iter().enumerate().filter(|(_, blob)| !blob.held);
        let blobs = blobs.map(|(place, blob)| (blob_worth(blob, self.now), Item::Blob(place)));
        let layers = self.usage.layers.iter().enumerate().filter(|(_, layer)| !layer.held);
        let layers = layers.map(|(place, layer)| (self.layer_worth(layer), Item::Layer(place)));
        let volumes = self.usage.volumes.iter().enumerate();
        let volumes =
            volumes.map(|(at, volume)| (volume_worth(volume, self.now), Item::Volume(at)));
        let all: Vec<_> = blobs.chain(layers).chain(volumes).map(Reverse).collect();
        self.heap = all.into();
    }

    /// Entries are not changed in the heap: one whose worth has sunk is pushed again, and found
    /// stale here.
    fn is_current(&self, worth: Worth, item: Item) -> bool {
        match item {
            Item::Blob(_) | Item::Volume(_) => true,
            Item::Layer(place) => {
                self.layer_alive[place] && worth == self.layer_worth(&self.usage.layers[place])
            }
        }
    }

    fn remove(&mut self, item: Item) -> u64 {
        match item {
            Item::Blob(place) => {
                let blob = &self.usage.blobs[place];
                self.doomed.blobs.push(blob.digest);
                blob.size
            }
            Item::Volume(place) => {
                let volume = &self.usage.volumes[place];
                self.doomed.volumes.push(volume.folder.clone());
                volume.size
            }
            Item::Layer(place) => {
                let layer = &self.usage.layers[place];
                self.layer_alive[place] = false;
                self.doomed.layers.push(layer.id);
                for record in self.needed_by.get(&layer.id).cloned().unwrap_or_default() {
                    self.remove_record(record);
                }
                layer.size
            }
        }
    }

    fn remove_record(&mut self, place: usize) {
        if !std::mem::replace(&mut self.alive[place], false) {
            return;
        }
        let record = &self.usage.records[place];
        self.doomed.records.push(record.key);
        for id in &record.layers {
            let Some(&place) = self.places.get(id) else { continue };
            let layer = &self.usage.layers[place];
            if self.layer_alive[place] && !layer.held {
                self.heap.push(Reverse((self.layer_worth(layer), Item::Layer(place))));
            }
        }
    }

    fn layer_worth(&self, layer: &LayerUsage) -> Worth {
        let records = self.needed_by.get(&layer.id).into_iter().flatten();
        let took = records
            .filter(|record| self.alive[**record])
            .map(|record| self.usage.records[*record].took.as_nanos().max(1))
            .sum::<u128>();
        // A layer that was pulled is there for the next build on that base; one that a step left
        // and no record names is of no use to anybody.
        let fetch = if layer.has_diff_id { u128::from(layer.size) * FETCH + ROUND_TRIP } else { 0 };
        worth(took + fetch, layer.size, layer.used, self.now)
    }
}

/// How long it took to fill is not known: mostly with what had to be fetched.
fn volume_worth(volume: &VolumeUsage, now: SystemTime) -> Worth {
    let cost = u128::from(volume.size) * FETCH + ROUND_TRIP;
    worth(cost, volume.size, volume.used, now)
}

fn blob_worth(blob: &BlobUsage, now: SystemTime) -> Worth {
    let size = u128::from(blob.size);
    let cost = if blob.is_tar { size * MAKE } else { size * FETCH + ROUND_TRIP };
    worth(cost, blob.size, blob.added, now)
}

/// Nothing is worth nothing but what costs nothing.
fn worth(cost: u128, size: u64, used: SystemTime, now: SystemTime) -> Worth {
    if cost == 0 {
        return 0;
    }
    let days = now.duration_since(used).unwrap_or_default().as_secs() / 86_400;
    (cost * 1000 / u128::from(size.max(1)) / (1 + u128::from(days))).max(1)
}

#[cfg(test)]
mod tests;
