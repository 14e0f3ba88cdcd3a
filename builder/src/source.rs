//! Where a build's inputs come from.

pub mod context;
pub mod image;
pub mod sniff;
