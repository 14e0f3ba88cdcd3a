//! rbuild.

#[allow(dead_code, unused_imports)]
mod sandbox;
#[allow(dead_code)]
mod source;

fn main() {
    sandbox::init_hook();
}
