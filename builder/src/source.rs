//! Where the trees of a build come from.

pub mod image;
