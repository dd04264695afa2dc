//! What the driver is asked to do: `Ready`, with `Persist` (what must be durable, and what may be
//! said only then) and `Outbound` (what may leave at once).

use crate::change::ChangeError;
use crate::entry::Entry;
use crate::message::Message;
use crate::snapshot::{Chunk, SnapshotId, SnapshotMeta};
use crate::types::{
    EntryId, HardState, Index, LogTime, MemberId, RequestNumber, Term, WriteNumber,
};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Everything there is to do after one turn. The fields may be acted on in any order, but for
/// this: `persist` is written to the log before the bytes of an [`Outbound::Entries`] are read
/// from it and before `chunks` are stored, and what [`Persist::then`] holds leaves only once the
/// write is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what a core asks for must be done, or its promises are void"]
pub struct Ready {
    /// What to write.
    pub persist: Option<Persist>,
    /// What to send at once. A lost message costs time, never safety.
    pub send: Vec<Outbound>,
    /// The entries to apply next: committed and durable here, each handed out once, in order.
    pub committed: Option<RangeInclusive<Index>>,
    /// Pieces of one snapshot to keep, in order, each where the one before ended: one that begins
    /// at 0 begins a snapshot, and whatever was kept of another may go. To be acknowledged by
    /// [`Event::Stored`](crate::Event::Stored), an empty one as well.
    pub chunks: Vec<Chunk>,
    /// What became of proposals.
    pub proposals: Vec<(RequestNumber, Fate)>,
    /// What became of changes of the configuration.
    pub changes: Vec<(RequestNumber, Result<EntryId, ChangeError>)>,
    /// Reads that may be served once all up to their index is applied; `None`: refused.
    pub reads: Vec<(RequestNumber, Option<Index>)>,
}

impl Ready {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One write. Its records go out in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Persist {
    /// To be acknowledged by [`Event::Persisted`](crate::Event::Persisted); covers all before it.
    pub number: WriteNumber,
    /// The new term and vote.
    pub hard_state: Option<HardState>,
    /// The snapshot that was stored whole replaces the state, before `compact` is written.
    pub snapshot: Option<SnapshotMeta>,
    /// The log begins after this entry from now on. If it holds no such entry, it is replaced.
    pub compact: Option<LogStart>,
    /// Drop the entries from this index on.
    pub truncate: Option<Index>,
    /// Entries to append.
    pub entries: Vec<Entry>,
    /// What speaks for the disk: to be sent once the write is durable, never before.
    pub then: Vec<Message>,
}

/// Where a log begins: after this entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogStart {
    /// The last entry that is no longer in the log.
    pub id: EntryId,
    /// That entry's log time.
    pub time: LogTime,
}

/// Something to send at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outbound {
    /// A finished message.
    Message(Message),
    /// `Append` messages to fill from the log, in order, cut to whatever size a frame takes.
    /// Captured in the same turn: a later turn may find other entries there.
    Entries {
        /// The follower.
        to: MemberId,
        /// The leader's term.
        term: Term,
        /// The entry before the first to send.
        prev: EntryId,
        /// The last entry to send; `prev` to send none.
        last: EntryId,
        /// The leader's commit index.
        commit: Index,
    },
    /// A `Snapshot` message to fill with a piece of a snapshot: of the one that is named, or, if
    /// none is or it is gone, with the first piece of the newest there is.
    Snapshot {
        /// The follower.
        to: MemberId,
        /// The leader's term.
        term: Term,
        /// Which snapshot, once the follower has said that it takes it.
        snapshot: Option<SnapshotId>,
        /// Where in its data the piece begins, in bytes.
        offset: u64,
        /// The most bytes of data.
        bytes_max: u64,
    },
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It has a place in the leader's log. It takes effect if this very entry commits.
    Appended(EntryId),
    /// It was not appended, and never will be.
    Refused,
    /// Leadership changed before the leader told. It may still take effect.
    Unknown,
}
