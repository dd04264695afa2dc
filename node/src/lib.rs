//! Raft for groups of machines on isolated networks: put a [`StateMachine`] behind a [`Node`] on
//! each machine, and it is the same on all of them, whichever fails.
//!
//! ```
//! use holm::{Config, Node, StateMachine};
//!
//! #[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
//! struct Counter(i64);
//!
//! impl StateMachine for Counter {
//!     type Command = i64;
//!     type Reply = i64;
//!     type Snapshot = Self;
//!     fn apply(&mut self, add: i64) -> i64 {
//!         self.0 += add;
//!         self.0
//!     }
//!     fn snapshot(&self) -> Self {
//!         self.clone()
//!     }
//!     fn restore(snapshot: Self) -> Self {
//!         snapshot
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut nodes = Vec::new();
//! for config in Config::local_cluster(3).await? {
//!     nodes.push(Node::open(config, Counter::default()).await?);
//! }
//! nodes[0].propose(2).await?;
//! assert_eq!(nodes[2].read(|counter| counter.0).await?, 2);
//! # Ok(())
//! # }
//! ```
//!
//! Features: `server` (on by default) adds the HTTP interface, the command line and the `holm`
//! binary, in `server`. Embedders depend on `holm` with `default-features = false`.
#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "holm supports Linux alone for now: its log relies on Linux's fallocate and madvise"
);

mod applier;
mod backup;
#[cfg_attr(not(feature = "server"), allow(dead_code, reason = "HTTP alone asks other members"))]
mod calls;
mod changing;
mod client;
mod cluster_id;
mod config;
mod digest;
mod driver;
mod edges;
mod envelope;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzz;
pub mod join;
mod machine;
mod measures;
mod member_info;
pub mod members;
#[cfg_attr(not(feature = "mutations"), allow(unreachable_pub))]
mod mutation;
mod node;
mod open;
mod own;
mod reading;
mod recover;
pub mod rendezvous;
mod repair_note;
mod replica;
mod restore;
mod retries;
mod room;
mod security;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
mod sessions;
mod status;
mod stop;
pub mod store;
pub mod topology;
mod tracked;
mod wait;

pub use backup::{Backup, BackupCheck, BackupHead, NoBackup};
pub use client::Client;
pub use config::{Config, Listen, Start, Storage, VerifyLog};
pub use edges::{Clock, Edges, Entropy};
pub use error::Error;
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzz::fuzz_sessions;
pub use holm_raft_core::Index;
pub use holm_transport::{Accept, Answer, Listener, Network, Stream, Tcp, Transit};
pub use holm_transport::{KeyPair, KeyRing, PrivateKey, PublicKey, Secret};
pub use machine::StateMachine;
pub use measures::{Distribution, Measured};
#[cfg(feature = "mutations")]
pub use mutation::{Mutation, on as mutation_is_on, with as with_mutation};
pub use node::{Applied, Node, ProposeOptions};
pub use open::OpenError;
pub use reading::{Consistency, ReadOptions, Seen};
pub use recover::{Ids, Prospect, RecoverError, Recovery};
pub use restore::{RestoreError, Restored, restore};
pub use security::{Security, WrongKey};
pub use status::{DiskState, DiskStatus, LinksStatus, MemberStatus, Status};
pub use stop::Stop;

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
