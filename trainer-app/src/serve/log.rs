//! Log messages of the server, on standard error with the time.

use std::time::{Duration, Instant, SystemTime};

/// Minimum time between two messages of one kind.
const PAUSE: Duration = Duration::from_mins(1);

/// Writes a message.
pub(super) fn log(message: &str) {
    let time = httpdate::fmt_http_date(SystemTime::now());
    noteln!("{time}: {message}");
}

/// Writes messages that could occur for every request at most once a minute.
#[derive(Debug, Default)]
pub(super) struct RateLimited {
    last: Option<Instant>,
}

impl RateLimited {
    pub(super) fn log(&mut self, message: impl FnOnce() -> String) {
        if self.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.last = Some(Instant::now());
            log(&message());
        }
    }
}
