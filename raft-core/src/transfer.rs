//! How a leader hands leadership over (thesis §3.10), because it is asked to or because its own
//! disk hangs.

use crate::message::Body;
use crate::raft::Raft;
use crate::role::{Role, Told, Transfer};
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

    /// A leader whose own disk hangs hands over to whoever holds most, and steps down if that does
    /// not help: by heartbeats alone it would hold up the cluster. Returns whether it stepped down.
    pub(crate) fn hands_over_from_a_stalled_disk(&mut self) -> bool {
        let age = self.core.writes.oldest();
        let bound = u64::from(self.core.config.stalled_write_ticks);
        if age >= bound + u64::from(self.core.config.election_ticks) {
            self.follow(self.core.term, None);
            return true;
        }
        if age == bound
            && let Some(node) = self.next_leader()
        {
            self.transfer(node);
        }
        false
    }
}
