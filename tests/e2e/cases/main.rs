//! rbuild as a user runs it. Every build happens twice: as root, and as an ordinary user.

// Test code: a panic is how it reports.
#![allow(clippy::unwrap_used)]

mod bases;
mod broken;
mod cache;
mod copies;
mod devices;
mod doctor;
mod equal;
mod errors;
mod examples;
mod hostile;
mod interrupt;
mod invariants;
mod lazy;
mod lint;
mod machine;
mod mounts;
mod outputs;
mod platforms;
mod registry;
mod remotes;
mod run;
mod scripts;
mod sources;
mod store;
mod vectors;
mod words;
