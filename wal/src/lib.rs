//! A memory-mapped, segmented log for Raft that never loses an acknowledged entry.
//!
//! [`Wal::append`] stores a batch into the mapped segment and returns; [`Wal::begin_sync`] gives a
//! job that makes all that was written before it durable, on whatever thread the [`Disk`] has for
//! it; [`Wal::finish_sync`] brings its outcome back and says up to which write all is durable.
//! Nothing here waits, spawns, sleeps, or reads a clock or an entropy source: what does is behind
//! the trait [`Disk`], which has a real implementation, one in memory, and (feature `sim`) a seeded
//! one that loses what was not synced.
//!
//! ```
//! use holm_wal::{Batch, Identity, MemoryDisk, Options, Wal};
//! use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
//! use std::sync::{Arc, mpsc};
//!
//! let disk: Arc<dyn holm_wal::Disk> = Arc::new(MemoryDisk::new());
//! let mut wal = Wal::create(disk.clone(), Options::default(), Identity::default())?;
//! let entry = Entry {
//!     id: EntryId::new(Term(1), Index(1)),
//!     time: LogTime(0),
//!     kind: EntryKind::Command,
//!     data: "hello".into(),
//! };
//! let number = wal.append(&Batch { entries: &[entry.clone()], ..Batch::default() })?;
//!
//! let (done, finished) = mpsc::channel();
//! let job = wal.begin_sync().expect("something is unsynced").into_job();
//! disk.run(job, Box::new(move |result| done.send(result).expect("somebody listens")));
//! let durable = wal.finish_sync(finished.recv().expect("the disk answers"))?;
//! assert_eq!(durable, number);
//! assert_eq!(wal.entry(Index(1))?, entry);
//! # Ok::<(), holm_wal::Error>(())
//! ```
#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "holm-wal runs on Linux only: what it promises about disks was worked out for Linux's \
     fallocate, mmap and fdatasync, and for no other system yet"
);

mod append;
mod disk;
mod error;
mod footer;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod given_up;
mod inspect;
#[cfg_attr(not(feature = "mutations"), allow(unreachable_pub))]
mod mutation;
mod positions;
mod reading;
mod recovery;
mod repair;
mod replay;
mod scan;
mod segment;
mod snapshots;
mod spares;
mod sync;
mod table;
mod wal;

pub use append::Batch;
#[cfg(any(test, feature = "sim"))]
pub use disk::sim::{Faults, Lie, Runner, SimDisk};
pub use disk::{Disk, Done, File, Job, Lasts, memory::MemoryDisk, real::RealDisk};
pub use error::Error;
pub use format::Identity;
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzzing::{
    crash::{Ended, Outcome, fuzz_operations, live},
    fuzz_recovery, random_bytes,
};
pub use holm_raft_core::LogStart;
pub use inspect::{Depth, Verdict, inspect};
#[cfg(feature = "mutations")]
pub use mutation::{Mutation, on as mutation_is_on, with as with_mutation};
pub use recovery::{Recovered, Torn};
pub use repair::{Proof, Repair};
pub use snapshots::{Snapshot, Snapshots};
pub use sync::SyncJob;
pub use wal::{Options, Wal};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
