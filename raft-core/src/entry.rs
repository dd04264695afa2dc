//! What the log holds: an `Entry` with its id, its log time, its kind and its bytes.

use crate::types::{EntryId, LogTime};
use bytes::Bytes;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The entry's index and term.
    pub id: EntryId,
    /// The leader's stamp; never below the entry before.
    pub time: LogTime,
    /// What the bytes are.
    pub kind: EntryKind,
    /// The command, the encoded configuration, or nothing.
    pub data: Bytes,
}

impl Entry {
    /// What an entry weighs beside its data wherever a limit is given in bytes: index, term, time,
    /// kind and length, as records and frames carry them.
    pub const OVERHEAD: u64 = 32;

    /// The entry's weight against limits in bytes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        Self::OVERHEAD + self.data.len() as u64
    }
}

/// What an entry's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A new leader's first entry: empty, so that it can commit what it found (paper §8).
    Noop,
    /// A command for the state machine.
    Command,
    /// An encoded [`Configuration`](crate::Configuration).
    Configuration,
}

impl EntryKind {
    /// The kind's number in records and frames.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Noop => 0,
            Self::Command => 1,
            Self::Configuration => 2,
        }
    }

    /// The kind with this number, if there is one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Noop),
            1 => Some(Self::Command),
            2 => Some(Self::Configuration),
            _ => None,
        }
    }
}
