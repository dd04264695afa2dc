//! What the tests need: members and configurations of Holm by their ids, and the names that crate
//! `raft` has for how a vote stands.
#![allow(dead_code, reason = "each test program uses its part")]

use bytes::Bytes;
use holm_raft_core::quorum::Tally;
use holm_raft_core::{Configuration, Incarnation, Member, MemberId, NodeId, Standing};
use std::collections::BTreeSet;

pub(crate) type Ids = BTreeSet<u64>;

/// A configuration that needs majorities of `new` and of `old`; either may be empty: not asked.
pub(crate) fn configuration(new: &Ids, old: &Ids) -> Configuration {
    let only_one = new.is_empty() || old.is_empty();
    let standing = |id| match (new.contains(id), old.contains(id)) {
        _ if only_one => Standing::Voter,
        (true, true) => Standing::Voter,
        (true, false) => Standing::Incoming,
        (false, _) => Standing::Outgoing,
    };
    Configuration::with_standings(new.union(old).map(|id| (member(*id), standing(id))))
}

/// A member that has had one data directory only.
pub(crate) fn member(id: u64) -> Member {
    Member { id: MemberId::new(NodeId(id), Incarnation(id)), info: Bytes::new() }
}

pub(crate) const fn name(tally: Tally) -> &'static str {
    match tally {
        Tally::Won => "VoteWon",
        Tally::Lost => "VoteLost",
        Tally::Open => "VotePending",
    }
}
