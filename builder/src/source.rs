//! Where a build's input comes from: the build context, and images.

pub mod stored;
