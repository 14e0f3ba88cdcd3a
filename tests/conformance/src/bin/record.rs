//! Records what Docker makes of the cases: `record [--with-rbuild] [PART OF A NAME..]`. Without a
//! name, of those of which nothing is recorded yet. A case that has `expect` is left alone.
//!
//! `--with-rbuild` writes what rbuild makes of the cases that have `expect`, for a person to read
//! and correct by hand: it is a form to fill in, not an authority.

// It is a tool of the developers: a panic is how it reports.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;

use conformance::base;
use conformance::case::Case;
use conformance::docker;
use conformance::outcome::{Outcome, Recorded};
use conformance::rbuild::Rbuild;
use conformance::servers::Served;
use conformance::suite::each;

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let with_rbuild = names.iter().any(|name| name == "--with-rbuild");
    names.retain(|name| name != "--with-rbuild");
    let mut cases: Vec<Case> =
        Case::sections().iter().flat_map(|section| Case::section(section)).collect();
    cases.retain(|case| case.expect.is_some() == with_rbuild && is_asked_for(case, &names));
    if cases.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bases = base::make(folder.path());
    let served = Served::for_cases(&cases);
    if with_rbuild {
        let rbuild = Rbuild::new(folder.path(), &bases.archive);
        each(&cases, |case| {
            let by = BTreeMap::from([("hand".to_owned(), case.expect.clone().unwrap())]);
            write(case, &Recorded { by, outcome: rbuild.build(case, &bases, &served).0 });
        });
    } else {
        let by = docker::prepare(&bases.archive);
        each(&cases, |case| write(case, &docker::record(case, &bases, &served, &by)));
    }
}

fn is_asked_for(case: &Case, names: &[String]) -> bool {
    match names {
        [] => !case.recorded().exists(),
        names => names.iter().any(|name| case.name.contains(name)),
    }
}

fn write(case: &Case, recorded: &Recorded) {
    recorded.write(case);
    let told = match &recorded.outcome {
        Outcome::Image(image) => format!("image, {} layers", image.layers),
        Outcome::Error(error) => format!("error, {:?}: {}", error.kind, error.message),
    };
    println!("{}: {told}", case.name);
}
