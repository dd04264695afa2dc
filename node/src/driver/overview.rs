//! How far each member is, known on every member: the leader tells the others now and then, so that
//! whoever reaches only one member of a cluster still sees all of it.
//!
//! The note: a byte that says which, the term, the leader's last index, then for each member its
//! number and the highest index known to be durable there; all u64, little-endian.

use super::Driver;
use crate::StateMachine;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{MemberId, NodeId, Status};
use std::collections::BTreeMap;

/// "This is how far everybody is."
pub(super) const OVERVIEW: u8 = 4;
/// How many ticks pass between two notes.
const OVERVIEW_TICKS: u64 = 10;

/// How far the members are, as the leader of a term said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overview {
    leader: NodeId,
    term: u64,
    pub(super) last: u64,
    pub(super) matched: BTreeMap<NodeId, u64>,
}

impl Overview {
    /// What the leader itself knows.
    fn of_leader(core: &Status) -> Self {
        let followers = core.followers.iter().map(|(node, known)| (*node, known.matched.0));
        let own = (core.me.node, core.durable.0);
        Self {
            leader: core.me.node,
            term: core.term.0,
            last: core.last.index.0,
            matched: followers.chain([own]).collect(),
        }
    }

    fn encode(&self) -> Bytes {
        let mut note = BytesMut::with_capacity(17 + 16 * self.matched.len());
        note.put_u8(OVERVIEW);
        note.put_u64_le(self.term);
        note.put_u64_le(self.last);
        for (node, matched) in &self.matched {
            note.put_u64_le(node.0);
            note.put_u64_le(*matched);
        }
        note.freeze()
    }

    fn decode(leader: NodeId, mut note: &[u8]) -> Option<Self> {
        note.try_get_u8().ok()?;
        let term = note.try_get_u64_le().ok()?;
        let last = note.try_get_u64_le().ok()?;
        let mut matched = BTreeMap::new();
        while note.has_remaining() {
            let node = NodeId(note.try_get_u64_le().ok()?);
            matched.insert(node, note.try_get_u64_le().ok()?);
        }
        Some(Self { leader, term, last, matched })
    }
}

impl<S: StateMachine> Driver<S> {
    /// On each tick of a leader: tells the others, now and then.
    pub(super) fn tell_overview(&self) {
        if !self.ticks.is_multiple_of(OVERVIEW_TICKS) {
            return;
        }
        let core = self.raft.status();
        if core.role == "leader" {
            let note = Overview::of_leader(&core).encode();
            for node in core.followers.keys() {
                self.tell(*node, note.clone());
            }
        }
    }

    pub(super) fn heard_overview(&mut self, from: MemberId, note: &Bytes) {
        match Overview::decode(from.node, note) {
            Some(overview) => self.overview = overview,
            None => {
                tracing::warn!(node = self.config.node, %from, "a malformed note was ignored");
            }
        }
    }

    /// What is known of the present leader's followers: by itself, or as it said last.
    pub(super) fn overview(&self, core: &Status) -> Option<Overview> {
        if core.role == "leader" {
            return Some(Overview::of_leader(core));
        }
        let current = core.leader.is_some_and(|leader| leader.node == self.overview.leader)
            && core.term.0 == self.overview.term;
        current.then(|| self.overview.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overview_survives_its_bytes_and_nothing_else_is_one() {
        let matched = BTreeMap::from([(NodeId(1), 7), (NodeId(2), 5)]);
        let overview = Overview { leader: NodeId(1), term: 3, last: 9, matched };
        let note = overview.encode();
        assert_eq!(Overview::decode(NodeId(1), &note), Some(overview));
        for length in (0..note.len()).filter(|length| *length != 17 && *length != 33) {
            assert_eq!(Overview::decode(NodeId(1), &note[..length]), None, "{length} bytes");
        }
    }
}
