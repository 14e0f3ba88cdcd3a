use super::*;

fn nanoseconds_of(text: &str) -> Option<i128> {
    match parse_duration(text).ok()? {
        Signed::Positive(duration) => Some(duration.as_nanos() as i128),
        Signed::Negative(duration) => Some(-(duration.as_nanos() as i128)),
    }
}

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
        ("9223372036854775807ns", Some(i128::from(i64::MAX))),
        ("9223372036854775808ns", None),
        ("99999999999999999999s", None),
        ("", None),
        ("-", None),
        ("10", None),
        ("s", None),
        (".s", None),
        ("1.2.3s", None),
        ("1 s", None),
        ("1d", None),
        ("5s5", None),
    ] {
        assert_eq!(nanoseconds_of(text), expected, "{text}");
    }
}
