//! Telling a slow connection from a dead one.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// When something last happened on a connection.
pub(super) struct Watch {
    last: Mutex<Instant>,
}

impl Watch {
    pub(super) fn new() -> Watch {
        Watch { last: Mutex::new(Instant::now()) }
    }

    pub(super) fn touch(&self) {
        if let Ok(mut last) = self.last.lock() {
            *last = Instant::now();
        }
    }

    /// Ends when nothing has happened for `idle`.
    pub(super) async fn stalled(&self, idle: Duration) {
        loop {
            let last = self.last.lock().map_or_else(|_| Instant::now(), |last| *last);
            let deadline = last + idle;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline.into()).await;
        }
    }
}
