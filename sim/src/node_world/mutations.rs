//! Known bugs, each switched on for a run: `Bug`.

use super::{run_by, run_here};
use crate::report::Report;
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
    pub fn run(self, seed: u64) -> (Report, u64) {
        let reached = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&reached);
        let report = run_by(seed, move |seed, trace| {
            let run = || run_here(seed, trace);
            let (ended, reached) = match self {
                Self::Transport(bug) => holm_transport::with_mutation(Some(bug), run),
                Self::Node(bug) => holm::with_mutation(Some(bug), run),
                Self::Log(bug) => holm_wal::with_mutation(Some(bug), run),
                Self::Core(bug) => {
                    let (ended, times) = holm_raft_core::with_mutation(Some(bug), run);
                    (ended, times.reached)
                }
            };
            counted.store(reached, Ordering::Relaxed);
            ended
        });
        (report, reached.load(Ordering::Relaxed))
    }
}
