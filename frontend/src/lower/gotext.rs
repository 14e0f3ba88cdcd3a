//! Values as Go's `fmt` prints them: the text of history entries, which other tools compare.

use crate::config::Healthcheck;

/// `%q` of a list: `["a" "b c"]`.
pub(super) fn quoted_list(items: &[String]) -> String {
    list(&items.iter().map(|item| quoted(item)).collect::<Vec<_>>())
}

/// `%v` of a list: `[a b c]`.
pub(super) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(" "))
}

/// `%q` of a pointer to a health check.
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    let times = [check.interval, check.timeout, check.start_period, check.start_interval];
    let times: Vec<String> = times.iter().map(|time| quoted(&duration(*time))).collect();
    format!("&{{{} {} {}}}", quoted_list(&check.test), times.join(" "), quoted_rune(check.retries))
}

/// `%q` of a text.
pub(super) fn quoted(text: &str) -> String {
    let escaped: String = text.chars().map(|char| escaped(char, '"')).collect();
    format!("\"{escaped}\"")
}

/// `%q` of a number is the character of that number.
fn quoted_rune(number: i64) -> String {
    let char = u32::try_from(number).ok().and_then(char::from_u32);
    format!("'{}'", escaped(char.unwrap_or(char::REPLACEMENT_CHARACTER), '\''))
}

fn escaped(char: char, quote: char) -> String {
    match char {
        '\\' => "\\\\".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        char if char == quote => format!("\\{char}"),
        char if is_printable(char) => char.to_string(),
        char if u32::from(char) < 0x80 => format!("\\x{:02x}", u32::from(char)),
        char if u32::from(char) < 0x1_0000 => format!("\\u{:04x}", u32::from(char)),
        char => format!("\\U{:08x}", u32::from(char)),
    }
}

/// Everything that leaves a mark, and the plain blank.
fn is_printable(char: char) -> bool {
    let invisible = matches!(char,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..);
    char == ' ' || !(char.is_control() || char.is_whitespace() || invisible)
}

/// A duration of so many nanoseconds: `1h0m0s`, `1m30s`, `1.5s`, `20ms`.
fn duration(nanoseconds: i64) -> String {
    let total = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, rest) = (total / 1_000_000_000, total % 1_000_000_000);
    let text = match (seconds, rest) {
        (0, 0) => "0s".to_owned(),
        (0, 1..1_000) => format!("{rest}ns"),
        (0, 1_000..1_000_000) => format!("{}µs", decimal(rest, 1_000)),
        (0, _) => format!("{}ms", decimal(rest, 1_000_000)),
        _ => {
            let (minutes, whole) = (seconds / 60, seconds % 60);
            let last = format!("{}s", decimal(whole * 1_000_000_000 + rest, 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => last,
                (0, minutes) => format!("{minutes}m{last}"),
                (hours, minutes) => format!("{hours}h{minutes}m{last}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// `value / unit` without trailing zeros; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let fraction = format!("{:0digits$}", value % unit);
    let fraction = fraction.trim_end_matches('0');
    let whole = value / unit;
    if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted() {
        let rows = [
            ("sh", "\"sh\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("é<>&", "\"é<>&\""),
            ("tab\tnl\n", "\"tab\\tnl\\n\""),
            ("\u{1}\u{7f}", "\"\\x01\\x7f\""),
            ("\u{a0}\u{200b}", "\"\\u00a0\\u200b\""),
            ("'", "\"'\""),
        ];
        for (text, expected) in rows {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(quoted_list(&[]), "[]");
        assert_eq!(list(&["a".to_owned(), "b c".to_owned()]), "[a b c]");
    }

    #[test]
    fn durations_have_the_largest_unit_first() {
        let rows = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (20_000_000, "20ms"),
            (1_500_000_000, "1.5s"),
            (5_000_000_000, "5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_000_000_000, "-1s"),
        ];
        for (nanoseconds, expected) in rows {
            assert_eq!(duration(nanoseconds), expected);
        }
    }

    #[test]
    fn a_health_check_looks_as_docker_writes_it() {
        let check = Healthcheck {
            test: vec!["CMD-SHELL".to_owned(), "true || false".to_owned()],
            interval: 5_000_000_000,
            timeout: 3_000_000_000,
            retries: 2,
            ..Healthcheck::default()
        };
        assert_eq!(
            healthcheck(&check),
            r#"&{["CMD-SHELL" "true || false"] "5s" "3s" "0s" "0s" '\x02'}"#
        );
        assert_eq!(quoted_rune(65), "'A'");
        assert_eq!(quoted_rune(10), "'\\n'");
        assert_eq!(quoted_rune(39), "'\\''");
    }
}
