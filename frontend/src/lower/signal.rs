//! The names of signals that `STOPSIGNAL` knows.

/// Linux's signals besides the real-time ones.
const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Whether this is a signal's name, with or without `SIG`, or a number other than zero.
pub(super) fn exists(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || is_real_time(name)
}

/// `RTMIN+1` to `RTMIN+15`, `RTMAX-14` to `RTMAX-1`.
fn is_real_time(name: &str) -> bool {
    let above = name.strip_prefix("RTMIN+").and_then(|offset| offset.parse::<u8>().ok());
    let below = name.strip_prefix("RTMAX-").and_then(|offset| offset.parse::<u8>().ok());
    above.is_some_and(|offset| (1..=15).contains(&offset))
        || below.is_some_and(|offset| (1..=14).contains(&offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["SIGTERM", "term", "9", "SIGRTMIN+3", "RTMAX-14", "SIGUSR1", "64"] {
            assert!(exists(text), "{text}");
        }
        for text in ["", "0", "SIG", "SIGFOO", "RTMIN+16", "RTMAX-15", "RTMIN+", "RTMIN+x"] {
            assert!(!exists(text), "{text}");
        }
    }
}
