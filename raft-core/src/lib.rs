//! The Raft protocol as a state machine: events in, effects out.
//!
//! A [`Raft`] is one member's view. It knows no file, socket, clock or thread: a driver hands it
//! [`Event`]s, asks for a [`Ready`], does what that says, and starts over:
//!
//! ```
//! use bytes::Bytes;
//! use holm_raft_core::*;
//!
//! let me = MemberId::new(NodeId(1), Incarnation(7));
//! let mut raft = Raft::new(Config::new(me, Boot(1), 42), Restored::default()).unwrap();
//! raft.handle(Event::Form(Configuration::new([Member { id: me, info: Bytes::new() }])));
//!
//! let mut applied = None;
//! for now in 0..100 {
//!     raft.handle(Event::Tick { now: 10 * now });
//!     if now == 90 {
//!         raft.handle(Event::Propose { number: RequestNumber(1), data: Bytes::from_static(b"hi") });
//!     }
//!     loop {
//!         let ready = raft.ready();
//!         if ready.is_empty() {
//!             break;
//!         }
//!         applied = ready.committed.or(applied);
//!         if let Some(persist) = ready.persist {
//!             // A real driver writes and syncs here, and sends `persist.then` only afterwards.
//!             raft.handle(Event::Persisted(persist.number));
//!         }
//!     }
//! }
//! assert_eq!(applied, Some(Index(3)..=Index(3))); // 1: the configuration, 2: the leader's no-op
//! ```
//!
//! What safety rests on is in the types: a message that speaks for the disk stands inside
//! [`Persist::then`], and a write is acknowledged by its number, never by an index.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
// A file that the tests of this crate share names it from outside.
#[cfg(any(test, feature = "fuzzing"))]
extern crate self as holm_raft_core;
#[cfg(any(test, feature = "fuzzing", feature = "mutations"))]
extern crate std;

mod admit;
mod change;
mod compact;
mod config;
mod configuration;
mod election;
mod entry;
mod event;
mod follower;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod leader;
mod lease;
mod log;
mod membership;
mod message;
#[cfg_attr(not(feature = "mutations"), allow(unreachable_pub))]
mod mutation;
mod progress;
mod proposals;
pub mod quorum;
mod raft;
mod reads;
mod ready;
mod receive;
mod reconfigure;
mod requests;
mod rng;
mod role;
mod room;
mod sending;
mod snapshot;
mod status;
mod transfer;
mod types;
mod weights;
mod writes;

pub use change::{ChangeError, Step};
pub use config::{Config, ConfigError, Restored, Switch};
pub use configuration::{Configuration, ConfigurationError, Leave, Member, Standing};
pub use entry::{Entry, EntryKind};
pub use event::Event;
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzzing::{Forged, Outcome, fuzz_events, fuzz_forged};
pub use message::{Ballot, Body, Cause, Message};
#[cfg(feature = "mutations")]
pub use mutation::{Mutation, Times as MutationTimes, on as mutation_is_on, with as with_mutation};
pub use raft::Raft;
pub use ready::{Fate, LogStart, Outbound, Persist, Ready};
pub use snapshot::{Chunk, Partial, SnapshotId, SnapshotMeta};
pub use status::{Dropped, FollowerStatus, Glance, Status};
pub use types::{
    Boot, EntryId, HardState, Incarnation, Index, LogTime, MemberId, NodeId, RequestNumber, Term,
    WriteNumber,
};
