//! What came of a run in either world: `Outcome`, as a line to read and as JSON.

use crate::checkers::Violation;
use crate::coverage::Coverage;
use crate::schedule::Mode;
use crate::trace::Trace;
use std::fmt;

/// Whether a run remembers what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracing {
    /// It does.
    Kept,
    /// It does not, and is quicker.
    Off,
}

/// The checkers that see it when a majority has lost what it had acknowledged.
const LOST_TO_A_LIE: [&str; 8] = [
    "answers wait for the disk",
    "durability of acknowledgements",
    "election safety",
    "exactly once",
    "linearizability",
    "one vote a term",
    "own invariants",
    "state machine safety",
];

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Entries that were committed.
    pub commits: u64,
    /// Terms that had a leader.
    pub elections: u64,
    /// Snapshots of a leader that a follower installed.
    pub installed: u64,
    /// What clients asked for.
    pub operations: u64,
    /// What they were answered.
    pub answered: u64,
    /// Lease reads that were stale, in the mode in which they may be.
    pub stale_leases: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// Events of the simulator.
    pub events: u64,
    /// Simulated microseconds.
    pub micros: u64,
    /// Stands for all that the embedder's state machine replied and became; 0 without one.
    pub digest: u64,
    /// What was reached.
    pub coverage: Coverage,
    /// What was broken.
    pub violation: Option<Violation>,
    /// What happened, if it was remembered.
    pub trace: Trace,
}

impl Outcome {
    /// The checker that was broken, if that had to be expected where a majority's disks fail:
    /// where they are lost, or beyond repair, nobody can decide anything any more; where they lie,
    /// what was acknowledged is gone with the next power cut, votes as well.
    #[must_use]
    pub fn foretold(&self, mode: Mode) -> Option<&'static str> {
        let checker = self.violation.as_ref()?.checker;
        let lied = self.coverage.happened.contains_key("lie");
        let expected = checker == "liveness" || (lied && LOST_TO_A_LIE.contains(&checker));
        (mode == Mode::BeyondDisks && expected).then_some(checker)
    }

    /// As JSON, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let violation = self.violation.as_ref().map(
            |violation| serde_json::json!({ "checker": violation.checker, "says": violation.says }),
        );
        let json = serde_json::json!({
            "seed": self.seed,
            "commits": self.commits,
            "elections": self.elections,
            "installed": self.installed,
            "operations": self.operations,
            "answered": self.answered,
            "stale_leases": self.stale_leases,
            "messages": self.messages,
            "events": self.events,
            "micros": self.micros,
            "coverage": self.coverage,
            "violation": violation,
        });
        json.to_string()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} commits, {} elections, {} installed, {} of {} operations answered, {}, {} \
             ms, {} events",
            self.seed,
            self.commits,
            self.elections,
            self.installed,
            self.answered,
            self.operations,
            self.coverage.faults_in_words(),
            self.micros / 1_000,
            self.events,
        )?;
        match &self.violation {
            Some(violation) => write!(f, "; BROKEN: {violation}"),
            None => Ok(()),
        }
    }
}
