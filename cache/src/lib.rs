//! rbuild's store: bytes on disk, and nothing about graphs or Dockerfiles.
#![forbid(unsafe_code)]

pub mod digest;
pub mod pattern;
pub mod stat;
pub mod tree;

pub use digest::{ContentDigest, Digest};
