//! Sizes as docker writes them: `64m`, `1.5GiB`, `512`. All units are powers of 1024.

/// The number of bytes; none if `text` is no size.
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text[digits..].strip_prefix(' ').unwrap_or(&text[digits..]).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    if !text.starts_with(|c: char| c.is_ascii_digit()) || text[..digits].ends_with('.') {
        return None;
    }
    let factor = 1024_u64.pow(power);
    match text[..digits].parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => text[..digits].parse::<f64>().ok().map(|number| (number * factor as f64) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_dockers_units() {
        let rows = [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512b", Some(512)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("2 k", Some(2048)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1.", None),
            (".5k", None),
            ("1x", None),
            ("1..5k", None),
            ("99999999p", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
