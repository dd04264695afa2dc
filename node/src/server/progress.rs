//! What a person sees of long work: [`Progress`], on standard error, and only on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// How often a bar is drawn while nothing is said.
const PAUSE: Duration = Duration::from_millis(120);

/// A line that moves, and is gone when this is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Work of which it isn't known how much there is.
    pub(super) fn of_work(what: impl Into<String>) -> Self {
        Self::with(ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}", what)
    }

    /// Work that takes so many seconds.
    pub(super) fn of_seconds(what: impl Into<String>, seconds: u64) -> Self {
        Self::with(ProgressBar::new(seconds), "{msg} {wide_bar} {pos}/{len} s", what)
    }

    /// Bytes of which it isn't known how many there are.
    pub(super) fn of_bytes(what: impl Into<String>) -> Self {
        let template = "{spinner} {msg}: {bytes} ({bytes_per_sec}) {elapsed}";
        Self::with(ProgressBar::new_spinner(), template, what)
    }

    /// So many units are done.
    pub(super) fn is_at(&self, done: u64) {
        self.0.set_position(done);
    }

    fn with(bar: ProgressBar, style: &str, what: impl Into<String>) -> Self {
        let bar = if std::io::stderr().is_terminal() { bar } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(what.into());
        bar.enable_steady_tick(PAUSE);
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
