//! The parts that a build's time is made of, each alone: `cargo bench -p benches`.
//!
//! Whole builds are in `src`. Each file here is one part; what it works on is made before the clock
//! runs.

// A benchmark that cannot be set up has nobody to tell but the person who started it.
#![allow(clippy::unwrap_used, missing_docs)]

mod hashing;
mod layers;
mod parsing;
mod planning;

criterion::criterion_group!(
    parts,
    parsing::dockerfile,
    hashing::memory,
    hashing::files,
    layers::write,
    layers::export,
    planning::warm
);
criterion::criterion_main!(parts);
