//! Runs the cases of a section side by side, and tells what differs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base;
use crate::case::Case;
use crate::compare::compare;
use crate::differences::Known;
use crate::outcome::Recorded;
use crate::rbuild::Rbuild;
use crate::servers::Served;

/// How many cases run at once: they wait for disks and processes more than they compute.
pub const SIDE_BY_SIDE: usize = 4;

/// Compares every case of a section; `$CASE` leaves those whose name holds it.
pub fn section(name: &str) {
    if let Some(why) = unfit() {
        assert!(std::env::var_os("CI").is_none(), "cannot run: {why}");
        return eprintln!("NOT RUN: {why}");
    }
    let filter = std::env::var("CASE").unwrap_or_default();
    let mut cases = Case::section(name);
    cases.retain(|case| case.name.contains(&filter));
    let folder = tempfile::Builder::new().prefix("conformance.").tempdir().unwrap();
    let bases = base::make(folder.path());
    let served = Served::for_cases(&cases);
    let rbuild = Rbuild::new(folder.path(), &bases.archive);
    let known = Known::read();
    let failures = Mutex::new(Vec::new());
    each(&cases, |case| {
        let (outcome, output) = rbuild.build(case, &bases, &served);
        let wrong = match Recorded::read(case) {
            Some(recorded) => known.judge(&case.name, &compare(case, &recorded.outcome, &outcome)),
            None => vec!["nothing is recorded; README.md says how that is done".to_owned()],
        };
        if !wrong.is_empty() {
            let report =
                format!("{} ({})\n  {}\n{output}", case.name, case.shows, wrong.join("\n  "));
            failures.lock().unwrap().push(report);
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// Why no case can run here, if so.
fn unfit() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("contexts with files of several owners need root");
    }
    base::busybox_path().is_none().then_some("busybox is not installed: see scripts/setup.sh")
}

/// Calls a function with each of the cases, several at once.
pub fn each(cases: &[Case], work: impl Fn(&Case) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(case);
                }
            });
        }
    });
}
