//! Names close to a mistyped one.

/// The candidate that a word was probably meant to be, if one is close enough.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &name.to_ascii_lowercase());
    let close = candidates.map(|name| (distance(name), name));
    let best = close.filter(|(distance, name)| *distance <= allowed && *distance < name.len());
    best.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}
