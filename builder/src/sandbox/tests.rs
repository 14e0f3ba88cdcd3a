//! Tests of whole steps: as root and as an ordinary user, on an image that is just busybox.

mod lab;

pub use lab::first_thing;

/// Tests whose body runs in the isolation, as root and as an ordinary user.
macro_rules! isolated {
    ($($(#[$doc:meta])* fn $name:ident($lab:ident) $body:block)*) => { $(
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

isolated! {
    fn output_is_in_order(lab) {
        assert_eq!(lab.sh("echo one; echo two >&2; echo three"), "one\ntwo\nthree\n");
    }

    fn a_step_leaves_nothing_behind(lab) {
        lab.sh("ls /proc /sys /dev /etc >/dev/null; cat /etc/hosts >/dev/null");
        assert_eq!(lab.changes(), Vec::<String>::new());
    }
}
