//! Where a build's input comes from: the build context, and images.

pub mod auth;
pub mod context;
pub mod git;
pub mod http;
pub mod image;
pub mod images;
pub mod layout;
pub mod limits;
pub mod load;
pub mod remote;
pub mod stored;
