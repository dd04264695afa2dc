//! The Raft protocol as a state machine: events in, effects out.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod configuration;
mod entry;
mod message;
mod types;

pub use configuration::{Configuration, ConfigurationError, Member};
pub use entry::{Entry, EntryKind};
pub use message::{Ballot, Body, Message, Snapshot, SnapshotMeta};
pub use types::{
    Boot, EntryId, HardState, Incarnation, Index, LogTime, MemberId, NodeId, RequestNumber, Term,
    WriteNumber,
};
