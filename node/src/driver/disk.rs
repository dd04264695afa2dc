//! What the driver does with its log: writes, syncs off its path, releases what a write held back
//! once it is durable.

use super::{Driver, log_failed};
use crate::StateMachine;
use crate::measures::Measures;
use crate::mutation::{Mutation, on};
use crate::stop::Stop;
use holm_raft_core::{Event, Message, Persist, WriteNumber};
use holm_wal::{Batch, Disk, Done, Job};
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Something that a disk's own thread reports.
pub(crate) enum DiskEvent {
    Synced(io::Result<()>),
    SnapshotSaved(io::Result<()>),
    ChunksStored(io::Result<()>),
}

/// Messages that speak for a write.
pub(crate) struct Held {
    write: WriteNumber,
    messages: Vec<Message>,
}

impl<S: StateMachine> Driver<S> {
    /// Writes what the core asks for, and keeps back what may be said only once it is durable.
    /// What there is no room for goes back to the core, which asks for it again later.
    pub(super) async fn persist(&mut self, mut persist: Persist) -> Result<(), Stop> {
        if let Some(meta) = persist.snapshot.take() {
            self.install(&meta).await?;
        }
        let batch = Batch {
            hard_state: persist.hard_state,
            compact: persist.compact,
            truncate: persist.truncate,
            entries: &persist.entries,
        };
        let number = match self.wal.append(&batch) {
            Ok(number) => number,
            Err(error @ holm_wal::Error::Full { .. }) => {
                self.no_room(&error.to_string());
                self.raft.handle(Event::Full(persist));
                return Ok(());
            }
            Err(error) => return Err(log_failed(&error)),
        };
        assert_eq!(number, persist.number, "the core and the log count the same writes");
        if !persist.then.is_empty() && on(Mutation::SentBeforeDurable) {
            for message in std::mem::take(&mut persist.then) {
                self.send_message(message);
            }
        }
        self.tail.wrote(persist.truncate, persist.entries);
        self.held.push_back(Held { write: number, messages: persist.then });
        Ok(())
    }

    /// Starts a sync, if there is something to sync and none is under way.
    pub(super) fn start_sync(&mut self) {
        if let Some(job) = self.wal.begin_sync() {
            let job = self.measures.timed(Measures::syncs, job.into_job());
            self.edges.disk.run(job, self.reports(DiskEvent::Synced));
        }
    }

    pub(super) fn disk_event(&mut self, event: DiskEvent) -> Result<(), Stop> {
        match event {
            DiskEvent::Synced(result) => {
                let swallowed = result.is_err() && on(Mutation::SyncErrorSwallowed);
                let result = if swallowed { Ok(()) } else { result };
                self.wal.finish_sync(result).map_err(|error| log_failed(&error))?;
                self.acknowledge();
                self.start_sync();
            }
            DiskEvent::SnapshotSaved(result) => self.snapshot_saved(result)?,
            DiskEvent::ChunksStored(result) => self.chunks_stored(result)?,
        }
        Ok(())
    }

    /// Tells the core what is durable, and lets out what was held back for it.
    pub(super) fn acknowledge(&mut self) {
        let durable = self.wal.durable();
        if durable <= self.acknowledged {
            return;
        }
        self.acknowledged = durable;
        while self.held.front().is_some_and(|held| held.write <= durable) {
            let held = self.held.pop_front().expect("looked at above");
            for message in held.messages {
                self.send_message(message);
            }
        }
        self.raft.handle(Event::Persisted(durable));
    }

    /// Who tells the driver that a job of its disk is done.
    pub(super) fn reports(&self, event: fn(io::Result<()>) -> DiskEvent) -> Done {
        let events = self.disk_events.0.clone();
        Box::new(move |result| {
            // The receiver is gone only if the driver is.
            let _ = events.send(event(result));
        })
    }
}

pub(crate) fn run_job(
    disk: &Arc<dyn Disk>,
    job: Job,
) -> impl Future<Output = io::Result<()>> + use<> {
    let (done, finished) = oneshot::channel();
    let tell = move |result| {
        // The receiver is gone only if the driver is.
        let _ = done.send(result);
    };
    disk.run(job, Box::new(tell));
    async { finished.await.unwrap_or_else(|_| Err(io::Error::other("the disk's thread ended"))) }
}
