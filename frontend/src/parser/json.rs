//! The JSON form of arguments, `["a", "b"]`, and why something that looks like it is not.

use std::ops::Range;

use serde_json::Value;

use crate::ast::{Text, TextBuilder};
use crate::diagnostic::Diagnostic;

use super::statement::COMMENT_HELP;

/// What a text is with regard to the JSON form.
#[derive(Debug)]
pub(super) enum Json {
    /// An array of strings, decoded.
    Array(Vec<Text>),
    /// Something else.
    Other,
    /// A valid array with other things than strings in it.
    NotStrings,
}

/// Reads the JSON form.
pub(super) fn parse(args: &Text) -> Json {
    if !args.as_str().starts_with('[') {
        return Json::Other;
    }
    match serde_json::from_str::<Vec<Value>>(args.as_str()) {
        Err(_) => Json::Other,
        Ok(values) if values.iter().all(Value::is_string) => Json::Array(elements(args)),
        Ok(_) => Json::NotStrings,
    }
}

/// Reports an array with other things than strings.
pub(super) fn not_strings(args: &Text) -> Diagnostic {
    Diagnostic::error("json-not-strings", args.span(), "this JSON array can hold only strings")
        .with_help("put every element in double quotes")
}

/// What is wrong with a text that looks like the JSON form but is not. `fallback` says what happens
/// instead.
pub(super) fn almost(args: &Text, fallback: &str) -> Option<Diagnostic> {
    let text = args.as_str();
    let error = serde_json::from_str::<Vec<Value>>(text).err()?;
    let mut arrays = serde_json::Deserializer::from_str(text).into_iter::<Vec<String>>();
    if let Some(Ok(_)) = arrays.next() {
        let behind = args.slice(arrays.byte_offset()..text.len()).trimmed();
        return Some(trailing(&behind, fallback));
    }
    let repaired = repaired(text);
    let second = text.strip_prefix('[')?.chars().next()?;
    if repaired.is_none() && (second.is_whitespace() || second == '[') {
        return None;
    }
    let message = format!("this is not a valid JSON array, so {fallback}");
    let at = |place| Diagnostic::warning("malformed-json", args.span_of(place), message);
    Some(match repaired {
        Some(array) => at(0..text.len()).with_help(format!("did you mean `{array}`?")),
        None => at(char_at(text, error.column().saturating_sub(1).min(text.len())))
            .with_label("not JSON from here on")
            .with_help("double quotes around every part, commas in between: `[\"a\", \"b\"]`"),
    })
}

/// Words as an array of strings: for a suggestion.
pub(super) fn array(args: &Text) -> Option<String> {
    if args.as_str().starts_with('[') {
        return repaired(args.as_str());
    }
    let words: Vec<_> = args.as_str().split_whitespace().collect();
    let plain = !args.as_str().contains(['\'', '"', '\\']);
    plain.then(|| quoted(&words))
}

fn quoted(items: &[&str]) -> String {
    let quoted: Vec<_> = items.iter().filter_map(|item| serde_json::to_string(item).ok()).collect();
    format!("[{}]", quoted.join(", "))
}

fn trailing(behind: &Text, fallback: &str) -> Diagnostic {
    let message = format!("there is text behind the JSON array, so {fallback}");
    let help = match behind.as_str().starts_with('#') {
        true => COMMENT_HELP,
        false => "remove it, or make it part of the array",
    };
    Diagnostic::warning("malformed-json", behind.span(), message).with_help(help)
}

fn char_at(text: &str, at: usize) -> Range<usize> {
    let start = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    start..start + text[start..].chars().next().map_or(0, char::len_utf8)
}

/// The text as an array of strings, if it is one but for missing quotes or quotes of the wrong
/// kind.
fn repaired(text: &str) -> Option<String> {
    let inner = text.strip_prefix('[')?.trim_end().strip_suffix(']')?;
    if inner.starts_with(char::is_whitespace) && !inner.contains(',') {
        return None;
    }
    let items: Vec<_> = inner.split(',').map(unquoted).collect::<Option<_>>()?;
    Some(quoted(&items))
}

/// A word without the single or double quotes around it; none if quotes are anywhere else.
fn unquoted(word: &str) -> Option<&str> {
    let word = word.trim();
    let inner = ['\'', '"']
        .iter()
        .find_map(|quote| word.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)));
    let inner = inner.unwrap_or(word);
    (!inner.is_empty() && !inner.contains(['\'', '"', '[', ']'])).then_some(inner)
}

/// The strings of a valid array of strings, each with its place.
fn elements(args: &Text) -> Vec<Text> {
    let text = args.as_str();
    let mut elements = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('"').map(|found| at + found) {
        let close = closing_quote(text, open);
        elements.push(decode(args, open + 1, close));
        at = close + 1;
    }
    elements
}

fn closing_quote(text: &str, open: usize) -> usize {
    let mut escaped = false;
    let ends = |byte: u8| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    };
    text.bytes().skip(open + 1).position(ends).map_or(text.len(), |found| open + 1 + found)
}

fn decode(args: &Text, start: usize, end: usize) -> Text {
    let text = args.as_str();
    let mut decoded = TextBuilder::new(args.span_of(start..start).start);
    let mut at = start;
    while at < end {
        let run = text[at..end].find('\\').map_or(end, |found| at + found);
        decoded.push_text(&args.slice(at..run));
        at = run;
        if at < end {
            let length = escape_length(&text[at..end]);
            let escape = &text[at..at + length];
            let value: String = serde_json::from_str(&format!("\"{escape}\"")).unwrap_or_default();
            decoded.push_decoded(&value, args.span_of(at..at + length));
            at += length;
        }
    }
    decoded.finish()
}

/// The length of the escape sequence a text begins with. A surrogate pair is one sequence.
fn escape_length(text: &str) -> usize {
    let length = match text.strip_prefix("\\u").map(str::as_bytes) {
        Some([b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..]) => 12,
        Some(_) => 6,
        None => 2,
    };
    length.min(text.len())
}
