//! Layers: writing one, with its EROFS index where the kernel has it, and the tar of one.
//!
//! The names of the groups tell which form this machine's layers have: a tar with an index, or a
//! directory.

use std::io::Read;

use criterion::{BatchSize, Criterion, Throughput};
use rbuild_cache::layer::{Entry, Kind};
use rbuild_cache::{Form, LayerId, Store};

const NAMES: usize = 10_000;
const LARGE: u64 = 64 << 20;

/// A layer of many names, where the index is what costs, and one of many bytes, where the tar is.
pub fn write(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let mut group = criterion.benchmark_group(format!("write a layer, {}", form(&store)));
    group.sample_size(10);
    group.throughput(Throughput::Elements(NAMES as u64));
    group.bench_function("10,000 names", |bench| bench.iter(|| names(&store)));
    group.throughput(Throughput::Bytes(LARGE));
    group.bench_function("64 MiB", |bench| bench.iter(|| large(&store)));
    group.finish();
}

/// The archive of a layer that has none yet.
pub fn export(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let mut group = criterion.benchmark_group(format!("tar of a layer, {}", form(&store)));
    group.sample_size(10);
    group.throughput(Throughput::Elements(NAMES as u64));
    group.bench_function("10,000 names", |bench| {
        let tar = |layer: LayerId| store.layers().tar(&layer, None).unwrap();
        bench.iter_batched(|| names(&store), tar, BatchSize::PerIteration);
    });
    group.finish();
}

fn form(store: &Store) -> &'static str {
    match store.layers().form() {
        Form::Erofs => "tar and EROFS index",
        Form::Directory => "directory",
    }
}

fn names(store: &Store) -> LayerId {
    let mut layer = store.layers().begin().unwrap();
    for n in 0..NAMES {
        let path = format!("usr/lib/folder{:03}/file{n:05}", n / 100);
        layer.add(&Entry::new(path, Kind::File { size: 0 }, 0o644), None).unwrap();
    }
    layer.finish().unwrap()
}

fn large(store: &Store) -> LayerId {
    let mut layer = store.layers().begin().unwrap();
    let entry = Entry::new("data", Kind::File { size: LARGE }, 0o644);
    let mut data = std::io::repeat(b'x').take(LARGE);
    layer.add(&entry, Some(&mut data)).unwrap();
    layer.finish().unwrap()
}
