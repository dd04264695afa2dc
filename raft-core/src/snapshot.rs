//! What the core knows of snapshots: `SnapshotMeta` (what one stands for), `SnapshotId` (which
//! bytes it has), `Chunk` (a piece of it, as it travels) and `Partial` (how much of one has
//! arrived). The bytes themselves are the driver's.

use crate::configuration::Configuration;
use crate::types::{EntryId, Index, LogTime};
use bytes::Bytes;

/// What a snapshot stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SnapshotMeta {
    /// The last entry whose effect it includes.
    pub last: EntryId,
    /// That entry's log time.
    pub time: LogTime,
    /// The configuration in force at `last`.
    pub configuration: Configuration,
    /// The entry that set that configuration.
    pub configuration_index: Index,
}

/// Which bytes a snapshot has. Two members may freeze the same state into different bytes; a
/// transfer goes on where it was cut off only if all three are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// The last entry whose effect it includes.
    pub last: EntryId,
    /// How many bytes the state machine's data have.
    pub length: u64,
    /// Their CRC-32 (ISO-HDLC), or whatever the drivers of a cluster agree on: the core only
    /// compares it.
    pub checksum: u32,
}

/// A piece of a snapshot. Each says the whole of what the snapshot is, so that none has to be
/// remembered for another to be understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// What the snapshot stands for.
    pub meta: SnapshotMeta,
    /// How many bytes the whole of its data have.
    pub length: u64,
    /// The checksum of the whole of its data.
    pub checksum: u32,
    /// Where in the data `data` begins.
    pub offset: u64,
    /// Some of the state machine's bytes, which the core never reads.
    pub data: Bytes,
}

impl Chunk {
    /// Which snapshot it is a piece of.
    #[must_use]
    pub const fn id(&self) -> SnapshotId {
        SnapshotId { last: self.meta.last, length: self.length, checksum: self.checksum }
    }

    /// Where the piece ends.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.data.len() as u64)
    }
}

/// A snapshot that has arrived in part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partial {
    /// What the snapshot stands for.
    pub meta: SnapshotMeta,
    /// How many bytes the whole of its data have.
    pub length: u64,
    /// The checksum of the whole of its data.
    pub checksum: u32,
    /// How many of its bytes, from the first on, are here and survive a crash. If that is `length`,
    /// they have been found to match `checksum`.
    pub stored: u64,
}

impl Partial {
    /// Which snapshot it is a part of.
    #[must_use]
    pub const fn id(&self) -> SnapshotId {
        SnapshotId { last: self.meta.last, length: self.length, checksum: self.checksum }
    }

    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.stored == self.length
    }
}
