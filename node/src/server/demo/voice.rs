//! How the demo speaks: [`Voice`] prints lines, and on a terminal a moving count beneath them.

use super::clients::Clients;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// The pause between two updates of the moving count.
const UPDATE_PAUSE: Duration = Duration::from_millis(80);

/// Lines on standard output; the moving count on standard error, if both are a terminal.
pub(super) struct Voice {
    start: Instant,
    bar: ProgressBar,
}

impl Voice {
    pub(super) fn new() -> Self {
        let on_terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let bar = if on_terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("        {spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { start: Instant::now(), bar }
    }

    /// One line, with the seconds since the start before it.
    pub(super) fn say(&self, line: &str) {
        let at = self.start.elapsed().as_secs_f64();
        let line = if line.is_empty() { String::new() } else { format!("{at:6.2}  {line}") };
        // A reader that has gone away is no reason to leave processes behind.
        self.bar.suspend(|| drop(writeln!(std::io::stdout(), "{line}")));
    }

    /// Shows the clients' count for as long as `duration`.
    pub(super) async fn watch(&self, duration: Duration, clients: &Clients) {
        let start = Instant::now();
        while start.elapsed() < duration {
            self.bar.set_message(format!("{} increments acknowledged", clients.acknowledged()));
            self.bar.tick();
            tokio::time::sleep(UPDATE_PAUSE.min(duration)).await;
        }
    }

    /// Takes the moving count away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
