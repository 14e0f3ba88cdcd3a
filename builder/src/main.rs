//! rbuild.
#[allow(dead_code, reason = "the build that calls it comes next")]
mod registry;

fn main() {}
