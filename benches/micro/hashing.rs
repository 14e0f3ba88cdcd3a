//! Digests: of bytes in memory by both functions, and of a tree of files as a `COPY` is keyed.

use std::fs;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput};
use rbuild_cache::stat::StatCache;
use rbuild_cache::tree::{Owners, PathSelector, Tree};
use rbuild_cache::{ContentDigest, Digest};

const BYTES: usize = 16 << 20;
const FILES: usize = 2_000;

/// 16 MiB, one thread.
pub fn memory(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..BYTES).map(|n| (n * 31 % 251) as u8).collect();
    let mut group = criterion.benchmark_group("hash 16 MiB");
    group.throughput(Throughput::Bytes(BYTES as u64));
    group.bench_function("BLAKE3", |bench| bench.iter(|| ContentDigest::of(&bytes)));
    group.bench_function("SHA-256", |bench| bench.iter(|| Digest::of(&bytes)));
    group.finish();
}

/// 2,000 files of 4 KiB that nobody knows yet: listed, read and hashed.
pub fn files(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..FILES {
        let path = folder.path().join(format!("folder{}/file{n}", n % 40));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![n as u8; 4096]).unwrap();
    }
    let mut group = criterion.benchmark_group("digest of a context");
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("2,000 files", |bench| {
        bench.iter_batched(|| open(folder.path()), digest, BatchSize::PerIteration);
    });
    group.finish();
}

fn open(folder: &Path) -> Tree {
    Tree::open(folder, Owners::Root, None).unwrap()
}

fn digest(tree: Tree) -> ContentDigest {
    // The default is everything.
    tree.select(&PathSelector::default()).unwrap().digest(&StatCache::none()).unwrap()
}
