//! How ops are carried out.

pub mod copy;
pub mod makedir;
pub mod owner;
