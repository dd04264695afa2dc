//! The trace of a run: `Trace`, one [`Line`] for each thing that happened, in the order in which it
//! happened. Written as JSON, one object a line (`docs/simulation.md`, "Trace"), as text in columns,
//! or for ShiViz. Equal runs have traces that are equal to the byte.

mod read;
mod shiviz;
mod text;

pub use read::{TraceError, check};

use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the format: the first line's `version`.
pub const VERSION: u32 = 3;

/// What happened, in order. It remembers nothing unless it is told to.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Option<Vec<Line>>,
}

/// One thing that happened, at a simulated time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Simulated microseconds since the beginning.
    pub t: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What a line says; its kind is the key `e`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "e", rename_all = "kebab-case")]
pub enum What {
    /// The first line.
    Holm {
        /// [`VERSION`].
        version: u32,
        /// Which world.
        world: &'static str,
        /// The seed.
        seed: u64,
        /// Where each member is.
        members: Vec<Place>,
        /// Who may be connected to whom directly, each pair once.
        links: Vec<(u64, u64)>,
        /// When the safety phase ends.
        faults_end: u64,
    },
    /// A message left, or a copy of one.
    Sent {
        /// Counts from 1.
        id: u64,
        /// [`holm_raft_core::Body::name`].
        kind: &'static str,
        /// Who says it.
        from: u64,
        /// To whom.
        to: u64,
        /// Its term.
        term: u64,
        /// Who relays it, in order.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        via: Vec<u64>,
        /// When it will be delivered.
        due: u64,
        /// What it says beside its kind and term.
        says: String,
    },
    /// It arrived.
    Delivered {
        /// Which.
        id: u64,
    },
    /// A message did not arrive: it was lost on its way, or its receiver was not there.
    Lost {
        /// Which; 0 if it never left.
        id: u64,
        /// [`holm_raft_core::Body::name`].
        kind: &'static str,
        /// Who says it.
        from: u64,
        /// To whom.
        to: u64,
        /// Why.
        why: &'static str,
    },
    /// A member is another than before.
    Member(State),
    /// A member's log has other terms than before.
    Log {
        /// Which.
        node: u64,
        /// From which index on entries are of which term, in order.
        terms: Vec<(u64, u64)>,
    },
    /// A member is the first to apply a configuration.
    Configured {
        /// The configuration's entry.
        index: u64,
        /// Who votes; while joint, in the new half.
        voters: Vec<u64>,
        /// Who votes in the old half, while joint; empty else.
        outgoing: Vec<u64>,
        /// Who learns.
        learners: Vec<u64>,
    },
    /// A member does not run any more, or not yet.
    Down {
        /// Which.
        node: u64,
        /// Why.
        why: String,
    },
    /// A fault begins, or an operator does something.
    Begin {
        /// Counts the plan's happenings, from 1.
        n: u64,
        /// Its name in the schedule.
        what: &'static str,
        /// Its keys and values in the schedule.
        with: BTreeMap<&'static str, u64>,
    },
    /// It ends.
    End {
        /// Which.
        n: u64,
        /// Its name in the schedule.
        what: &'static str,
    },
    /// Something about a happening that has no end: what an operator was answered.
    Note {
        /// What.
        says: String,
    },
    /// What a member's own log says, or, as member 0, the world's.
    Said {
        /// Which.
        node: u64,
        /// What.
        says: String,
    },
    /// A client asks.
    Asks {
        /// Counts operations, from 1.
        op: u64,
        /// Who.
        client: u64,
        /// `put`, `add`, `read` or `lease-read`.
        what: &'static str,
        /// The key.
        key: u64,
        /// What is put or added; 0 for a read.
        value: u64,
        /// The member that is asked.
        at: u64,
        /// How often it was asked before.
        again: u64,
    },
    /// A client is answered; an operation that never is may have taken effect.
    Answered {
        /// Which operation.
        op: u64,
        /// Who.
        client: u64,
        /// What was read, or is there now.
        value: u64,
    },
    /// The next phase begins: `safety`, then `liveness`.
    Phase {
        /// Its name.
        phase: &'static str,
    },
    /// A promise is broken: the last line.
    Violation {
        /// Which checker says so.
        checker: &'static str,
        /// What is broken.
        says: String,
    },
}

/// A member's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The member.
    pub node: u64,
    /// Its island.
    pub island: u64,
}

/// A member at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// Which.
    pub node: u64,
    /// Its incarnation.
    pub incarnation: u64,
    /// `follower`, `pre-candidate`, `candidate` or `leader`.
    pub role: &'static str,
    /// Its term.
    pub term: u64,
    /// The leader of that term, 0 if it is not known.
    pub leader: u64,
    /// The log begins after this index.
    pub start: u64,
    /// The last entry's index.
    pub last: u64,
    /// The last entry's term.
    pub last_term: u64,
    /// Up to where it is durable here.
    pub durable: u64,
    /// Up to where it is known to be committed.
    pub commit: u64,
    /// Up to where it is applied.
    pub applied: u64,
}

impl Trace {
    /// One that remembers.
    #[must_use]
    pub const fn kept() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    /// Whether it remembers: where it does not, nothing need be put together for it.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.lines.is_some()
    }

    /// Notes what happened, if it remembers.
    pub fn say(&mut self, t: u64, what: impl FnOnce() -> What) {
        if let Some(lines) = &mut self.lines {
            lines.push(Line { t, what: what() });
        }
    }

    /// The message that was sent by this line arrives, at this time.
    #[cfg(madsim)]
    pub(crate) fn arrives(&mut self, line: usize, at: u64) {
        let line = self.lines.as_mut().and_then(|lines| lines.get_mut(line));
        if let Some(Line { what: What::Sent { due, .. }, .. }) = line {
            *due = at;
        }
    }

    /// The messages that were sent by these lines, and have these numbers, are lost: said so long
    /// after they were sent, where the trace goes on for as long.
    #[cfg(madsim)]
    pub(crate) fn never_arrived(&mut self, sent: &[(usize, u64)], after: u64) {
        let Some(lines) = &mut self.lines else { return };
        let end = lines.last().map_or(0, |line| line.t);
        let mut lost = Vec::new();
        for (place, known) in sent {
            // What is sent after a violation has no line.
            let sent = lines.get(*place);
            let Some(&Line { t, what: What::Sent { kind, from, to, .. } }) = sent else {
                continue;
            };
            let (id, why) = (*known, "it never arrived");
            if t + after < end {
                lost.push(Line { t: t + after, what: What::Lost { id, kind, from, to, why } });
            }
        }
        lines.extend(lost);
        // Stable: what was said first stays first, and all of this is before the end.
        lines.sort_by_key(|line| line.t);
    }

    /// What it remembers.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// As JSON, one object a line.
    ///
    /// # Panics
    /// Never: all of it can be written as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let mut out = String::new();
        for line in self.lines() {
            out.push_str(&serde_json::to_string(line).expect("strings and numbers alone"));
            out.push('\n');
        }
        out
    }

    /// As text: a line for each, with the columns that [`Trace::COLUMNS`] names.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().iter().map(text::line).collect()
    }

    /// What the columns of [`text`](Self::text) are.
    pub const COLUMNS: &str = text::COLUMNS;

    /// For ShiViz, with vector clocks: the first line is the expression that parses the rest.
    #[must_use]
    pub fn shiviz(&self) -> String {
        shiviz::log(self.lines())
    }
}
