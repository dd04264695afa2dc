//! Making the log durable without making anybody wait: `SyncJob`, what is under way (`Covered`),
//! and the three calls `begin_sync`, `finish_sync` and `durable`.

use crate::disk::{Disk, File, Job};
use crate::error::Error;
use crate::segment::Segment;
use crate::wal::{Health, Wal};
use holm_raft_core::WriteNumber;
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
    /// Segments that are not needed once the files are synced, oldest first.
    remove: Vec<String>,
}

/// What a sync that is under way will have made durable.
pub(crate) struct Covered {
    number: WriteNumber,
    end: u64,
}

/// Whether files were made since the directory was last synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Durable,
    Unsynced,
}

impl SyncJob {
    /// The job, for [`Disk::run`]. It fails at the first step that fails.
    pub fn into_job(self) -> Job {
        Box::new(move || {
            for file in &self.files {
                file.sync()?;
            }
            if self.names == Names::Unsynced {
                self.disk.sync_directory()?;
            }
            for name in &self.remove {
                self.disk.remove(name)?;
                // One by one: a crash must not leave an older segment without a newer one.
                self.disk.sync_directory()?;
            }
            Ok(())
        })
    }
}

impl Wal {
    /// What to run, with [`Disk::run`], so that everything written so far becomes durable; give its
    /// outcome to [`finish_sync`](Self::finish_sync). It also removes segments that are no longer
    /// needed. `None` while a job is under way, when there is nothing to do, or when an error has
    /// poisoned the log.
    pub fn begin_sync(&mut self) -> Option<SyncJob> {
        let idle = self.durable == self.written
            && self.names == Names::Durable
            && self.unneeded().count() == 0;
        if self.syncing.is_some() || self.health == Health::Poisoned || idle {
            return None;
        }
        self.syncing = Some(Covered { number: self.written, end: self.end() });
        let unsynced = self.segments.iter().filter(|segment| segment.end() > self.durable_end);
        let files = unsynced.map(|segment| Arc::clone(&segment.file)).collect();
        let remove: Vec<String> = self.unneeded().map(Segment::name).collect();
        self.segments.drain(..remove.len());
        let names = std::mem::replace(&mut self.names, Names::Durable);
        Some(SyncJob { disk: Arc::clone(&self.disk), files, names, remove })
    }

    /// The oldest segments as far as the log does without them: none of the entries in them is
    /// behind its start. To be removed when that start is durable, and not before.
    fn unneeded(&self) -> impl Iterator<Item = &Segment> {
        let start = self.table.start().id.index;
        let sealed = self.segments.iter().take(self.segments.len() - 1);
        sealed.take_while(move |segment| segment.highest <= start)
    }

    /// Brings back the outcome of the job that [`begin_sync`](Self::begin_sync) gave, and returns
    /// the number up to which all writes are durable.
    ///
    /// # Errors
    /// [`Error::Sync`] if the job failed, which poisons the log for good; [`Error::Poisoned`] if
    /// that had happened before.
    ///
    /// # Panics
    /// If no job is under way.
    pub fn finish_sync(&mut self, result: io::Result<()>) -> Result<WriteNumber, Error> {
        let covered = self.syncing.take().expect("finish_sync follows begin_sync");
        self.check_health()?;
        if let Err(source) = result {
            self.health = Health::Poisoned;
            return Err(Error::Sync { source });
        }
        self.durable = covered.number;
        self.durable_end = covered.end;
        Ok(self.durable)
    }

    /// The number up to which all writes are durable.
    #[must_use]
    pub fn durable(&self) -> WriteNumber {
        self.durable
    }
}
