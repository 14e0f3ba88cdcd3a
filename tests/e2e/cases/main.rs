//! rbuild as a user runs it. Every build happens twice: as root, and as an ordinary user.

// Test code: a panic is how it reports.
#![allow(clippy::unwrap_used)]

mod bases;
mod cache;
mod copies;
mod doctor;
mod equal;
mod errors;
mod examples;
mod interrupt;
mod invariants;
mod lazy;
mod lint;
mod machine;
mod mounts;
mod outputs;
mod registry;
mod run;
mod scripts;
mod sources;
mod words;
