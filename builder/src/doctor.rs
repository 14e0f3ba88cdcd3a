//! `rbuild doctor`: what builds need of this machine, tried in the way that a build does it.
//!
//! Every line comes of doing the thing: the isolation is entered, the store opened, a layer
//! mounted, a step prepared up to its program, a control group made. Nothing is concluded from a
//! version. How it is shown is `cli/doctor`'s business.

mod check;
mod groups;
mod store;

pub use check::{Check, Status, Weight};

use std::path::PathBuf;

use rbuild_cache::{Form, Store};
use rbuild_solver::op::Platform;

use crate::cli::host_platform;
use crate::sandbox::{self, EnterError, Isolation, Part, Sandbox, probe};

/// All that is looked at, in the order of the lines. What one thing depends on comes before it.
const NAMES: [(&str, Weight); 11] = [
    ("user namespaces", Weight::Needed),
    ("user ids", Weight::Useful),
    ("store", Weight::Needed),
    ("attributes", Weight::Needed),
    ("EROFS", Weight::Useful),
    ("overlay", Weight::Needed),
    ("seccomp", Weight::Useful),
    ("steps", Weight::Needed),
    ("network", Weight::Useful),
    ("emulation", Weight::Useful),
    ("limits", Weight::Useful),
];

/// The architectures that images are mostly made for.
const ARCHITECTURES: [&str; 6] = ["amd64", "arm64", "arm", "riscv64", "ppc64le", "s390x"];

/// What was found.
#[derive(Debug)]
pub struct Diagnosis {
    /// How new layers are kept; none if that could not be found out.
    pub form: Option<Form>,
    /// A line for each thing.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// Whether a build can work.
    pub fn works(&self) -> bool {
        let stops = |check: &Check| match check.status {
            Status::Missing | Status::Untested => check.weight == Weight::Needed,
            Status::Ok | Status::NotNeeded => false,
        };
        !self.checks.iter().any(stops)
    }

    fn add(&mut self, name: &'static str, status: Status, detail: impl Into<String>) -> &mut Check {
        let weight = NAMES.iter().find(|(known, _)| *known == name).map(|(_, weight)| *weight);
        let weight = weight.unwrap_or(Weight::Useful);
        self.checks.push(Check { name, status, weight, detail: detail.into(), help: None });
        let last = self.checks.len() - 1;
        &mut self.checks[last]
    }

    /// A line for everything that was not reached.
    fn complete(&mut self) {
        for (name, _) in NAMES {
            if !self.checks.iter().any(|check| check.name == name) {
                self.add(name, Status::Untested, "cannot be tried before the others work");
            }
        }
        let place = |check: &Check| NAMES.iter().position(|(name, _)| *name == check.name);
        self.checks.sort_by_key(place);
    }
}

/// Tries everything. Enters the isolation, so it has to come before any thread is started.
/// `store_root` tells where the store is, or why that cannot be told.
pub fn examine(store_root: &dyn Fn(&Isolation) -> Result<PathBuf, &'static str>) -> Diagnosis {
    let mut diagnosis = Diagnosis { form: None, checks: Vec::new() };
    match sandbox::enter() {
        Ok(isolation) => isolated(&mut diagnosis, &isolation, store_root),
        Err(error) => not_isolated(&mut diagnosis, &error),
    }
    diagnosis.complete();
    diagnosis
}

fn not_isolated(diagnosis: &mut Diagnosis, error: &EnterError) {
    let help = error.help().map(str::to_owned);
    diagnosis.add("user namespaces", Status::Missing, error.to_string()).help = help;
}

fn isolated(
    diagnosis: &mut Diagnosis,
    isolation: &Isolation,
    store_root: &dyn Fn(&Isolation) -> Result<PathBuf, &'static str>,
) {
    match isolation.rootless {
        true => diagnosis.add("user namespaces", Status::Ok, "made one with rights in it"),
        false => diagnosis.add("user namespaces", Status::NotNeeded, "this is the host's root"),
    };
    match (isolation.notices.as_slice(), isolation.rootless) {
        ([], true) => diagnosis.add("user ids", Status::Ok, "as many as images use"),
        ([], false) => diagnosis.add("user ids", Status::NotNeeded, "the host's root has all"),
        (notices, _) => diagnosis.add("user ids", Status::Missing, notices.join("; ")),
    };
    groups::check(diagnosis, isolation);
    if let Some(store) = store::check(diagnosis, store_root(isolation)) {
        layers(diagnosis, isolation, &store);
        steps(diagnosis, isolation, &store);
    }
}

