//! What members say to each other: a `Message` from one member to another, in a term, with a
//! `Body`. Requests are judged by term and log whoever sends them; answers count only from current
//! members (see `Raft::handle`).

use crate::entry::Entry;
use crate::snapshot::{Chunk, SnapshotId};
use crate::types::{Boot, EntryId, Index, MemberId, RequestNumber, Term};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// A message between two members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who says it, in which incarnation.
    pub from: MemberId,
    /// To whom, in which incarnation.
    pub to: MemberId,
    /// The sender's term; in a pre-vote and a granted answer to it, the term to be campaigned in.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// "Would you vote for me?" (thesis §9.6). Changes nothing at the receiver.
    PreVote {
        /// The end of the asker's log.
        last: EntryId,
    },
    /// The answer to a pre-vote.
    PreVoted(Ballot),
    /// `RequestVote` (paper §5.2).
    Vote {
        /// The end of the candidate's log.
        last: EntryId,
        /// Why it campaigns.
        cause: Cause,
    },
    /// The answer to a vote request.
    Voted(Ballot),
    /// `AppendEntries` (paper §5.3).
    Append {
        /// The entry that the receiver must hold for these to follow.
        prev: EntryId,
        /// The entries, in order, the first right after `prev`. May be none.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
    },
    /// The receiver's log is durable and equal to the leader's up to this index.
    Appended {
        /// The highest index known to match and durable at the sender.
        matched: Index,
    },
    /// The receiver does not hold `prev`.
    Rejected {
        /// The index of the `prev` that was refused.
        prev: Index,
        /// A position at or before which the logs may agree: the end of the receiver's entries
        /// whose terms are not above `prev`'s (paper §5.3, the optimisation at its end).
        hint: EntryId,
    },
    /// "All up to here is committed", where the receiver is known to hold it. Not answered: one
    /// that is lost is made up for by whatever comes next.
    Committed {
        /// The leader's commit index, clipped to what it knows the receiver holds.
        commit: Index,
    },
    /// "I lead." Also the round that confirms reads (thesis §6.4).
    Heartbeat {
        /// Numbers the leader's rounds within its term, from 1.
        round: u64,
        /// The leader's commit index, clipped to what it knows the receiver holds.
        commit: Index,
    },
    /// The answer to a heartbeat.
    HeartbeatAck {
        /// The round that is answered.
        round: u64,
    },
    /// The leader hands over: the receiver, whose log is complete, campaigns at once (thesis
    /// §3.10).
    TimeoutNow,
    /// `InstallSnapshot` (paper §7): a piece of a snapshot.
    Snapshot(Box<Chunk>),
    /// How much of a snapshot the receiver has kept so far, from its beginning.
    Received {
        /// Which snapshot.
        snapshot: SnapshotId,
        /// How many bytes of its data.
        stored: u64,
    },
    /// A follower passes a caller's proposal on to the leader of this term.
    Propose {
        /// The sender's boot.
        boot: Boot,
        /// The sender's number for it.
        number: RequestNumber,
        /// The command.
        data: Bytes,
    },
    /// What became of a proposal that was passed on.
    Proposed {
        /// The asker's boot.
        boot: Boot,
        /// The asker's number for it.
        number: RequestNumber,
        /// Its place in the log, or nothing when it was refused and never will be appended.
        appended: Option<EntryId>,
    },
    /// A follower asks for the index at which it may serve a linearizable read (thesis §6.4).
    Read {
        /// The sender's boot.
        boot: Boot,
        /// The sender's number for it.
        number: RequestNumber,
    },
    /// The index from which on a read that was asked for is linearizable.
    ReadAt {
        /// The asker's boot.
        boot: Boot,
        /// The asker's number for it.
        number: RequestNumber,
        /// The index, or nothing when the read was refused.
        index: Option<Index>,
    },
}

impl Body {
    /// What kind of message it is, in a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PreVote { .. } => "pre-vote",
            Self::PreVoted(_) => "pre-voted",
            Self::Vote { .. } => "vote",
            Self::Voted(_) => "voted",
            Self::Append { .. } => "append",
            Self::Appended { .. } => "appended",
            Self::Rejected { .. } => "rejected",
            Self::Committed { .. } => "committed",
            Self::Heartbeat { .. } => "heartbeat",
            Self::HeartbeatAck { .. } => "heartbeat-ack",
            Self::TimeoutNow => "timeout-now",
            Self::Snapshot(_) => "snapshot",
            Self::Received { .. } => "received",
            Self::Propose { .. } => "propose",
            Self::Proposed { .. } => "proposed",
            Self::Read { .. } => "read",
            Self::ReadAt { .. } => "read-at",
        }
    }
}

/// What it says beside its kind, in a few words; bytes of commands and snapshots are left out.
impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreVote { last } => write!(f, "last={last}"),
            Self::Vote { last, cause } => write!(f, "last={last} {cause:?}"),
            Self::PreVoted(ballot) | Self::Voted(ballot) => write!(f, "{ballot:?}"),
            Self::Append { prev, entries, commit } => {
                let last = entries.last().map_or(*prev, |entry| entry.id);
                write!(f, "({prev}, {last}] commit={commit}")
            }
            Self::Appended { matched } => write!(f, "matched={matched}"),
            Self::Rejected { prev, hint } => write!(f, "prev={prev} hint={hint}"),
            Self::Committed { commit } => write!(f, "commit={commit}"),
            Self::Heartbeat { round, commit } => write!(f, "round={round} commit={commit}"),
            Self::HeartbeatAck { round } => write!(f, "round={round}"),
            Self::TimeoutNow => Ok(()),
            Self::Snapshot(chunk) => {
                let (last, offset, end) = (chunk.meta.last, chunk.offset, chunk.end());
                write!(f, "{last} {offset}..{end} of {}", chunk.length)
            }
            Self::Received { snapshot, stored } => write!(f, "{} {stored}", snapshot.last),
            Self::Propose { number, .. } | Self::Read { number, .. } => {
                write!(f, "number={number}")
            }
            Self::Proposed { number, appended: Some(id), .. } => {
                write!(f, "number={number} appended={id}")
            }
            Self::ReadAt { number, index: Some(index), .. } => {
                write!(f, "number={number} index={index}")
            }
            Self::Proposed { number, .. } | Self::ReadAt { number, .. } => {
                write!(f, "number={number} refused")
            }
        }
    }
}

/// Why a candidate campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It heard no leader. Whoever hears one ignores it (thesis §4.2.3).
    Timeout,
    /// The leader handed over to it, and so releases everybody from their loyalty.
    Transfer,
}

/// The answer to a (pre-)vote request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ballot {
    /// The vote is the candidate's.
    Granted,
    /// It is not.
    Refused,
}
