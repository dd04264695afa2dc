//! Known bugs, each switched on for a run: `Bug`.

use super::plan::Plan;
use super::scenario::replay_by;
use crate::outcome::{Outcome, Tracing};
use crate::schedule::Mode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bug of one of the crates that a node is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Of the transport.
    Transport(holm_transport::Mutation),
    /// Of the node itself.
    Node(holm::Mutation),
    /// Of the log.
    Log(holm_wal::Mutation),
    /// Of the core.
    Core(holm_raft_core::Mutation),
}

impl Bug {
    /// Runs one seed with this bug, and says how often its place was reached.
    #[must_use]
    pub fn run(self, seed: u64) -> (Outcome, u64) {
        let reached = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&reached);
        let plan = Plan::draw(seed, Mode::Within);
        let outcome = replay_by(plan, Tracing::Off, move |run| {
            let reached = match self {
                Self::Transport(bug) => holm_transport::with_mutation(Some(bug), run).1,
                Self::Node(bug) => holm::with_mutation(Some(bug), run).1,
                Self::Log(bug) => holm_wal::with_mutation(Some(bug), run).1,
                Self::Core(bug) => holm_raft_core::with_mutation(Some(bug), run).1.reached,
            };
            counted.store(reached, Ordering::Relaxed);
        });
        (outcome, reached.load(Ordering::Relaxed))
    }
}
