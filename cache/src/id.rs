//! The name of a layer in the store.
//!
//! A layer's bytes are not known when it gets its name (a step has yet to write them), so the
//! name is random and says nothing. Names made from bytes are in `digest`.

use std::fmt;
use std::str::FromStr;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

/// The name of one layer: 128 random bits, written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerId(u128);

/// A text that is no layer's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a layer: expected 32 lower-case hex digits")]
pub struct BadLayerId(String);

impl LayerId {
    /// A name that no other layer has.
    pub fn random() -> LayerId {
        LayerId(random())
    }
}

/// 128 bits that nobody had before.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        // The kernel answers at once and in full for so few bytes; only a signal can be in the way.
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty()).unwrap_or(0);
    }
    u128::from_ne_bytes(bytes)
}

impl FromStr for LayerId {
    type Err = BadLayerId;

    fn from_str(text: &str) -> Result<LayerId, BadLayerId> {
        let clean =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match u128::from_str_radix(text, 16) {
            Ok(id) if clean => Ok(LayerId(id)),
            _ => Err(BadLayerId(text.to_owned())),
        }
    }
}

impl TryFrom<String> for LayerId {
    type Error = BadLayerId;

    fn try_from(text: String) -> Result<LayerId, BadLayerId> {
        text.parse()
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> String {
        id.to_string()
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_is_read() {
        let id = LayerId::random();
        assert_eq!(id.to_string().parse::<LayerId>().unwrap(), id);
        assert_eq!(id.to_string().len(), 32);
        assert_ne!(id, LayerId::random());
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let plus = format!("+{}", "0".repeat(31));
        for text in ["", "..", "0123", &"G".repeat(32), &"A".repeat(32), &plus] {
            assert!(text.parse::<LayerId>().is_err(), "{text}");
        }
    }
}
