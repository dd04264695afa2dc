//! What a member is at the moment: `Role`. A role's data exists only in that role.

use crate::lease::Lease;
use crate::progress::Progress;
use crate::proposals::Seen;
use crate::reads::ReadQueue;
use crate::types::{LogTime, MemberId, NodeId, WriteNumber};
use alloc::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

/// Follows `leader`, if it knows one in this term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Follower {
    pub(crate) leader: Option<MemberId>,
}

/// Asks whether an election could be won, before it disturbs anybody by a new term (thesis §9.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PreCandidate {
    pub(crate) votes: BTreeMap<NodeId, bool>,
}

/// Asks for votes. Its own counts once it is durable: with the write `own_vote`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    pub(crate) own_vote: WriteNumber,
    pub(crate) votes: BTreeMap<NodeId, bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// The other members, learners too.
    pub(crate) followers: BTreeMap<NodeId, Progress>,
    pub(crate) reads: ReadQueue,
    /// The latest heartbeat round.
    pub(crate) round: u64,
    /// Which forwarded proposals were seen, by who forwarded them.
    pub(crate) seen: BTreeMap<MemberId, Seen>,
    /// Log time when leadership began, and the clock then: what entries are stamped by.
    pub(crate) time_base: LogTime,
    pub(crate) since: u64,
    /// To whom leadership is being handed over.
    pub(crate) transfer: Option<Transfer>,
    pub(crate) lease: Lease,
    /// Whether anything happened since the last turn that may have something sent to followers: an
    /// idle leader need not look at each of them on every tick.
    pub(crate) stirred: bool,
}

/// A hand-over under way. Proposals are refused meanwhile, so that it comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transfer {
    pub(crate) to: MemberId,
    /// Ticks since it was asked for; after an election time-out it is given up.
    pub(crate) ticks: u32,
    pub(crate) told: Told,
}

/// Whether the next leader was told to campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    NotYet,
    Already,
}

impl Role {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Follower(_) => "follower",
            Self::PreCandidate(_) => "pre-candidate",
            Self::Candidate(_) => "candidate",
            Self::Leader(_) => "leader",
        }
    }
}
