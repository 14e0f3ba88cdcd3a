//! Durations as Go writes them, `1h2m3.5s`: the form of `HEALTHCHECK` flags.

/// The nanoseconds of a duration: an optional sign, then numbers with units, or just `0`. None if it
/// is something else or beyond what 64 bits hold.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let total = match unsigned {
        "0" => 0,
        "" => return None,
        _ => i64::try_from(sum(unsigned)?).ok()?,
    };
    Some(if text.starts_with('-') { -total } else { total })
}

fn sum(mut rest: &str) -> Option<u128> {
    let mut total = 0_u128;
    while !rest.is_empty() {
        let is_number = |ch: char| ch.is_ascii_digit() || ch == '.';
        let number = rest.len() - rest.trim_start_matches(is_number).len();
        let (number, tail) = rest.split_at(number);
        let (unit, tail) = tail.split_at(tail.find(is_number).unwrap_or(tail.len()));
        total = total.checked_add(product(number, unit)?)?;
        rest = tail;
    }
    Some(total)
}

fn product(number: &str, unit: &str) -> Option<u128> {
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    // Digits beyond the 18th of a fraction are below a nanosecond, whatever the unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(digits(whole)? * unit + digits(fraction)? * unit / scale)
}

fn digits(digits: &str) -> Option<u128> {
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse::<u64>().ok().map(u128::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+5s", Some(5_000_000_000)),
            ("-1s", Some(-1_000_000_000)),
            ("1h2m3s4ms5us6ns", Some(3_723_004_005_006)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("1µs1μs", Some(2_000)),
            ("0s", Some(0)),
            ("0.9ns", Some(0)),
            ("0.000000000000000000000000001h", Some(0)),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("9223372036854775808ns", None),
            ("99999999999999999999s", None),
            ("", None),
            ("-", None),
            ("--1s", None),
            ("10", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("1 s", None),
            ("1d", None),
            ("5s5", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
