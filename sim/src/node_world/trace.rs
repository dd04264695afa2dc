//! A run's own record: `Trace` takes every line that Holm and the scenario log, with the simulated
//! time in front. madsim's lines stay out: they carry ids that count through the whole process.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// The lines so far.
#[derive(Clone, Default)]
pub(super) struct Trace {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Default)]
struct Lines {
    text: String,
    leaders: std::collections::BTreeSet<u64>,
}

/// Simulated milliseconds since the run began.
pub(super) fn now() -> u64 {
    let elapsed = madsim::runtime::Handle::try_current()
        .map_or(Duration::ZERO, |_| madsim::time::TimeHandle::current().elapsed());
    u64::try_from(elapsed.as_millis()).expect("runs end before that")
}

impl Trace {
    pub(super) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        tracing_subscriber::registry().with(self.clone())
    }

    pub(super) fn text(&self) -> String {
        self.lines.lock().expect("nobody panicked").text.clone()
    }

    /// How many terms had a leader.
    pub(super) fn leaders(&self) -> u64 {
        self.lines.lock().expect("nobody panicked").leaders.len() as u64
    }
}

impl<S: Subscriber> Layer<S> for Trace {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        if !metadata.target().starts_with("holm") || *metadata.level() > Level::DEBUG {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut lines = self.lines.lock().expect("nobody panicked");
        if let Some(term) = line.leading_in() {
            lines.leaders.insert(term);
        }
        let (message, fields) = (line.message, line.fields);
        writeln!(lines.text, "{:>8} {} {message}{fields}", now(), metadata.target())
            .expect("a string takes everything");
    }
}

/// One event's words.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    /// The term, if the line is the status of a member that leads.
    fn leading_in(&self) -> Option<u64> {
        let (_, after) = self.message.split_once(" leader term=")?;
        after.split(' ').next()?.parse().ok()
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        written.expect("a string takes everything");
    }
}
