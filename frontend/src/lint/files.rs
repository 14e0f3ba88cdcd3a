//! `COPY` and `ADD`.

use crate::address::is_address;
use crate::ast::{Kind, TransferSource};
use crate::scope::expand;

use super::{Facts, Found};

/// A pattern counts as the text that it is, as with BuildKit; the whole context is never hidden.
pub(super) fn copy_ignored_file(facts: &Facts<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for visit in &facts.visits {
        let transfer = match &visit.step.instruction.kind {
            Kind::Copy(copy) if copy.from.is_none() => &copy.transfer,
            Kind::Add(add) => &add.transfer,
            _ => continue,
        };
        for source in &transfer.sources {
            let TransferSource::Path(text) = source else { continue };
            let Ok(path) = expand(facts.style(), text, &visit.before.variables) else { continue };
            let path = path.text;
            if path.is_empty() || path == "." || is_address(&path) || !facts.is_hidden(&path) {
                continue;
            }
            let instruction = facts.instruction_of(visit);
            let span = visit.step.source.place(text.span());
            let message = format!("`{path}` is hidden by the ignore file");
            found.push(Found::at(instruction, span, message));
        }
    }
    found
}
