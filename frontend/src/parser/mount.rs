//! The options of `RUN --mount` and `RUN --device`: comma-separated fields, quoted as CSV (RFC 4180).
//!
//! Only the shape and the names of options are checked here. Values can hold variables, so what
//! they mean is found out by lowering.

use crate::ast::{MountKey, MountOption, OptionList, Text, TextBuilder};
use crate::diagnostic::Diagnostic;

use super::statement::Context;
use super::suggest;

/// Takes apart the value of a `--mount`. None if it was reported.
pub(super) fn parse(text: Text, context: &mut Context<'_>) -> Option<OptionList> {
    let fields = match fields(&text) {
        Ok(fields) => fields,
        Err(diagnostic) => {
            context.report(*diagnostic);
            return None;
        }
    };
    let mut options = Vec::new();
    for field in fields {
        let (name, value) = split(&field);
        match MountKey::named(&name.as_str().to_ascii_lowercase()) {
            None => context.report(unknown(&name)),
            Some(key) if value.is_none() && !key.is_switch() => context.report(bare(&name)),
            Some(key) => options.push(MountOption { key, name, value }),
        }
    }
    Some(OptionList { text, options })
}

fn split(field: &Text) -> (Text, Option<Text>) {
    let end = field.as_str().len();
    match field.as_str().find('=') {
        Some(at) => (field.slice(0..at), Some(field.slice(at + 1..end))),
        None => (field.clone(), None),
    }
}

/// The fields of one CSV record.
pub(crate) fn fields(text: &Text) -> Result<Vec<Text>, Box<Diagnostic>> {
    let value = text.as_str();
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let (field, end) = match value[at..].starts_with('"') {
            true => quoted(text, at)?,
            false => plain(text, at)?,
        };
        fields.push(field);
        if end >= value.len() {
            return Ok(fields);
        }
        at = end + 1;
    }
}

/// A field without quotes, and where it ends.
fn plain(text: &Text, start: usize) -> Result<(Text, usize), Box<Diagnostic>> {
    let value = text.as_str();
    let end = value[start..].find(',').map_or(value.len(), |at| start + at);
    match value[start..end].find('"') {
        Some(at) => Err(bad_quote(text, start + at)),
        None => Ok((text.slice(start..end), end)),
    }
}

/// A field in quotes, in which two quotes stand for one.
fn quoted(text: &Text, start: usize) -> Result<(Text, usize), Box<Diagnostic>> {
    let value = text.as_str();
    let mut field = TextBuilder::new(text.span_of(start..start + 1).start);
    let mut at = start + 1;
    loop {
        let Some(quote) = value[at..].find('"').map(|length| at + length) else {
            return Err(bad_quote(text, start));
        };
        field.push_text(&text.slice(at..quote));
        match value[quote + 1..].chars().next() {
            Some('"') => {
                field.push_text(&text.slice(quote..quote + 1));
                at = quote + 2;
            }
            None | Some(',') => return Ok((field.finish(), quote + 1)),
            Some(_) => return Err(bad_quote(text, quote)),
        }
    }
}

fn bad_quote(text: &Text, at: usize) -> Box<Diagnostic> {
    let message = "this quote neither begins nor ends an option";
    let error = Diagnostic::error("bad-quote", text.span_of(at..at + 1), message);
    Box::new(error.with_help("quote the whole option: `\"target=/a,b\"`; a quote in it is `\"\"`"))
}

fn bare(name: &Text) -> Diagnostic {
    let message = format!("the mount option `{name}` needs a value");
    Diagnostic::error("missing-option-value", name.span(), message)
        .with_help(format!("write `{name}=VALUE`"))
}

fn unknown(name: &Text) -> Diagnostic {
    if name.is_empty() {
        let error = Diagnostic::error("unknown-option", name.span(), "a mount option is empty");
        return error.with_help("write no blank behind a comma, and no comma without an option");
    }
    let message = format!("there is no mount option `{name}`");
    let error = Diagnostic::error("unknown-option", name.span(), message);
    match suggest::nearest(name.as_str(), MountKey::NAMES.iter().map(|(name, _)| *name)) {
        Some(near) => error.with_help(format!("did you mean `{near}`?")),
        None => {
            let names: Vec<&str> = MountKey::NAMES.iter().map(|(name, _)| *name).collect();
            error.with_help(format!("the options are `{}`", names.join("`, `")))
        }
    }
}