/// In which form layers are kept, and why.
fn layers(diagnosis: &mut Diagnosis, isolation: &Isolation, store: &Store) {
    diagnosis.form = Some(store.layers().form());
    match (store.layers().why_directories(), isolation.rootless) {
        (None, _) => {
            diagnosis.add("EROFS", Status::Ok, "mounted from a file");
        }
        (Some(_), true) => {
            let why = "cannot be mounted in a user namespace: layers are directories";
            diagnosis.add("EROFS", Status::NotNeeded, why);
        }
        (Some(error), false) => {
            let why = format!("layers are directories, which is slower: {error}");
            diagnosis.add("EROFS", Status::Missing, why).help = Some(
                "use Linux 6.12 or newer with CONFIG_EROFS_FS_BACKED_BY_FILE, load the module \
                 (`modprobe erofs`), and have the store on ext4, xfs or btrfs (RBUILD_ROOT)"
                    .into(),
            );
        }
    }
}

/// Prepares a step, which needs most of what there is.
fn steps(diagnosis: &mut Diagnosis, isolation: &Isolation, store: &Store) {
    let active = match store.layers().activate(&Default::default()) {
        Ok(active) => active,
        Err(error) => {
            diagnosis.add("overlay", Status::Missing, error.to_string());
            return;
        }
    };
    store::attributes(diagnosis, isolation, &active);
    let sandbox = Sandbox::new(isolation, Vec::new());
    let tried = probe::try_step(&sandbox, &active, &host_platform());
    // The network comes first: what it lacks is known even of a step that fails afterwards.
    match sandbox.notices().as_slice() {
        [] if tried.is_err() => {}
        [] => {
            diagnosis.add("network", Status::Ok, "private ones, by pasta");
        }
        notices => {
            diagnosis.add("network", Status::Missing, notices.join("; "));
        }
    }
    match tried {
        Ok(()) => {
            prepared(diagnosis);
            emulation(diagnosis, &sandbox, store);
        }
        Err(broken) => {
            let name = match broken.part {
                Part::Overlay => "overlay",
                Part::Filter => "seccomp",
                Part::Other => "steps",
            };
            let help = broken.error.help().map(str::to_owned);
            diagnosis.add(name, Status::Missing, broken.error.to_string()).help = help;
        }
    }
}

/// The lines of a step that got as far as its program.
fn prepared(diagnosis: &mut Diagnosis) {
    diagnosis.add("overlay", Status::Ok, "mounted for a step");
    match probe::has_filter() {
        true => diagnosis.add("seccomp", Status::Ok, "filters the system calls of steps"),
        false => diagnosis.add("seccomp", Status::Missing, "no filter for this architecture"),
    };
    diagnosis.add("steps", Status::Ok, "prepared one, up to its program");
}

/// Prepares a step for each architecture that this machine is not of.
fn emulation(diagnosis: &mut Diagnosis, sandbox: &Sandbox, store: &Store) {
    let host = host_platform();
    let (mut run, mut lacking, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for architecture in ARCHITECTURES.into_iter().filter(|one| *one != host.architecture) {
        let platform = Platform { architecture: architecture.into(), ..host.clone() };
        // An upper directory serves one step only.
        match store.layers().activate(&Default::default()) {
            Ok(active) => {
                let failure = probe::try_step(sandbox, &active, &platform).err();
                reasons.extend(failure.map(|broken| broken.error.to_string()));
            }
            Err(error) => reasons.push(error.to_string()),
        }
        reasons.extend(sandbox.notices());
        match reasons.len() > lacking.len() {
            true => lacking.push(architecture),
            false => run.push(architecture),
        }
        reasons.truncate(lacking.len());
    }
    match reasons.first() {
        None => {
            let text = format!("programs for {} run", run.join(", "));
            diagnosis.add("emulation", Status::Ok, text);
        }
        Some(reason) => {
            let text = format!("no programs for {} run: {reason}", lacking.join(", "));
            let help = "apt install qemu-user-static, with Linux 6.7 or newer; nothing on the host \
                        is registered or changed";
            diagnosis.add("emulation", Status::Missing, text).help = Some(help.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(status: Status, name: &'static str) -> Diagnosis {
        let mut diagnosis = Diagnosis { form: None, checks: Vec::new() };
        for (other, _) in NAMES {
            diagnosis.add(other, if other == name { status } else { Status::Ok }, "");
        }
        diagnosis
    }

    #[test]
    fn a_build_works_unless_something_needed_is_missing() {
        let rows = [
            (Status::Missing, "overlay", false),
            (Status::Untested, "overlay", false),
            (Status::Missing, "network", true),
            (Status::NotNeeded, "user namespaces", true),
        ];
        for (status, name, works) in rows {
            assert_eq!(diagnosis(status, name).works(), works, "{name} {status:?}");
        }
    }

    #[test]
    fn what_was_not_reached_has_a_line() {
        let mut diagnosis = Diagnosis { form: None, checks: Vec::new() };
        diagnosis.add("limits", Status::Ok, "");
        diagnosis.add("user namespaces", Status::Missing, "");
        diagnosis.complete();
        let names: Vec<&str> = diagnosis.checks.iter().map(|check| check.name).collect();
        assert_eq!(names, NAMES.map(|(name, _)| name));
        assert!(!diagnosis.works());
    }
}
