//! rbuild.

#[allow(dead_code, reason = "the build that calls it comes next")]
mod registry;
#[allow(dead_code, unused_imports)]
mod sandbox;
#[allow(dead_code)]
mod source;
#[allow(dead_code)]
mod worker;

fn main() {
    sandbox::init_hook();
}
