//! Trying again, with an end.
//!
//! What may pass by itself (a broken connection, 429, 5xx) is tried again after a wait that
//! doubles, or after what the registry asks for in `Retry-After` (RFC 9110, section 10.2.3). The
//! number of tries and the time spent waiting are both limited: a build says what is wrong
//! instead of waiting for ever.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::{RegistryError, Unreachable};

/// How patient the client is.
#[derive(Debug, Clone)]
pub struct Patience {
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long nothing may come or go on a connection.
    pub idle: Duration,
    /// How often the same thing is tried. A try that ended in silence counts for several.
    pub tries: u32,
    /// The wait before the second try. It doubles each time.
    pub first_wait: Duration,
    /// How long all waits for one thing may take together.
    pub budget: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            tries: 6,
            first_wait: Duration::from_millis(250),
            budget: Duration::from_secs(120),
        }
    }
}

/// The tries of one thing.
pub(super) struct Retry {
    tries: u32,
    next: Duration,
    budget: Duration,
}

impl Retry {
    pub(super) fn new(patience: &Patience) -> Retry {
        let Patience { tries, first_wait, budget, .. } = *patience;
        Retry { tries, next: first_wait, budget }
    }

    /// One try only: for a mirror, behind which others wait.
    pub(super) fn never() -> Retry {
        Retry { tries: 1, next: Duration::ZERO, budget: Duration::ZERO }
    }

    /// How long to wait before the next try.
    ///
    /// # Errors
    /// The error itself if there is no point in another try, or no patience left.
    pub(super) fn next(&mut self, error: RegistryError) -> Result<Duration, RegistryError> {
        let Some(asked) = passing(&error) else { return Err(error) };
        let wait = asked.unwrap_or_default().max(self.next);
        let cost = cost(&error);
        if self.tries <= cost || wait > self.budget {
            return Err(error);
        }
        self.tries -= cost;
        self.budget -= wait;
        self.next *= 2;
        Ok(wait)
    }

    /// Something was achieved, so the tries start over. The time spent stays spent.
    pub(super) fn progressed(&mut self, patience: &Patience) {
        self.tries = patience.tries;
        self.next = patience.first_wait;
    }
}

/// A try that ended in silence took as long as several that were answered.
fn cost(error: &RegistryError) -> u32 {
    match error {
        RegistryError::Unreachable { kind: Unreachable::TimedOut, .. } => 3,
        RegistryError::Stalled { .. } => 2,
        _ => 1,
    }
}

/// Whether an error may pass by itself, and how long the registry asks to wait for that.
fn passing(error: &RegistryError) -> Option<Option<Duration>> {
    match error {
        RegistryError::RateLimited { retry_after, .. } => Some(*retry_after),
        RegistryError::Status { status: 408 | 500 | 502 | 503 | 504, retry_after, .. } => {
            Some(*retry_after)
        }
        RegistryError::Stalled { .. } | RegistryError::Interrupted { .. } => Some(None),
        RegistryError::Unreachable {
            kind: Unreachable::TimedOut | Unreachable::Other(_), ..
        } => Some(None),
        _ => None,
    }
}

/// What `Retry-After` says: seconds, or a time of day.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, jiff::Timestamp::now())
}

fn parse_retry_after(text: &str, now: jiff::Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    let seconds = u64::try_from(until.as_second() - now.as_second()).unwrap_or(0);
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, retry_after: Option<Duration>) -> RegistryError {
        let (host, action) = ("h".to_owned(), "a".to_owned());
        RegistryError::Status { host, status, action, message: String::new(), retry_after }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2015-10-21T07:28:00Z".parse().unwrap();
        let rows = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ];
        for (text, seconds) in rows {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(parse_retry_after(text, now), expected, "{text}");
        }
    }

    #[test]
    fn tries_and_waits_end() {
        let patience = Patience { tries: 3, ..Patience::default() };
        let mut retry = Retry::new(&patience);
        assert_eq!(retry.next(status(503, None)).unwrap(), patience.first_wait);
        assert_eq!(retry.next(status(503, None)).unwrap(), patience.first_wait * 2);
        assert!(retry.next(status(503, None)).is_err());
        retry.progressed(&patience);
        assert!(retry.next(status(503, None)).is_ok());
    }

    #[test]
    fn what_the_registry_asks_is_honoured_within_the_budget() {
        let patience = Patience { budget: Duration::from_secs(10), ..Patience::default() };
        let mut retry = Retry::new(&patience);
        let seven = Some(Duration::from_secs(7));
        assert_eq!(retry.next(status(503, seven)).unwrap(), Duration::from_secs(7));
        assert!(retry.next(status(503, seven)).is_err());
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        for code in [400, 401, 403, 404, 405, 416, 501] {
            assert!(Retry::new(&Patience::default()).next(status(code, None)).is_err(), "{code}");
        }
        let refused =
            RegistryError::Unreachable { host: "h".to_owned(), kind: Unreachable::Refused };
        assert!(Retry::new(&Patience::default()).next(refused).is_err());
    }
}
