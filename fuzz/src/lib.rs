//! What must hold for every input that rbuild parses, whoever wrote it.
//!
//! One function for each parser takes any bytes and panics where something does not hold that must.
//! `targets/` runs them under libFuzzer (`scripts/fuzz.sh`), `tests/corpus.rs` over the inputs that
//! are kept in `corpus/`. What makes one of them panic gets a file there, named after what it shows.
#![forbid(unsafe_code)]

mod archive;
mod dockerfile;
mod document;
mod ignore;
mod lab;
mod layer;
mod reference;
mod seal;

pub use archive::archive;
pub use dockerfile::dockerfile;
pub use document::document;
pub use ignore::ignore;
pub use layer::layer;
pub use reference::reference;

/// A property of every input.
pub type Target = fn(&[u8]);

/// All targets by name, which is also that of their folder in `corpus/`.
pub const TARGETS: [(&str, Target); 6] = [
    ("archive", archive),
    ("dockerfile", dockerfile),
    ("document", document),
    ("ignore", ignore),
    ("layer", layer),
    ("reference", reference),
];
