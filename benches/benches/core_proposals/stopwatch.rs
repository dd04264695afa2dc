//! `Stopwatch`: how long this thread has worked. It counts the thread's own processor time, so that
//! other work on the machine slows a measurement only by what it does to the caches.

use rustix::time::{ClockId, clock_gettime};

pub(crate) struct Stopwatch {
    start: f64,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { start: now() }
    }

    /// How often a second something was done that was done `times` times since the start.
    pub(crate) fn rate(&self, times: u32) -> f64 {
        f64::from(times) / (now() - self.start)
    }
}

/// Seconds of processor time that this thread has used.
fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Exact up to 2^53 seconds.
    #[expect(clippy::cast_precision_loss, reason = "a process does not run that long")]
    let seconds = (time.tv_sec as f64, time.tv_nsec as f64);
    seconds.0 + seconds.1 / 1e9
}
