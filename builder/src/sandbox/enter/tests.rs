use super::diagnose::{Settings, explain};
use super::ids::{Range, count, ranges};
use super::*;

#[test]
fn subuid_ranges_are_found_by_name_and_number() {
    let names = ["anna".to_owned(), "1000".to_owned()];
    let rows = [
        ("anna:100000:65536\n", vec![(100_000, 65_536)]),
        ("bob:1:2\nanna:100000:65536\n1000:300000:10\n", vec![(100_000, 65_536), (300_000, 10)]),
        ("annabel:100000:65536\n", vec![]),
        ("anna:100000:0\nanna:x:5\nanna:7\n\n", vec![]),
        ("", vec![]),
    ];
    for (text, expected) in rows {
        let expected: Vec<_> =
            expected.into_iter().map(|(first, count)| Range { first, count }).collect();
        assert_eq!(ranges(text, &names), expected, "{text:?}");
    }
}

#[test]
fn ids_of_a_map_are_counted() {
    assert_eq!(count("         0          0 4294967295\n"), 4_294_967_295);
    assert_eq!(count("0 1000 1\n1 100000 65536\n"), 65_537);
    assert_eq!(count(""), 0);
}

#[test]
fn the_missing_setting_is_named() {
    let none = Settings::default();
    let rows = [
        (Errno::NOSPC, none.clone(), "user.max_user_namespaces"),
        (
            Errno::NOSPC,
            Settings { max_user_namespaces: Some(0), ..none.clone() },
            "user.max_user_namespaces is 0",
        ),
        (
            Errno::PERM,
            Settings { unprivileged_userns_clone: Some(0), ..none.clone() },
            "kernel.unprivileged_userns_clone",
        ),
        (
            Errno::PERM,
            Settings { apparmor_restrict: Some(1), ..none.clone() },
            "kernel.apparmor_restrict_unprivileged_userns",
        ),
        (Errno::PERM, Settings { seccomp: Some(2), ..none.clone() }, "seccomp profile"),
        (Errno::NOSYS, Settings { seccomp: Some(2), ..none.clone() }, "seccomp profile"),
        (Errno::INVAL, none.clone(), "CONFIG_USER_NS"),
        (Errno::USERS, none.clone(), "nested"),
    ];
    for (errno, settings, expected) in rows {
        let error = explain(errno, &settings);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.help().is_some_and(|help| !help.is_empty()));
    }
}
