//! How a leader hands leadership over (thesis §3.10), because it is asked to or because its own
//! disk hangs or is full.

use crate::message::Body;
use crate::raft::Raft;
use crate::role::{Role, Told, Transfer};
use crate::room::HAND_OVER_TICKS;
use crate::types::NodeId;
use alloc::vec::Vec;

impl Raft {
    /// Begins to hand over. From now on there is no lease in this term: the next leader may come
    /// forward at any time, whatever anybody promised.
    pub(crate) fn transfer(&mut self, to: NodeId) {
        let Role::Leader(leader) = &mut self.role else { return };
        let voter = self.core.membership.current().new_voters().any(|node| node == to);
        let Some(progress) = leader.followers.get(&to).filter(|_| voter) else { return };
        let to = progress.member;
        if leader.transfer.is_none_or(|transfer| transfer.to != to) {
            leader.transfer = Some(Transfer { to, ticks: 0, told: Told::NotYet });
            leader.lease.end();
        }
        self.tell_next_leader();
    }

    /// Tells the next leader to campaign, once it holds the whole log.
    pub(crate) fn tell_next_leader(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(transfer) = &mut leader.transfer else { return };
        let last = self.core.log.last().index;
        let complete = leader.followers.get(&transfer.to.node).is_some_and(|p| p.matched == last);
        if complete && transfer.told == Told::NotYet {
            transfer.told = Told::Already;
            self.core.answer(transfer.to, Body::TimeoutNow);
        }
    }

    /// Who would lead best: a voter that answers, and of those who holds most.
    fn next_leader(&self) -> Option<NodeId> {
        let Role::Leader(leader) = &self.role else { return None };
        let voters: Vec<NodeId> = self.core.membership.current().new_voters().collect();
        let others = leader.followers.iter().rev().filter(|(node, _)| voters.contains(node));
        let best = others.max_by_key(|(_, progress)| (progress.active, progress.matched));
        best.map(|(node, _)| *node)
    }

    /// The leader is no voter any more: whoever holds the whole log may begin at once.
    pub(crate) fn resign(&mut self) {
        let last = self.core.log.last().index;
        if let Some(node) = self.next_leader()
            && let Role::Leader(leader) = &self.role
            && let Some(progress) = leader.followers.get(&node)
            && progress.matched == last
        {
            self.core.answer(progress.member, Body::TimeoutNow);
        }
        self.follow(self.core.term, None);
    }

    /// A hand-over that takes an election time-out is given up, and proposals are taken again.
    pub(crate) fn tick_transfer(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if let Some(transfer) = &mut leader.transfer {
            transfer.ticks += 1;
            if transfer.ticks >= self.core.config.election_ticks {
                leader.transfer = None;
            }
        }
    }

    /// A leader whose own disk hangs or is full hands over to whoever holds most, and steps down if
    /// that does not help: by heartbeats alone it would hold up the cluster. Returns whether it
    /// stepped down.
    pub(crate) fn hands_over_from_a_bad_disk(&mut self) -> bool {
        let patience = u64::from(self.core.config.election_ticks);
        let bound = u64::from(self.core.config.stalled_write_ticks);
        let stalled = self.core.writes.oldest().checked_sub(bound);
        let full = self.core.writes.full_for().and_then(|ticks| ticks.checked_sub(HAND_OVER_TICKS));
        let next = self.next_leader();
        let helpless = |overdue: Option<u64>| overdue.is_some_and(|ticks| ticks >= patience);
        // With a full disk and nobody else to lead, it may as well wait where it is.
        if helpless(stalled) || helpless(full) && next.is_some() {
            self.follow(self.core.term, None);
            return true;
        }
        if (stalled == Some(0) || full == Some(0))
            && let Some(node) = next
        {
            self.transfer(node);
        }
        false
    }
}
