//! Logs that do the same work: `Log` is what is asked of each, `subjects` are those measured, each
//! in a file of its own and through its documented interface, the two floors first.

mod commit_log;
mod fjall;
mod floors;
mod holm;
mod okay;
mod raft_engine;
mod raft_log;
mod redb;
mod walrus;

use bytes::Bytes;
use std::error::Error;
use std::path::Path;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Whether an append may return before its records are durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Buffered,
    Durable,
}

/// A log that is open. Its records are counted from 1.
pub(crate) trait Log {
    /// Appends these records: as one batch, where the log takes one.
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()>;

    /// Waits for what the log has its threads do, so that none of it is done while time is taken.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Reads about these records, at least the first, and returns how many bytes they have.
    fn read(&self, first: u64, count: u64) -> Result<usize> {
        Err(format!("reading {count} records from {first} on is not measured here").into())
    }
}

/// What a log does when it is asked for a durable append, or for one that is not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncs {
    AsAsked,
    /// It has no append that does not wait for the disk.
    Always,
    /// What it calls a flush reaches the kernel at most.
    Never,
}

/// A log that is measured.
pub(crate) struct Subject {
    /// Its name and version.
    pub(crate) name: &'static str,
    pub(crate) syncs: Syncs,
    /// Makes an empty log in this folder, which need not be there, for appends of this kind.
    pub(crate) create: fn(&Path, Durability) -> Result<Box<dyn Log>>,
    /// How what `create` made is opened again, and how each way to do that is called.
    pub(crate) open: &'static [Opening],
}

/// One way to open a log.
pub(crate) type Opening = (&'static str, fn(&Path) -> Result<Box<dyn Log>>);

/// How many of the subjects, from the first on, are floors.
pub(crate) const FLOORS: usize = 2;

/// What is measured.
pub(crate) const SUBJECTS: [Subject; 10] = [
    floors::MAPPED,
    floors::PWRITE,
    holm::SUBJECT,
    raft_engine::SUBJECT,
    okay::SUBJECT,
    walrus::SUBJECT,
    commit_log::SUBJECT,
    raft_log::SUBJECT,
    fjall::SUBJECT,
    redb::SUBJECT,
];
