//! A run's own record: `Trace` takes every line that Holm and the scenario log, with the simulated
//! time and the member in front. madsim's lines stay out: they carry ids that count through the
//! whole process. What lines say of sessions and ways is handed to their checker.

use super::findings::note;
use super::sessions;
use crate::checkers::election::ElectionSafety;
use holm_raft_core::{Incarnation, MemberId, NodeId, Term};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Id, Level, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The lines so far.
#[derive(Clone, Default)]
pub(super) struct Trace {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Default)]
struct Lines {
    text: String,
    leaders: ElectionSafety,
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
        self.lines.lock().expect("nobody panicked").leaders.terms()
    }
}

/// On which member's machine a span runs.
struct Machine(u64);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Trace {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut line = Line::default();
        attributes.record(&mut line);
        let member = line.fields.split_once("member ").map(|(_, number)| number);
        let digits = |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok();
        if let (Some(member), Some(span)) = (member.and_then(digits), context.span(id)) {
            span.extensions_mut().insert(Machine(member));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if !metadata.target().starts_with("holm") {
            return;
        }
        let machine = || {
            let mut scope = context.event_scope(event)?;
            scope.find_map(|span| span.extensions().get::<Machine>().map(|machine| machine.0))
        };
        let machine = machine().unwrap_or(0);
        let mut line = Line::default();
        event.record(&mut line);
        if *metadata.level() > Level::DEBUG {
            return sessions::heard(machine, &line);
        }
        let led = {
            let mut lines = self.lines.lock().expect("nobody panicked");
            let leader = MemberId::new(NodeId(machine), Incarnation(0));
            let led = line.leading_in().map(|term| lines.leaders.leads(Term(term), leader));
            let Line { message, fields, .. } = &line;
            let target = metadata.target();
            writeln!(lines.text, "{:>8} {machine} {target} {message}{fields}", now())
                .expect("a string takes everything");
            led
        };
        note(led.unwrap_or(Ok(())));
        sessions::heard(machine, &line);
    }
}

/// One event's words.
#[derive(Default)]
pub(super) struct Line {
    pub(super) message: String,
    fields: String,
    numbers: Vec<(&'static str, u64)>,
}

impl Line {
    /// The value of a field that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.numbers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The value of another field, as it is shown.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let (_, after) = self.fields.split_once(&format!(" {name}="))?;
        Some(after.split(' ').next().unwrap_or(after))
    }

    /// The term, if the line is the status of a member that leads.
    fn leading_in(&self) -> Option<u64> {
        let (_, after) = self.message.split_once(" leader term=")?;
        after.split(' ').next()?.parse().ok()
    }
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.numbers.push((field.name(), value));
        self.record_debug(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        written.expect("a string takes everything");
    }
}
