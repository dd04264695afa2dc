//! What the driver tells the core: `Event`.

use crate::change::Step;
use crate::configuration::{Configuration, Leave};
use crate::message::Message;
#[cfg(doc)]
use crate::ready::Ready;
use crate::ready::{LogStart, Persist};
use crate::snapshot::SnapshotId;
use crate::types::{Index, NodeId, RequestNumber, WriteNumber};
use alloc::vec::Vec;
use bytes::Bytes;

/// Something that happens to a core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Time passes. `now` is a clock in milliseconds that counts suspended time and never falls.
    Tick {
        /// The clock.
        now: u64,
    },
    /// The clock of a tick, read again between two of them. Told before a proposal, with a reading
    /// that was made after the proposal came in: an entry must not bear an earlier time than that
    /// at which it was asked for, though this member may have stood still since its last tick, or a
    /// lease that begins with the entry would end early.
    Clock {
        /// The clock.
        now: u64,
    },
    /// A message arrived.
    Message(Message),
    /// A write is durable, and with it all before it.
    Persisted(WriteNumber),
    /// The disk has no room for the write that was handed out last, and nothing of it was written;
    /// told before anything else. It counts as not handed out: its number is given again, what
    /// needs little room is handed out at the next [`Ready`], and all of it again after some ticks.
    /// Until it fits, this member takes no proposals and hands over what it leads. A snapshot that
    /// it was to install and is installed has to be taken out of it.
    Full(Persist),
    /// So much of a snapshot is stored, and will be found after a crash. Only of the one whose
    /// pieces were handed out last: what came of one that another has taken the place of, even if
    /// it was begun anew since, is not to be told.
    Stored {
        /// Which snapshot.
        snapshot: SnapshotId,
        /// How many bytes of its data, from the beginning: all of it, only if they have its
        /// checksum. `None` if it could not be kept, or has another checksum: then nothing of it
        /// is there any more, and what was handed out and is not stored yet is void.
        stored: Option<u64>,
    },
    /// A caller proposes a command. Its fate is told in [`Ready::proposals`].
    Propose {
        /// The caller's number for it, used once in a boot.
        number: RequestNumber,
        /// The command.
        data: Bytes,
    },
    /// A caller asks from which index on a read is linearizable; told in [`Ready::reads`].
    Read {
        /// The caller's number for it, used once in a boot.
        number: RequestNumber,
    },
    /// A caller asks for a read that may be answered without a round, by the leader's lease; told
    /// in [`Ready::reads`]. Where there is no lease it is a [`Event::Read`].
    ReadByLease {
        /// The caller's number for it, used once in a boot.
        number: RequestNumber,
        /// The clock, read for this call.
        now: u64,
    },
    /// A caller changes the configuration, on the leader; told in [`Ready::changes`].
    Change {
        /// The caller's number for it, used once in a boot.
        number: RequestNumber,
        /// Only if the configuration was set at this index (compare and set).
        expected: Option<Index>,
        /// What to change.
        steps: Vec<Step>,
        /// How a joint configuration ends.
        leave: Leave,
    },
    /// A caller ends a joint configuration, on the leader; told in [`Ready::changes`].
    LeaveJoint {
        /// The caller's number for it, used once in a boot.
        number: RequestNumber,
    },
    /// The leader hands over to this voter, once that holds the whole log (thesis §3.10). Given up
    /// after an election time-out; ignored where there is nothing to hand over.
    Transfer {
        /// Who shall lead.
        to: NodeId,
    },
    /// A proposal or read that was to be passed on to the leader never left this member: it can be
    /// made again without a second one being possible.
    Unsent {
        /// Its number.
        number: RequestNumber,
    },
    /// The caller of a proposal or read no longer waits.
    Forget {
        /// Its number.
        number: RequestNumber,
    },
    /// The cluster is formed of these members. Only for an empty log without a configuration, and
    /// with the same configuration on every member.
    Form(Configuration),
    /// A snapshot of all up to here is durable: the log may begin after it, at once or once no
    /// follower needs it any more. Ignored beyond what was handed out to be applied.
    Compact(LogStart),
}
