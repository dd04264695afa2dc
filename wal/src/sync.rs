//! Making the log durable without making anybody wait: `SyncJob`, what is under way (`Covered`),
//! and the calls `begin_sync`, `finish_sync`, `durable` and `stalled_for`.

use crate::disk::{Disk, File, Job};
use crate::error::Error;
use crate::mutation::{self, Mutation};
use crate::segment::Segment;
use crate::spares::{Chores, Spare};
use crate::wal::{Health, Wal};
use holm_raft_core::{Index, WriteNumber};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// What has to be done so that all that was written before it is durable. It does not refer to the
/// log, which may be written to meanwhile.
#[must_use = "nothing is durable until the job has run and its outcome was given to finish_sync"]
pub struct SyncJob {
    disk: Arc<dyn Disk>,
    /// Oldest first: a later segment is worth nothing without those before it.
    files: Vec<Arc<dyn File>>,
    names: Names,
}

/// What a sync that is under way will have made durable.
pub(crate) struct Covered {
    number: WriteNumber,
    end: u64,
    /// Where the log begins by then.
    start: Index,
}

/// Whether files were named since the directory was last synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Durable,
    Unsynced,
}

/// When writes that are not durable were first seen, oldest first.
#[derive(Default)]
pub(crate) struct Waiting {
    seen: VecDeque<(WriteNumber, u64)>,
}

impl Waiting {
    /// How many times are kept at most. Later ones are kept when earlier ones are durable.
    const TIMES_MAX: usize = 64;
}

impl SyncJob {
    /// The job, for [`Disk::run`]. It fails at the first step that fails.
    pub fn into_job(self) -> Job {
        Box::new(move || {
            let skipped = if mutation::on(Mutation::NoFileSync) { self.files.len() } else { 0 };
            let skipped = match self.files.len().checked_sub(1) {
                Some(last) if mutation::on(Mutation::OnlyTheActiveSegmentSynced) => last,
                _ => skipped,
            };
            for file in self.files.iter().skip(skipped) {
                file.sync()?;
            }
            if self.names == Names::Unsynced && !mutation::on(Mutation::NoDirectorySync) {
                self.disk.sync_directory()?;
            }
            Ok(())
        })
    }
}

impl Wal {
    /// What to run, with [`Disk::run`], so that everything written so far becomes durable; give its
    /// outcome to [`finish_sync`](Self::finish_sync). `None` while a job is under way, when all is
    /// durable, or when an error has poisoned the log.
    pub fn begin_sync(&mut self) -> Option<SyncJob> {
        let idle = self.durable == self.written && self.names == Names::Durable;
        if self.syncing.is_some() || self.check_spares().is_err() || idle {
            return None;
        }
        self.syncing = Some(self.covered());
        let unsynced = self.segments.iter().filter(|segment| segment.end() > self.durable_end);
        let files = unsynced.map(|segment| Arc::clone(&segment.file)).collect();
        let names = std::mem::replace(&mut self.names, Names::Durable);
        Some(SyncJob { disk: Arc::clone(&self.disk), files, names })
    }

    fn covered(&self) -> Covered {
        Covered { number: self.written, end: self.end(), start: self.start().id.index }
    }

    /// Brings back the outcome of the job that [`begin_sync`](Self::begin_sync) gave, and returns
    /// the number up to which all writes are durable. Segments that are no longer needed are then
    /// put aside by a job of the disk.
    ///
    /// # Errors
    /// [`Error::Sync`] if the job failed, which poisons the log for good; [`Error::Poisoned`] if
    /// that had happened before.
    ///
    /// # Panics
    /// If no job is under way.
    pub fn finish_sync(&mut self, result: io::Result<()>) -> Result<WriteNumber, Error> {
        let mut covered = self.syncing.take().expect("finish_sync follows begin_sync");
        self.check_spares()?;
        if let Err(source) = result {
            if mutation::on(Mutation::RetryAfterAFailedSync) {
                self.names = Names::Unsynced;
                return Ok(self.durable);
            }
            self.health = Health::Poisoned;
            return Err(Error::Sync { source });
        }
        if mutation::on(Mutation::AckWhatCameDuringASync) {
            covered = self.covered();
        }
        self.durable = covered.number;
        self.durable_end = covered.end;
        self.durable_start = covered.start;
        self.keep_up(Vec::new());
        Ok(self.durable)
    }

    /// Has spare files made, and used-up segments put among them, by a job of the disk.
    pub(crate) fn keep_up(&mut self, adopted: Vec<String>) {
        // After a failed job segments may be in doubt that are older than those here.
        if self.check_spares().is_err() {
            return;
        }
        let retired = if self.spares.are_being_made() { 0 } else { self.unneeded() };
        let retired = self.segments.drain(..retired);
        let used_up = |segment: Segment| Spare {
            name: segment.name(),
            file: segment.file,
            behind: segment.behind,
        };
        let retired = retired.map(used_up).collect();
        let (segments, durable_end) = (&self.segments, self.durable_end);
        let footers = self.footers.take_ready(|sequence| {
            let segment = segments.iter().find(|segment| segment.sequence == sequence);
            segment.map(|segment| segment.end() < durable_end)
        });
        self.spares.keep_up(&self.disk, Chores { retired, adopted, footers });
    }

    /// How many of the oldest segments the log does without: the entries in them are not behind
    /// its start, which is durable, and so is the segment that follows.
    fn unneeded(&self) -> usize {
        let (mut start, mut end) = (self.durable_start, self.durable_end);
        if mutation::on(Mutation::RemovedBeforeDurable) {
            (start, end) = (self.start().id.index, self.end());
        }
        let sealed = self.segments.iter().take(self.segments.len() - 1);
        let unneeded = |segment: &&Segment| segment.highest <= start && segment.end() < end;
        sealed.take_while(unneeded).count()
    }

    /// Whether a sync is under way: between [`begin_sync`](Self::begin_sync) and
    /// [`finish_sync`](Self::finish_sync).
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// The number up to which all writes are durable.
    #[must_use]
    pub fn durable(&self) -> WriteNumber {
        if mutation::on(Mutation::AckBeforeSync) { self.written } else { self.durable }
    }

    /// For how long the oldest write that is not durable has waited, as far as is known from the
    /// times, in any unit, at which this is called: at most the time between two calls too little.
    /// 0 where all is durable. A disk that hangs shows here before it reports anything.
    pub fn stalled_for(&mut self, now: u64) -> u64 {
        let seen = &mut self.waiting.seen;
        while seen.front().is_some_and(|(number, _)| *number <= self.durable) {
            seen.pop_front();
        }
        let known = seen.back().map_or(self.durable, |(number, _)| *number);
        if self.written > known && seen.len() < Waiting::TIMES_MAX {
            seen.push_back((self.written, now));
        }
        seen.front().map_or(0, |(_, since)| now.saturating_sub(*since))
    }
}
