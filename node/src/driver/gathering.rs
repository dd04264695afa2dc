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

impl<S: StateMachine> Default for Gathering<S> {
    fn default() -> Self {
        Self { proposals: Vec::new(), commits: BTreeMap::new(), patience: Patience::Left }
    }
}

impl<S: StateMachine> Gathering<S> {
    pub(super) const fn ticked(&mut self) {
        self.patience = Patience::Over;
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
        let gathering = &self.gathering;
        if gathering.proposals.is_empty() {
            return;
        }
        let waits = self.wal.is_syncing()
            && gathering.patience == Patience::Left
            && gathering.proposals.len() < GATHERED_MAX
            && self.raft.leader() == Some(self.me);
        if waits {
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
    use crate::store::Store;
    use holm_raft_core::{Body, Incarnation, Index, MemberId, Term};

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
