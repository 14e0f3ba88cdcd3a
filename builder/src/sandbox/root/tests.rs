use std::os::fd::AsRawFd;

use super::super::tests::lab::{self, Lab};
use super::super::wire::{Network, Privilege, Stdio};
use super::*;

fn request(lab: &Lab) -> Request {
    let text = |name: &str| lab.path(name).to_str().unwrap().to_owned();
    let privilege = Privilege { rootless: lab.isolation.rootless, ids: lab.isolation.ids };
    let (upper, work) = (text("upper"), text("work"));
    Request {
        root: Root::Overlay { lowers: vec![text("base")], upper, work },
        args: Vec::new(),
        env: Vec::new(),
        cwd: "/".into(),
        user: String::new(),
        hostname: String::new(),
        users: None,
        network: Network::Host,
        security: rbuild_solver::op::Security::Confined,
        resources: rbuild_solver::op::Resources::default(),
        hosts: Vec::new(),
        resolv_conf: Vec::new(),
        mounts: Vec::new(),
        groups: Vec::new(),
        stdio: Stdio::Piped { output: 0 },
        privilege,
    }
}

/// Kernels before 6.7 are not at hand, but their way of mounting still works in newer ones.
fn mounts_by_options(lab: &Lab) {
    let request = request(lab);
    let stage = Stage::new(&request).unwrap();
    let Root::Overlay { lowers, upper, work } = &request.root else { unreachable!() };
    let overlay = Overlay::open(lowers, upper, work, lab.isolation.rootless, &stage).unwrap();
    let root = overlay.mount_by_options(&stage).unwrap();
    let inside = |name: &str| format!("/proc/self/fd/{}/{name}", root.as_raw_fd());
    assert!(std::fs::exists(inside("bin/busybox")).unwrap());
    assert!(std::fs::exists(inside("etc/hosts")).unwrap());
    std::fs::write(inside("new"), "text").unwrap();
    assert_eq!(std::fs::read_to_string(lab.path("upper/new")).unwrap(), "text");
}

#[test]
fn mounts_by_options_as_root() {
    lab::run(
        lab::As::Root,
        concat!(module_path!(), "::mounts_by_options_as_root"),
        mounts_by_options,
    );
}

#[test]
fn mounts_by_options_as_user() {
    lab::run(
        lab::As::User,
        concat!(module_path!(), "::mounts_by_options_as_user"),
        mounts_by_options,
    );
}
