//! How long a caller waits: `Wait`, and what it comes to when time is up.

use crate::driver::Failed;
use crate::error::Error;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long one attempt at a read waits for its confirmation.
const READ_ATTEMPT: Duration = Duration::from_millis(500);

/// How long a caller waits.
pub(crate) struct Wait {
    pub(crate) until: Instant,
    long: Duration,
}

impl Wait {
    pub(crate) fn new(long: Duration) -> Self {
        Self { until: Instant::now() + long, long }
    }

    /// The same, but no longer than so long from now on.
    pub(crate) fn at_most(&self, long: Duration) -> Self {
        Self { until: self.until.min(Instant::now() + long), long }
    }

    pub(crate) fn attempt(&self) -> Self {
        self.at_most(READ_ATTEMPT)
    }

    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub(crate) async fn within<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = sleep_until(self.until) => None,
        }
    }

    /// Nothing was proposed yet, and time is up.
    pub(crate) const fn unavailable(&self) -> Error {
        Error::Unavailable { waited: self.long }
    }

    /// It may or may not be done, and time is up.
    pub(crate) const fn unknown(&self) -> Error {
        Error::Unknown { waited: self.long }
    }

    /// What a failure means for a command that was to come after it.
    pub(crate) fn not_begun(&self, error: Error) -> Error {
        if matches!(error, Error::Unknown { .. }) { self.unavailable() } else { error }
    }

    pub(crate) fn error(&self, failed: Failed) -> Error {
        let waited = self.long;
        match failed {
            Failed::Refused => Error::Unavailable { waited },
            Failed::Unknown => Error::Unknown { waited },
            Failed::KeyReused => Error::KeyReused,
            Failed::Fenced => Error::ClaimOver,
            Failed::KeysFull { limit } => Error::KeysFull { limit },
            Failed::SessionExpired => Error::SessionExpired,
            Failed::SessionsFull { limit } => Error::SessionsFull { limit },
            Failed::Busy => Error::Busy { limit: "waiting_requests_max" },
            Failed::DiskFull => Error::DiskFull,
        }
    }
}
