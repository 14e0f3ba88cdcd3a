//! Names of stages.

use std::collections::BTreeSet;

use super::{Facts, Found};

/// Names that mean something else in `FROM` and `COPY --from`.
const RESERVED: [&str; 2] = ["context", "scratch"];

pub(super) fn stage_name_casing(facts: &Facts<'_>) -> Vec<Found> {
    let named = facts.froms().filter_map(|(from, base)| Some((from, base.name.as_ref()?)));
    let upper = named.filter(|(_, name)| name.as_str() != name.as_str().to_lowercase());
    let found = upper.map(|(from, name)| {
        let lower = name.as_str().to_lowercase();
        Found::in_text(&from.span, name, format!("the stage name `{name}` is not in lower case"))
            .with_help(format!("write `{lower}`"))
    });
    found.collect()
}

pub(super) fn duplicate_stage_name(facts: &Facts<'_>) -> Vec<Found> {
    let mut seen = BTreeSet::new();
    let named = facts.froms().filter_map(|(from, base)| Some((from, base.name.as_ref()?)));
    let again = named.filter(|(_, name)| !seen.insert(name.as_str().to_lowercase()));
    let found = again.map(|(from, name)| {
        Found::in_text(&from.span, name, format!("an earlier stage is called `{name}` as well"))
    });
    found.collect()
}

pub(super) fn reserved_stage_name(facts: &Facts<'_>) -> Vec<Found> {
    let named = facts.froms().filter_map(|(from, base)| Some((from, base.name.as_ref()?)));
    let is_reserved = |name: &str| RESERVED.contains(&name.to_lowercase().as_str());
    let reserved = named.filter(|(_, name)| is_reserved(name.as_str()));
    let found = reserved.map(|(from, name)| {
        let message = format!("the stage name `{name}` has a meaning of its own");
        Found::in_text(&from.span, name, message)
    });
    found.collect()
}
