//! rbuild.
fn main() {}
