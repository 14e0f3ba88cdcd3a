//! rbuild.

#[allow(dead_code, unused_imports)]
mod sandbox;

fn main() {
    sandbox::init_hook();
}
