//! Tests of whole steps: as root and as an ordinary user, on an image that is just busybox.

pub mod lab;

/// Tests whose body runs in the isolation, as root and as an ordinary user.
macro_rules! isolated {
    ($($(#[$doc:meta])* fn $name:ident($lab:ident) $body:block)*) => { $(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            fn body($lab: &lab::Lab) $body
            #[test]
            fn as_root() {
                lab::run(lab::As::Root, concat!(module_path!(), "::as_root"), body);
            }
            #[test]
            fn as_user() {
                lab::run(lab::As::User, concat!(module_path!(), "::as_user"), body);
            }
        }
    )* };
}

mod ends;
mod holes;
mod isolation;
mod looks;
mod mounts;
mod network;
mod program;
mod users;

pub use lab::first_thing;
