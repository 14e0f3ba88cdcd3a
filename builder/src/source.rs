//! Where a build's input comes from: the build context, and images.

pub mod context;
pub mod image;
pub mod images;
pub mod load;
pub mod sniff;
pub mod stored;
