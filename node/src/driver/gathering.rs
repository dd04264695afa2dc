//! What waits a moment, so that more of it goes out at once: `Gathering` holds proposals back while
//! a write of this leader is under way, and what is committed is told with the next entries where
//! those are about to follow. Each message more costs every member a turn; nothing waits longer
//! than to the next tick.

use super::{Driver, Proposal};
use crate::StateMachine;
use holm_raft_core::{Message, NodeId};
use std::collections::BTreeMap;

/// So many proposals are a batch, whatever is under way.
const GATHERED_MAX: usize = 1024;

/// What waits.
pub(crate) struct Gathering<S: StateMachine> {
    /// Proposals of this member's callers, in the order in which they came.
    pub(super) proposals: Vec<Proposal<S>>,
    /// What each follower is to be told of as committed.
    commits: BTreeMap<NodeId, Message>,
    patience: Patience,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Left,
    /// A tick has passed.
    Over,
}

/// Whether a write of this leader is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OwnWrite {
    UnderWay,
    None,
}

impl<S: StateMachine> Default for Gathering<S> {
    fn default() -> Self {
        Self { proposals: Vec::new(), commits: BTreeMap::new(), patience: Patience::Left }
    }
}

impl<S: StateMachine> Gathering<S> {
    pub(super) const fn ticked(&mut self) {
        self.patience = Patience::Over;
    }

    /// Whether the proposals wait for more of them.
    fn holds_back(&self, write: OwnWrite) -> bool {
        write == OwnWrite::UnderWay
            && self.patience == Patience::Left
            && self.proposals.len() < GATHERED_MAX
    }

    /// A follower is to be told of what is committed.
    pub(super) fn commit(&mut self, message: Message) {
        self.commits.insert(message.to.node, message);
    }

    /// A follower is sent entries, which tell it at least as much.
    pub(super) fn sends_entries(&mut self, to: NodeId) {
        self.commits.remove(&to);
    }
}

impl<S: StateMachine> Driver<S> {
    /// Proposes what was gathered. While a write of this leader is under way it could not be
    /// durable any sooner: the log makes one write durable at a time.
    pub(super) fn propose_gathered(&mut self) {
        if self.gathering.proposals.is_empty() {
            return;
        }
        let leads = self.raft.leader() == Some(self.me);
        let under_way = leads && self.wal.is_syncing();
        let write = if under_way { OwnWrite::UnderWay } else { OwnWrite::None };
        if self.gathering.holds_back(write) {
            return;
        }
        // They were all asked for before this.
        self.read_clock();
        for proposal in std::mem::take(&mut self.gathering.proposals) {
            self.propose(proposal);
        }
    }

    /// At the end of a turn: tells followers what is committed, unless entries are about to tell
    /// them: callers who are just being answered ask for something else as a rule.
    pub(super) fn tell_commits(&mut self) {
        let answering = self.applying.is_behind() && self.applying.callers() > 0;
        let soon = answering || !self.gathering.proposals.is_empty();
        let patience = std::mem::replace(&mut self.gathering.patience, Patience::Left);
        if soon && patience == Patience::Left {
            return;
        }
        for message in std::mem::take(&mut self.gathering.commits).into_values() {
            self.send_message(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Failed;
    use crate::envelope::{self, Once};
    use crate::room::Room;
    use crate::store::Store;
    use bytes::Bytes;
    use holm_raft_core::{Body, Incarnation, Index, MemberId, Term};
    use std::sync::Arc;

    fn proposal(room: &Arc<Room>) -> Proposal<Store> {
        let place = Arc::new(room.take(1).expect("room"));
        let (body, once) = (envelope::Body::Command(Bytes::new()), Once::Anyway);
        let reply = tokio::sync::oneshot::channel::<Result<_, Failed>>().0;
        Proposal { body, once, until: u64::MAX, reply, place }
    }

    #[test]
    fn proposals_wait_for_a_write_under_way_to_the_next_tick_and_not_beyond_a_batch() {
        let room = Room::new(GATHERED_MAX);
        let mut gathering = Gathering::<Store>::default();
        gathering.proposals.push(proposal(&room));
        assert!(gathering.holds_back(OwnWrite::UnderWay));
        assert!(!gathering.holds_back(OwnWrite::None), "nothing would be won");
        gathering.ticked();
        assert!(!gathering.holds_back(OwnWrite::UnderWay), "that took long enough");
        gathering.patience = Patience::Left;
        gathering.proposals.extend((2..GATHERED_MAX).map(|_| proposal(&room)));
        assert!(gathering.holds_back(OwnWrite::UnderWay));
        gathering.proposals.push(proposal(&room));
        assert!(!gathering.holds_back(OwnWrite::UnderWay), "it is a batch");
    }

    #[test]
    fn of_what_is_committed_the_newest_is_told_and_entries_tell_it_as_well() {
        let member = |node| MemberId::new(NodeId(node), Incarnation(1));
        let told = |to, commit| {
            let body = Body::Committed { commit: Index(commit) };
            Message { from: member(1), to: member(to), term: Term(1), body }
        };
        let mut gathering = Gathering::<Store>::default();
        for (to, commit) in [(2, 5), (3, 5), (2, 6)] {
            gathering.commit(told(to, commit));
        }
        gathering.sends_entries(NodeId(3));
        let left: Vec<Message> = gathering.commits.into_values().collect();
        assert_eq!(left, [told(2, 6)]);
    }
}
