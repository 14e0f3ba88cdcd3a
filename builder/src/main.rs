//! `rbuild`: builds OCI images from Dockerfiles, without a daemon, as root or not.
//!
//! Read `build.rs` first: one build from top to bottom.

mod build;
mod cli;
mod doctor;
mod exit;
mod export;
mod given;
mod machine;
mod options;
mod progress;
mod registry;
mod sandbox;
mod source;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::init_hook();
    cli::main().into()
}
