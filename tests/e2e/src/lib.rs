//! Support for the end-to-end tests: rbuild as a user runs it, beside other people's tools.
//!
//! A test gets a [`World`]: a user, a store of its own, and a mirror of docker.io on loopback. What
//! it starts ends with it, and it fails if rbuild left a process or a mount behind. Nothing here
//! knows rbuild's insides: a test may use its command line, its store as an image layout, and its
//! registry, as any user may.
//!
//! Setting up is `scripts/setup.sh --tests`. A test that cannot run says why; where `CI` is set it
//! fails.

// This is test code: a panic is how it reports, and a person reads what it prints.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

pub mod context;
pub mod generate;
pub mod island;
pub mod layout;
pub mod listing;
pub mod progress;
pub mod registry;
pub mod run;
pub mod servers;
pub mod system;
pub mod user;
pub mod world;

pub use context::{Context, example};
pub use generate::{Project, Random};
pub use island::Island;
pub use layout::Layout;
pub use listing::Listing;
pub use progress::Steps;
pub use registry::Registry;
pub use run::{Run, Started};
pub use user::User;
pub use world::World;

/// Makes each named function, `fn name(world: &World)`, a test as root and a test as the ordinary
/// user: `name::as_root` and `name::as_user`.
#[macro_export]
macro_rules! for_each_user {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn as_root() {
                $crate::World::run($crate::User::root(), super::$name);
            }
            #[test]
            fn as_user() {
                $crate::World::run($crate::User::ordinary(), super::$name);
            }
        }
    )+};
}
