//! What `--exclude` and `--parents` leave of what lies below a match.

use super::listing::{Child, Presence};
use super::{PathSelector, join};
use crate::pattern::BadPattern;
use crate::pattern::rules::Rules;

/// The rules that a path has to pass, all of them.
pub(super) struct Narrow {
    rules: Vec<Rules>,
}

impl Narrow {
    /// Reads the patterns of a selector.
    pub(super) fn new(selector: &PathSelector) -> Result<Narrow, BadPattern> {
        // To include one pattern is to leave out everything else.
        let include = selector.include.iter().map(|one| vec!["**".to_owned(), format!("!{one}")]);
        let exclude = (!selector.exclude.is_empty()).then(|| selector.exclude.clone());
        let rules = include.chain(exclude).map(Rules::new).collect::<Result<_, _>>();
        Ok(Narrow { rules: rules.map_err(|(_, error)| error)? })
    }

    /// What is left of the child `name` of the directory `relative`.
    pub(super) fn presence(&self, relative: &[u8], name: &[u8], child: &Child) -> Presence {
        if self.rules.is_empty() {
            return Presence::Included;
        }
        let path = join(relative, name);
        let each = self.rules.iter().map(|rules| one(rules, &path, child));
        each.fold(Presence::Included, Presence::and)
    }
}

fn one(rules: &Rules, path: &[u8], child: &Child) -> Presence {
    match rules.decide(path) {
        Some(decision) if rules.excludes(path) => match child.node.is_dir() {
            true if !rules.prunes(path) => Presence::IfNeeded(decision.rule),
            _ => Presence::Hidden(decision.rule),
        },
        _ => Presence::Included,
    }
}
