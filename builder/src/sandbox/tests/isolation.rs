//! Entering the isolation in the ways there are.

use std::process::Command;

use super::super::wire::Ids;
use super::lab::{self, As, Lab};

fn describe(lab: &Lab) {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let ids = match lab.isolation.ids {
        Ids::Full => "full",
        Ids::Single => "single",
    };
    let notices = lab.isolation.notices.join("; ");
    println!("ISOLATION {} {ids} {} {notices}", lab.isolation.rootless, map.lines().count());
    assert_eq!(lab.sh("id -u"), "0\n");
    assert_eq!(rustix::process::geteuid().as_raw(), 0);
}

/// What [`describe`] says in a process that is started so.
fn says(whom: As, test: &str, change: impl Fn(&mut Command)) -> String {
    let name = format!("{}::{test}", module_path!());
    let text = lab::run_changed(whom, &name, describe, change);
    let line = text.lines().find_map(|line| line.split_once("ISOLATION ")).map(|(_, rest)| rest);
    line.unwrap_or_default().to_owned()
}

#[test]
fn root_keeps_its_ids() {
    let said = says(As::Root, "root_keeps_its_ids", |_| {});
    assert!(said.is_empty() || said == "false full 1 ", "{said}");
}

#[test]
fn a_user_gets_its_ranges() {
    let said = says(As::User, "a_user_gets_its_ranges", |_| {});
    assert!(said.is_empty() || said == "true full 2 ", "{said}");
}

#[test]
fn without_newuidmap_there_is_one_id_and_a_notice() {
    let test = "without_newuidmap_there_is_one_id_and_a_notice";
    let said = says(As::User, test, |command| {
        command.env("PATH", "/nowhere");
    });
    let expected = "true single 1 newuidmap is not installed";
    assert!(said.is_empty() || said.starts_with(expected), "{said}");
    assert!(said.is_empty() || said.contains("only one user id"), "{said}");
}

#[test]
fn root_of_a_user_namespace_stays_in_it() {
    let said = says(As::Unshared, "root_of_a_user_namespace_stays_in_it", |_| {});
    assert!(said.is_empty() || said.starts_with("true single 1 this user namespace"), "{said}");
}

#[test]
fn ids_of_a_user_namespace_are_used() {
    let said = says(As::Mapped, "ids_of_a_user_namespace_are_used", |_| {});
    assert!(said.is_empty() || said == "true full 2 ", "{said}");
}

#[test]
fn root_of_an_ordinary_container_maps_its_own_ids() {
    let said = says(As::Powerless, "root_of_an_ordinary_container_maps_its_own_ids", |_| {});
    assert!(said.is_empty() || said == "true full 1 ", "{said}");
}

fn other_users_need_ids(lab: &Lab) {
    let mut spec = lab.spec("id");
    spec.user = "1000".into();
    let error = lab.try_run(&spec).unwrap_err();
    assert!(error.to_string().contains("does not exist in the user namespace"), "{error}");
    assert!(error.help().unwrap().contains("/etc/subuid"));
}

#[test]
fn other_users_do_not_exist_with_one_id() {
    let name = concat!(module_path!(), "::other_users_do_not_exist_with_one_id");
    lab::run_changed(As::User, name, other_users_need_ids, |command| {
        command.env("PATH", "/nowhere");
    });
}
