//! Percent encoding (RFC 3986, section 2.1).

use super::BadAddress;

/// The text that `text` stands for.
pub(super) fn decode(text: &str) -> Result<String, BadAddress> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or_else(|| bad(text))?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(|| bad(text));
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| bad(text))
}

/// As [`decode`], of a query, where `+` is a blank.
pub(super) fn decode_query(text: &str) -> Result<String, BadAddress> {
    decode(&text.replace('+', "%20"))
}

fn bad(text: &str) -> BadAddress {
    BadAddress::Percent(text.to_owned())
}
