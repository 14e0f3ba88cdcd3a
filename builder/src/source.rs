//! Where a build's input comes from: the build context, and images.

pub mod context;
pub mod sniff;
pub mod stored;
