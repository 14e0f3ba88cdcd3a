//! rbuild.

#[allow(dead_code, unused_imports)]
mod sandbox;
#[allow(dead_code)]
mod source;
#[allow(dead_code)]
mod worker;

fn main() {
    sandbox::init_hook();
}
