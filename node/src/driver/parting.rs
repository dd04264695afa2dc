//! How a member leaves: a leader hands over first, and answers those who wait for it, so that its
//! stop costs the cluster no election time-out.

use super::Driver;
use crate::StateMachine;
use crate::stop::Stop;
use holm_raft_core::{Event, NodeId};

/// A stop that waits for a hand-over.
#[derive(Clone)]
pub(crate) struct Parting {
    /// Why it stops.
    stop: Stop,
    /// The tick at which it waits no longer.
    until: u64,
}

impl<S: StateMachine> Driver<S> {
    /// The member is to stop: once somebody else leads, or after an election time-out.
    pub(super) fn part(&mut self, stop: Stop) {
        let patience = u64::from(self.config.election_ticks) * 2;
        self.parting.get_or_insert(Parting { stop, until: self.ticks + patience });
        if let Some(to) = self.next_leader() {
            tracing::info!(node = self.config.node, to = to.0, "handing over before it stops");
            self.raft.handle(Event::Transfer { to });
        }
    }

    /// Whether it is time to stop.
    pub(super) fn may_part(&self) -> Result<(), Stop> {
        let Some(parting) = &self.parting else { return Ok(()) };
        let leads = self.raft.glance().role == "leader" && self.next_leader().is_some();
        let waited_for = self.waiting.has_proposals() || !self.gathering.proposals.is_empty();
        let answered = !waited_for && self.applying.callers() == 0;
        if (leads || !answered) && self.ticks < parting.until {
            return Ok(());
        }
        Err(parting.stop.clone())
    }

    /// The voter that holds most of what this leader has; `None` if it does not lead, or alone.
    fn next_leader(&self) -> Option<NodeId> {
        let core = self.raft.status();
        let configuration = self.raft.configuration();
        let voter = |node: &NodeId| configuration.new_voters().any(|voter| voter == *node);
        let others = core.followers.iter().filter(|(node, _)| voter(node));
        others.max_by_key(|(_, known)| known.matched).map(|(node, _)| *node)
    }
}
